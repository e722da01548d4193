# SPDX-License-Identifier: ISC
"""Mails of many kinds as they are found in mailboxes: attachments, mails within mails,
many charsets, 8-bit headers, long lines, no body, broken structure; flags, keywords and
dates of years.  mail(i) is always the same for the same number, and no two are alike."""
import base64
import quopri
import random

WORDS = ("the mail comes in the night and waits until somebody reads it or forgets "
         "what was asked for in the first place").split()
GERMAN = "Grüße aus Köln: die Straße ist naß, das Öl teuer"
JAPANESE = "日本語の件名、長い本文"
RUSSIAN = "Письмо о погоде и о прочем"
KEYWORDS = ["$Forwarded", "$MDNSent", "$Junk", "NonJunk", "$Important", "$Phishing"] + \
    [f"$label{n}" for n in range(1, 6)] + [f"project-{n}" for n in range(24)]
SYSTEM = ["\\Seen", "\\Answered", "\\Flagged", "\\Draft"]
MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()


def prose(dice, lines):
    return "".join(" ".join(dice.choices(WORDS, k=dice.randrange(1, 14))) + "\n"
                   for _ in range(lines))


def crlf(octets):
    return octets.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def encoded(text, charset, how="b"):
    octets = text.encode(charset)
    if how == "b":
        return f"=?{charset}?B?{base64.b64encode(octets).decode()}?="
    return f"=?{charset}?Q?{''.join(f'={o:02X}' for o in octets)}?="


def base64_lines(octets):
    return base64.encodebytes(octets).decode()


def parts(mark, *bodies, end=True):
    text = "".join(f"--{mark}\n{b}\n" for b in bodies)
    return "This is a message in MIME format.\n\n" + text + (f"--{mark}--\n" if end else "")


# Each kind: (dice, i) -> (header lines, body), as str, or as bytes where octets matter.

def plain(dice, i):
    return f"Subject: number {i}\n", prose(dice, dice.randrange(1, 60))


def utf8(dice, i):
    return (f"Subject: {encoded(GERMAN, 'utf-8')} {i}\nMIME-Version: 1.0\n"
            "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n",
            (GERMAN + "\n" + JAPANESE + "\n") * dice.randrange(1, 20))


def latin(_, i):
    return (f"Subject: {GERMAN} {i}\nContent-Type: text/plain; charset=\"iso-8859-1\"\n"
            .encode("latin-1"), (GERMAN + "\n").encode("latin-1") * 9)


def russian(_, i):
    return (f"Subject: {encoded(RUSSIAN, 'koi8-r')}\n {encoded(' und mehr', 'koi8-r', 'q')} {i}\n"
            "MIME-Version: 1.0\nContent-Type: text/plain; charset=koi8-r\n"
            "Content-Transfer-Encoding: base64\n",
            base64_lines((RUSSIAN + "\n").encode("koi8-r") * 20))


def attached(dice, i):
    mark, data = f"=_mixed_{i}", dice.randbytes(dice.randrange(1, 40000))
    return (f"Subject: with something {i}\nMIME-Version: 1.0\n"
            f"Content-Type: multipart/mixed;\n\tboundary=\"{mark}\"\n",
            parts(mark, "Content-Type: text/plain\n\n" + prose(dice, 5),
                  "Content-Type: application/octet-stream\nContent-Transfer-Encoding: base64\n"
                  f"Content-Disposition: attachment;\n filename*0*=utf-8''Anh%C3%A4nge;\n"
                  f" filename*1=\" number {i}.bin\"\n\n" + base64_lines(data)))


def alternative(dice, i):
    mark = f"----=_NextPart_{i}"
    html = quopri.encodestring(f"<p>{GERMAN} <b>{i}</b></p>\n".encode() * 12).decode()
    return (f"Subject: Re: {prose(dice, 1).strip()} {i}\nMIME-Version: 1.0\n"
            f"Content-Type: multipart/alternative; boundary=\"{mark}\"\n",
            parts(mark, "Content-Type: text/plain; charset=us-ascii; format=flowed\n\n" +
                  prose(dice, 10), "Content-Type: text/html; charset=utf-8\n"
                  "Content-Transfer-Encoding: quoted-printable\n\n" + html))


