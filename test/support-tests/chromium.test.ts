import { afterEach, describe, expect, it } from 'vitest';
import { startAuthorizationServer } from '../support/authorization-server.ts';
import { chromiumPath, openChromium } from '../support/chromium.ts';
import { startRawServer } from '../support/raw-server.ts';
import { authorizationUrl, discover, register } from './oauth-client.ts';

const closers: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

describe.skipIf(chromiumPath() === undefined)('a real browser', () => {
  it.each([
    ['approve', 'code'],
    ['deny', 'error'],
  ])('signs in again and again as different accounts, and clicks %s', async (button, expected) => {
    const server = await startAuthorizationServer();
    closers.push(() => server.close());
    const callback = await startRawServer(() => ({ status: 200, body: 'you may close this window' }));
    closers.push(() => callback.close());
    const metadata = await discover(server.issuer);
    const client = await register(metadata);
    const browser = await openChromium();
    closers.push(() => browser.close());
    const page = await browser.newPage();
    for (const account of ['carol', 'dave']) {
      // A native client may come back on any port of 127.0.0.1, whatever port it registered.
      const parameters = { scope: 'openid', redirect_uri: `${callback.url}/callback` };
      await page.goto((await authorizationUrl(metadata, client, parameters)).url);
      await page.fill('#account', account);
      await page.click(`#${button}`);
      await page.waitForURL(`${callback.url}/**`);
      expect(new URL(page.url()).searchParams.has(expected)).toBe(true);
    }
  });
});
