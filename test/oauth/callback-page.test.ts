import { describe, expect, it } from 'vitest';
import { CALLBACK_PAGE_HEADERS, renderCallbackPage } from '../../src/oauth/callback-page.ts';

describe('the page after signing in', () => {
  it('shows its title and its text', () => {
    const page = renderCallbackPage({
      isSuccess: true,
      title: 'coda is connected',
      text: 'You may close this page.',
    });
    expect(page).toContain('<h1>coda is connected</h1><p>You may close this page.</p>');
    expect(page).toContain('<title>coda is connected</title>');
  });

  it('looks different after a failure', () => {
    const page = { title: 'x', text: 'y' };
    expect(renderCallbackPage({ ...page, isSuccess: false })).not.toBe(
      renderCallbackPage({ ...page, isSuccess: true }),
    );
  });

  it('escapes words of a stranger', () => {
    const hostile = `</h1><script>alert("x")</script>&amp;<img src=x onerror='y'>`;
    const page = renderCallbackPage({ isSuccess: false, title: hostile, text: hostile });
    expect(page).not.toMatch(/<script|<img/);
    expect(page).toContain('&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;&amp;amp;');
  });

  it('loads nothing, runs nothing, and is not kept', () => {
    const page = renderCallbackPage({ isSuccess: true, title: 'x', text: 'y' });
    expect(page).not.toMatch(/<script|<link|<iframe|src=|href=|url\(|@import|https?:/i);
    expect(CALLBACK_PAGE_HEADERS).toMatchObject({
      'content-security-policy': expect.stringContaining("default-src 'none'"),
      'referrer-policy': 'no-referrer',
      'cache-control': 'no-store',
    });
    expect(CALLBACK_PAGE_HEADERS['content-security-policy']).toContain("frame-ancestors 'none'");
  });
});
