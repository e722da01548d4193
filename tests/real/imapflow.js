// SPDX-License-Identifier: ISC
// A mailbox read and changed with imapflow, by two sessions; each step throws where the
// answer is not what it should be.  imapflow.js PORT USER PASSWORD
'use strict';
const assert = require('assert');
const { ImapFlow } = require('imapflow');

const [port, user, pass] = process.argv.slice(2);
const open = async () => {
  const c = new ImapFlow({
    host: '127.0.0.1', port: +port, secure: false, logger: false,
    auth: { user, pass }, tls: { rejectUnauthorized: false },
  });
  await c.connect();
  return c;
};

(async () => {
  const a = await open();
  const boxes = await a.list();
  const uses = Object.fromEntries(boxes.map((b) => [b.path, b.specialUse]));
  assert.strictEqual(uses.Sent, '\\Sent');
  assert.strictEqual(uses.Trash, '\\Trash');
  await a.append('INBOX', 'Subject: one\r\nMessage-ID: <1@x>\r\n\r\nhi there\r\n', ['\\Seen'], new Date());
  await a.append('INBOX', 'Subject: =?utf-8?q?zw=C3=B6lf?=\r\n\r\ntwo\r\n');
  const lock = await a.getMailboxLock('INBOX');
  assert.strictEqual(a.mailbox.exists, 2);
  const seen = [];
  for await (const m of a.fetch('1:*', {
    uid: true, flags: true, envelope: true, bodyStructure: true, size: true,
    internalDate: true, headers: ['subject'], source: true,
  })) {
    assert.strictEqual(m.size, m.source.length);
    seen.push(m.envelope.subject);
  }
  assert.deepStrictEqual(seen, ['one', 'zwölf']);
  const { content } = await a.download('1', '1');
  let text = '';
  for await (const piece of content) text += piece;
  assert.strictEqual(text, 'hi there\r\n');
  assert.deepStrictEqual(await a.search({ subject: 'zwölf' }), [2]);
  assert.deepStrictEqual(await a.search({ seen: false }, { uid: true }), [2]);

  const b = await open();
  await b.mailboxOpen('INBOX');
  const flags = new Promise((told) => b.once('flags', told));
  const idling = b.idle();
  await a.messageFlagsAdd('2', ['\\Answered', '$x']);
  assert.ok((await flags).flags.has('\\Answered'));
  const gone = new Promise((told) => b.once('expunge', told));
  const moved = await a.messageMove('1', 'Trash');
  assert.strictEqual(moved.uidMap.get(1), 1);
  await gone;
  const status = await a.status('Trash', { messages: true, unseen: true, highestModseq: true });
  assert.strictEqual(status.messages, 1);
  assert.strictEqual(status.unseen, 0);
  await a.mailboxCreate('Ünïcode/below');
  await a.mailboxRename('Ünïcode', 'Neu');
  assert.ok((await a.list()).some((x) => x.path === 'Neu/below'));
  await a.mailboxDelete('Neu/below');
  lock.release();
  await a.logout();
  await b.logout();
  await idling;
  console.log('all of it');
})().catch((e) => {
  console.error(e);
  process.exit(1);
});