def nested(dice, i):
    inner = f"From: in@far.test\nSubject: innermost {i}\n\n" + prose(dice, 3)
    for depth in range(1 + i % 4):
        mark = f"b.{depth}.{i}"
        inner = (f"From: f{depth}@far.test\nSubject: Fwd {depth} of {i}\nMIME-Version: 1.0\n"
                 f"Content-Type: multipart/mixed; boundary={mark}\n\n" +
                 parts(mark, "\nsee below\n", "Content-Type: message/rfc822\n\n" + inner))
    head, body = inner.split("\n\n", 1)
    return head.split("\n", 1)[1] + "\n", body


def digest(dice, i):
    return (f"Subject: digest {i}\nMIME-Version: 1.0\n"
            f"Content-Type: multipart/digest; boundary=\"d {i}\"\n",
            parts(f"d {i}", *(f"\nFrom: x{n}@far.test\nSubject: item {n}\n\n{prose(dice, 2)}"
                              for n in range(5))))


def signed(dice, i):
    return (f"Subject: signed {i}\nMIME-Version: 1.0\nContent-Type: multipart/signed; micalg=sha-256;\n"
            f" protocol=\"application/pgp-signature\"; boundary=s{i}\n",
            parts(f"s{i}", f"Content-Type: multipart/mixed; boundary=t{i}\n\n" +
                  parts(f"t{i}", "\n" + prose(dice, 4), "Content-Type: text/x-patch\n\n+- \n"),
                  "Content-Type: application/pgp-signature\n\n-----BEGIN PGP SIGNATURE-----\n"))


def long_lines(dice, i):
    return (f"Subject: {'long ' * 150}{i}\n",
            "".join(chr(dice.randrange(33, 127)) * 990 + "\n" for _ in range(9)))


def nothing(_, i):
    return f"Subject: no body {i}\n", ""


def broken_multipart(dice, i):
    kind = i // 20 % 4
    if kind == 0:  # no boundary at all
        return f"Subject: {i}\nContent-Type: multipart/mixed\n", prose(dice, 5)
    if kind == 1:  # it does not end
        return (f"Subject: {i}\nContent-Type: multipart/mixed; boundary=x{i}\n",
                parts(f"x{i}", "\n" + prose(dice, 3), "Content-Type: text/html\n\n<p>", end=False))
    if kind == 2:  # it never begins
        return f"Subject: {i}\nContent-Type: multipart/mixed; boundary=x{i}\n", prose(dice, 3)
    return (f"Subject: {i}\nContent-Type: multipart/mixed; boundary=x{i}\n",  # the same within itself
            parts(f"x{i}", f"Content-Type: multipart/mixed; boundary=x{i}\n\n" +
                  parts(f"x{i}", "\na\n", "\nb\n")))


def many_headers(dice, i):
    references = "".join(f"\n <{n}.{i}@far.test>" for n in range(60))
    return (f"Subject: thread\nIn-Reply-To: <1.{i}@far.test>\nReferences:{references}\n" +
            "".join(f"Received: from h{n}.far.test (h{n}.far.test [192.0.2.{n}])\n\tby mx.far.test;"
                    f" Mon, 1 Jun 2026 10:00:{n:02d} +0000\n" for n in range(30)) +
            "X-Empty:\nX-Folded: a\n\tb\n c\n", prose(dice, 4))


def japanese(_, i):
    return (f"Subject: {encoded(JAPANESE, 'iso-2022-jp')} {i}\nMIME-Version: 1.0\n"
            "Content-Type: text/plain; charset=ISO-2022-JP\nContent-Transfer-Encoding: 7bit\n",
            (JAPANESE + "\n").encode("iso-2022-jp") * 7)


