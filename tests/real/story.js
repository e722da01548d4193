// SPDX-License-Identifier: ISC
// An administrator's first trouble, on the page: mail waits, the page says why; the
// upstream is repaired ("go" on standard input), the mail is sent, and the page says so.
// story.js URL ACCOUNT PASSWORD CHROMIUM SHOTS ADDRESS
'use strict';
const assert = require('assert');
const path = require('path');
const readline = require('readline');
const { chromium } = require('playwright-core');

const [url, account, password, executablePath, shots, address] = process.argv.slice(2);

(async () => {
  const lines = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();
  const browser = await chromium.launch({
    executablePath,
    headless: true,
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage',
      '--disable-background-networking', '--disable-component-update', '--no-proxy-server'],
  });
  const page = await (await browser.newContext({ viewport: { width: 1100, height: 800 } })).newPage();
  page.setDefaultTimeout(60000);
  const shot = (name) => page.screenshot({ path: path.join(shots, `story-${name}.png`), fullPage: true });

  await page.goto(url);
  await page.getByRole('link', { name: 'Sign in' }).first().click();
  await page.getByLabel('Account').fill(account);
  await page.getByLabel('Password').fill(password);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('button', { name: 'Sign out' }).waitFor();
  assert.match(await page.locator('main').textContent(), /connection refused/i);
  await shot('overview');
  await page.getByRole('link', { name: 'Queue' }).first().click();
  await page.getByRole('heading', { name: 'Queue' }).waitFor();
  assert.match(await page.locator('main').textContent(), new RegExp(address));
  await page.locator('table.queue tbody th a').first().click();
  await page.locator('h1').waitFor();
  assert.match(await page.locator('main').textContent(), /connection refused/i);
  assert.match(await page.locator('main').textContent(), /smtp2?\.provider\.example/);
  await shot('why');

  console.log('found');
  assert.strictEqual((await lines.next()).value, 'go');
  await page.goto(`${url}/queue`);
  await page.getByRole('checkbox', { name: /^Select/ }).first().check();
  await page.getByRole('button', { name: 'Retry now' }).click();
  await page.getByRole('status').waitFor();

  console.log('tried');
  assert.strictEqual((await lines.next()).value, 'gone');
  await page.goto(`${url}/history?to=${encodeURIComponent(address)}`);
  await page.getByRole('cell', { name: /delivered/i }).first().waitFor();
  await shot('delivered');
  await browser.close();
  console.log('all of it');
  process.exit(0);
})().catch((e) => { console.log(e.stack); process.exit(1); });
