// SPDX-License-Identifier: ISC
// Mails composed and sent with nodemailer, each in another shape, over pooled connections:
// nodemailer.js PORT TO N.  Prints how many were taken.
'use strict';
const nodemailer = require('nodemailer');

const [port, to, n] = process.argv.slice(2);
const transport = nodemailer.createTransport({
  host: '127.0.0.1', port: +port, secure: false, pool: true, maxConnections: 4, ignoreTLS: true,
});
const shapes = [
  (i) => ({ text: `plain ${i}\n.\n..dots\n` }),
  (i) => ({ text: `Grüße ${i}`, html: `<p>Grüße <img src="cid:a@x"> ${i}</p>`,
    attachments: [{ filename: 'ä.png', cid: 'a@x', content: Buffer.alloc(3000, i) }] }),
  (i) => ({ text: 'x'.repeat(3000), attachments: [{ filename: '日本語.txt', content: `данные ${i}` }] }),
  (i) => ({ text: 'come', icalEvent: { method: 'REQUEST', content: `BEGIN:VCALENDAR\nUID:${i}\nEND:VCALENDAR` } }),
  (i) => ({ text: 'fwd', attachments: [{ contentType: 'message/rfc822',
    content: `Subject: within ${i}\r\n\r\nhello\r\n` }] }),
  () => ({ text: '' }),
  (i) => ({ raw: `From: raw@far.test\r\nTo: ${to}\r\nMessage-ID: <raw${i}@far.test>\r\nSubject: raw ${i}\r\n\r\nas it is\r\n` }),
  (i) => ({ text: 'many', headers: { 'X-Long': 'word '.repeat(300), References: `<${i}@x> <y@x>` }, priority: 'high' }),
];

(async () => {
  const all = [];
  for (let i = 0; i < +n; i++) {
    all.push(transport.sendMail({
      from: '"Jörg, 日本" <j@far.test>', subject: `Über ${i} ${'ß'.repeat(i % 90)}`,
      messageId: `<node${i}@far.test>`, ...shapes[i % shapes.length](i),
      envelope: { from: 'j@far.test', to: [to] },
    }));
  }
  await Promise.all(all);
  transport.close();
  console.log(`${n} taken`);
})().catch((e) => {
  console.error(e);
  process.exit(1);
});