def odd_charset(_, i):
    charset = ("shift_jis", "windows-1251", "gb18030", "x-unknown")[i // 20 % 4]
    text = {"windows-1251": RUSSIAN, "x-unknown": "what \x80 is this"}.get(charset, JAPANESE)
    return (f"Subject: =?{charset}?Q?=8C=8F=96=BC?= {i}\nMIME-Version: 1.0\n"
            f"Content-Type: text/plain; charset={charset}\nContent-Transfer-Encoding: 8bit\n",
            (text + "\n").encode("latin-1" if charset == "x-unknown" else charset) * 4)


def report(_, i):
    return (f"Subject: Undelivered {i}\nAuto-Submitted: auto-replied\nMIME-Version: 1.0\n"
            f"Content-Type: multipart/report; report-type=delivery-status; boundary=r{i}\n",
            parts(f"r{i}", "\nIt did not arrive.\n", "Content-Type: message/delivery-status\n\n"
                  "Reporting-MTA: dns; mx.far.test\n\nFinal-Recipient: rfc822; x@far.test\n"
                  "Action: failed\nStatus: 5.1.1\n",
                  f"Content-Type: text/rfc822-headers\n\nSubject: the first {i}\n"))


def calendar(_, i):
    return (f"Subject: Invitation {i}\nMIME-Version: 1.0\n"
            "Content-Type: text/calendar; method=REQUEST; charset=utf-8\n",
            f"BEGIN:VCALENDAR\nVERSION:2.0\nBEGIN:VEVENT\nUID:{i}@far.test\nSUMMARY:{GERMAN}\n"
            "END:VEVENT\nEND:VCALENDAR\n")


def addresses(dice, i):
    return (f"Subject:{i}\nTo: undisclosed recipients:;\n"
            "Cc: A group: \"one, two\" <a@b.test>, c@d.test (a \\(nested (comment)\\));,\n"
            " <@hop.test:e@f.test>, \"q\\\"uoted\"@g.test, @, <>, broken <h@\n"
            "Reply-To: =?utf-8?q?J=C3=B6rg?= =?utf-8?q?_M?= <j@far.test>\nSender:\n",
            prose(dice, 2))


def shapes(_, i):
    return (f"Subject: dots {i}\nX-Utf8: {GERMAN}\n",
            f".\n..\n.{i}\nFrom a line\n>From another\n \t \ntrailing   \n\f\v\n\n\n\n-- \nme\n")


def big(dice, i):
    lines = base64_lines(dice.randbytes(150000 if i % 40 == 18 else 500))
    return (f"Subject: a picture {i}\nMIME-Version: 1.0\nContent-Type: image/png; name=a.png\n"
            "Content-Transfer-Encoding: base64\nContent-ID: <pic@far.test>\n"
            "Content-MD5: Q2hlY2sgSW50ZWdyaXR5IQ==\nContent-Language: de, en\n", lines)


KINDS = [plain, utf8, latin, russian, attached, alternative, nested, digest, signed, long_lines,
         nothing, broken_multipart, many_headers, japanese, odd_charset, report, calendar,
         addresses, big, shapes]


def mail(i):
    """Its octets, with CRLF."""
    dice = random.Random(i)
    head, body = KINDS[i % len(KINDS)](dice, i)
    first = (f"From: Person {i} <p{i}@far.test>\nMessage-ID: <m{i}@far.test>\n"
             f"Date: {1 + i % 28} {MONTHS[i % 12]} {1999 + i % 28} 10:{i % 60:02d}:00 +0200\n")
    octets = [x.encode() if isinstance(x, str) else x for x in (first, head, "\n", body)]
    return crlf(b"".join(octets))


def flags(i):
    """Those that it has from the beginning."""
    dice = random.Random(-i)
    return dice.sample(SYSTEM, dice.randrange(0, 4)) + \
        (dice.sample(KEYWORDS, dice.randrange(0, 9)) if i % 3 == 0 else [])


def date(i):
    """INTERNALDATE."""
    return (f"{1 + i % 28:2d}-{MONTHS[i % 12]}-{1999 + i % 28} {i % 24:02d}:{i % 60:02d}:07 "
            f"{('+0000', '-0330', '+1245', '+0200')[i % 4]}")
