// SPDX-License-Identifier: ISC
// The status page in a browser: large and small, by day and by night, with nothing but a
// keyboard.  Each step throws where something is not as it should be.
// The browser's profile is a new directory below $TMPDIR.
// page.js URL ACCOUNT PASSWORD CHROMIUM SHOTS
'use strict';
const assert = require('assert');
const path = require('path');
const { chromium } = require('playwright-core');

const [url, account, password, executablePath, shots] = process.argv.slice(2);
const LIMIT = 60000;
const sizes = {
  desktop: { viewport: { width: 1280, height: 900 } },
  telephone: { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2 },
};
const args = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--no-proxy-server'];

let browser;

// A window whose page complains: an error, a refused resource, or a request to elsewhere.
const browse = async (options) => {
  const context = await browser.newContext(options);
  context.setDefaultTimeout(LIMIT);
  const trouble = [];
  const page = await context.newPage();
  page.on('pageerror', (e) => trouble.push(`error: ${e.message}`));
  page.on('console', (m) => { if (m.type() === 'error') trouble.push(`console: ${m.text()}`); });
  page.on('request', (r) => { if (!r.url().startsWith(url)) trouble.push(`elsewhere: ${r.url()}`); });
  return { context, page, trouble };
};

const shot = (page, name) => page.screenshot({ path: path.join(shots, `${name}.png`), fullPage: true });

// Nothing is wider than the window, each field has a name, each table its headers.
const look = async (page, where) => {
  const { width } = page.viewportSize();
  const found = await page.evaluate((wide) => {
    const bad = [];
    if (document.documentElement.scrollWidth > wide) {
      bad.push(`${document.documentElement.scrollWidth} wide`);
      for (const e of document.querySelectorAll('main *')) {
        if (e.getBoundingClientRect().right > wide + 1 && !e.closest('.scroll, pre')) bad.push(e.outerHTML.slice(0, 80));
      }
    }
    if (document.querySelectorAll('h1').length !== 1) bad.push('not one h1');
    if (!document.documentElement.lang) bad.push('no language');
    for (const e of document.querySelectorAll('input:not([type=hidden]), select')) {
      if (!e.labels.length && !e.getAttribute('aria-label')) bad.push(`no label: ${e.outerHTML}`);
    }
    for (const e of document.querySelectorAll('button, a')) {
      if (!e.textContent.trim() && !e.getAttribute('aria-label')) bad.push(`no name: ${e.outerHTML}`);
    }
    for (const t of document.querySelectorAll('table')) {
      if (!t.querySelector('thead th[scope=col]')) bad.push('a table without headers');
    }
    for (const s of document.querySelectorAll('svg:not([aria-hidden])')) {
      if (!s.getAttribute('aria-label')) bad.push('a picture without words');
    }
    const ids = [...document.querySelectorAll('[id]')].map((e) => e.id);
    if (new Set(ids).size !== ids.length) bad.push('an id twice');
    return bad;
  }, width);
  assert.deepStrictEqual(found, [], where);
};

// Text against its ground: 4.5 to 1 (WCAG 1.4.3), wherever a colour stands alone.
const contrast = async (page, where) => {
  const low = await page.evaluate(() => {
    const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
    const rgb = (c) => {
      canvas.clearRect(0, 0, 1, 1);
      canvas.fillStyle = c;
      canvas.fillRect(0, 0, 1, 1);
      return canvas.getImageData(0, 0, 1, 1).data;
    };
    const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
      .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
      .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const ground = (e) => {
      for (; e; e = e.parentElement) {
        const c = rgb(getComputedStyle(e).backgroundColor);
        if (c[3] === 255) return c;
      }
      return [255, 255, 255, 255];
    };
    const bad = [];
    for (const e of document.querySelectorAll('a, button, p, h1, h2, td, th, dt, dd, small, span, label, li, code, time')) {
      if (!e.textContent.trim() || e.closest('.hide, .skip, svg') || e.matches('.none')) continue;
      const [a, b] = [light(rgb(getComputedStyle(e).color)), light(ground(e))].sort((x, y) => y - x);
      const ratio = (a + 0.05) / (b + 0.05);
      if (ratio < 4.5) bad.push(`${ratio.toFixed(2)} ${e.tagName} ${e.className} ${e.textContent.trim().slice(0, 30)}`);
    }
    return [...new Set(bad)];
  });
  assert.deepStrictEqual(low, [], where);
};

const signIn = async (page) => {
  await page.goto(`${url}/sign-in?back=/`);
  await page.getByLabel('Account').fill(account);
  await page.getByLabel('Password').fill(password);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('button', { name: 'Sign out' }).waitFor();
};

