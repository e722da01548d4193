// SPDX-License-Identifier: ISC
// Everything of one mailbox, appended to another with its flags and date, by imapflow:
// imapflow_all.js PORT USER PASSWORD FROM TO.  Prints how many.
'use strict';
const { ImapFlow } = require('imapflow');

const [port, user, pass, from, to] = process.argv.slice(2);
const open = async () => {
  const c = new ImapFlow({
    host: '127.0.0.1', port: +port, secure: false, logger: false,
    auth: { user, pass }, tls: { rejectUnauthorized: false },
  });
  await c.connect();
  return c;
};

(async () => {
  const reader = await open();
  const writer = await open();
  await writer.mailboxCreate(to);
  const lock = await reader.getMailboxLock(from, { readOnly: true });
  let n = 0;
  for await (const m of reader.fetch('1:*', {
    uid: true, flags: true, envelope: true, bodyStructure: true, size: true, internalDate: true, source: true,
  })) {
    if (!m.source) continue; // a flag that somebody else has changed
    if (m.size !== m.source.length) throw new Error(`uid ${m.uid}: ${m.size} is not ${m.source.length}`);
    m.flags.delete('\\Recent');
    await writer.append(to, m.source, [...m.flags], m.internalDate);
    n++;
  }
  lock.release();
  await reader.logout();
  await writer.logout();
  console.log(n);
})().catch((e) => {
  console.error(e);
  process.exit(1);
});
