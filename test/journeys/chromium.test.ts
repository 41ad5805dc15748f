import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { chromiumPath, openChromium } from '../support/chromium.ts';
import { type Journey, startJourney } from '../support/journey.ts';

const hasChromium = chromiumPath() !== undefined;
if (!hasChromium) process.stderr.write('no Chromium on this machine: its tests are skipped\n');

describe.skipIf(!hasChromium)('a login in a real browser', () => {
  let journey: Journey;
  let browser: Browser;

  beforeAll(async () => {
    [journey, browser] = await Promise.all([startJourney(), openChromium()]);
  });

  afterAll(async () => {
    await browser.close();
    await journey.close();
  });

  /** Opens the link, clicks, and waits for the page the broker shows. */
  async function click(authorizationUrl: string, button: 'approve' | 'deny'): Promise<Page> {
    const page = await (await browser.newContext()).newPage();
    await page.goto(authorizationUrl);
    await page.click(`#${button}`);
    await page.waitForURL(/\/callback\?/);
    return page;
  }

  /** The values that must not be read from a screen over somebody's shoulder. */
  function secretsOf(page: Page, authorizationUrl: string): string[] {
    const names = ['code', 'state', 'code_challenge'];
    return [page.url(), authorizationUrl].flatMap((url) =>
      names.flatMap((name) => new URL(url).searchParams.get(name) ?? []),
    );
  }

  async function expectHarmless(page: Page, authorizationUrl: string): Promise<string> {
    const text = await page.innerText('body');
    const secrets = secretsOf(page, authorizationUrl);
    expect(secrets.length).toBeGreaterThan(1);
    for (const secret of secrets) expect(`${text} ${await page.title()}`).not.toContain(secret);
    expect(await page.locator('script, iframe, img, link, form, a').count()).toBe(0);
    return text;
  }

  it('ends with a page that says who is connected, and holds no script and no secret', async () => {
    const { process, authorizationUrl } = await journey.beginLogin();
    const page = await click(authorizationUrl, 'approve');
    const text = await expectHarmless(page, authorizationUrl);
    expect(text).toContain('demo is connected');
    expect(await process.exited).toBe(0);
    const token = (await journey.run(['token', 'demo'])).stdout.trim();
    expect(await page.content()).not.toContain(token);
    await page.context().close();
  });

  it('ends with a page that says so when the person clicks deny', async () => {
    const { process, authorizationUrl } = await journey.beginLogin();
    const page = await click(authorizationUrl, 'deny');
    const text = await expectHarmless(page, authorizationUrl);
    expect(text).toContain('The login did not succeed');
    expect(text).toContain('The terminal says what to do next');
    expect(await process.exited).toBe(2);
    await page.context().close();
  });
});