const everywhere = async (size, scheme) => {
  const name = `${size}-${scheme}`;
  const { context, page, trouble } = await browse({ ...sizes[size], colorScheme: scheme });
  const visit = async (where, what) => {
    await page.goto(url + where);
    await look(page, `${name} ${what}`);
    await contrast(page, `${name} ${what}`);
    await shot(page, `${name}-${what}`);
  };
  await visit('/', 'stranger');
  await visit('/sign-in', 'sign-in');
  await signIn(page);
  await visit('/', 'overview');
  await visit('/queue', 'queue');
  assert.strictEqual(await page.evaluate(() => typeof window.alerted), 'undefined');
  const id = await page.locator('table.queue tbody th a').last().textContent();
  await visit(`/message/${id}`, 'message');
  await visit('/queue?to=nobody@nowhere.test', 'nothing');
  await page.goto(`${url}/queue`);
  await page.locator('input[type=checkbox][name=id]').first().check();
  await page.getByRole('button', { name: 'Delete' }).click();
  await page.getByRole('heading', { name: 'Delete for good?' }).waitFor();
  await look(page, `${name} question`);
  await shot(page, `${name}-question`);
  await page.getByRole('link', { name: 'No, go back' }).click();
  await page.getByRole('heading', { name: 'Queue' }).waitFor();
  assert.deepStrictEqual(trouble, [], name);
  await context.close();
};

// Tab until `wanted` has the focus, which must be seen.
const tabTo = async (page, wanted) => {
  for (let i = 0; i < 60; i++) {
    await page.keyboard.press('Tab');
    const here = await page.evaluate(() => {
      const e = document.activeElement;
      const ring = getComputedStyle(e).outlineStyle !== 'none';
      return { text: (e.getAttribute('aria-label') || e.textContent || '').trim(), name: e.name || '', ring };
    });
    if (here.name !== '' || here.text !== '') assert.ok(here.ring, `no ring at ${here.text || here.name}`);
    if (here.text === wanted || (wanted.endsWith(' ') && here.text.startsWith(wanted))) return;
  }
  assert.fail(`Tab does not lead to ${wanted}`);
};

const byKeyboard = async () => {
  const { context, page, trouble } = await browse(sizes.desktop);
  await page.goto(url);
  await page.keyboard.press('Tab');
  assert.strictEqual(await page.evaluate(() => document.activeElement.className), 'skip');
  await tabTo(page, 'Sign in');
  await page.keyboard.press('Enter');
  await page.getByLabel('Account').waitFor();
  await page.keyboard.type(account); // the field has the focus already
  await page.keyboard.press('Tab');
  await page.keyboard.type(password);
  await page.keyboard.press('Enter');
  await page.getByRole('button', { name: 'Sign out' }).waitFor();
  await tabTo(page, 'Queue');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Queue' }).waitFor();
  await tabTo(page, 'Select '); // a message's box, by its label
  await page.keyboard.press('Space');
  assert.ok(await page.locator('input[type=checkbox][name=id]').first().isChecked());
  await tabTo(page, 'Retry now');
  await page.keyboard.press('Enter');
  const notice = page.getByRole('status');
  await notice.waitFor();
  assert.match(await notice.textContent(), /1 recipient is tried now/);
  assert.deepStrictEqual(trouble, []);
  await context.close();
};

// Without the script everything can be done; with it the overview stays fresh.
const alive = async () => {
  const { context, page } = await browse(sizes.desktop);
  await page.goto(url);
  await page.evaluate(() => { document.getElementById('live').firstElementChild.textContent = 'old'; });
  await page.waitForFunction(() => !document.getElementById('live').textContent.startsWith('old'));
  await context.close();
  const plain = await browse({ ...sizes.desktop, javaScriptEnabled: false });
  await signIn(plain.page);
  await plain.page.goto(`${url}/queue?state=held`);
  await plain.page.getByRole('checkbox', { name: /^Select/ }).first().check();
  await plain.page.getByRole('button', { name: 'Hold' }).click();
  await plain.page.getByRole('status').waitFor();
  await plain.context.close();
};

(async () => {
  browser = await chromium.launch({ executablePath, args, headless: true });
  for (const size of Object.keys(sizes)) {
    for (const scheme of ['light', 'dark']) await everywhere(size, scheme);
  }
  await byKeyboard();
  await alive();
  await browser.close();
  console.log('all of it');
})().catch((e) => { console.log(e.stack); process.exit(1); });
