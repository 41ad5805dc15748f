/** The page a person sees in the browser after signing in: plain, self-contained, nothing secret on it. */

export interface CallbackPage {
  isSuccess: boolean;
  /** One line, such as `coda is connected`. */
  title: string;
  /** What to do next. */
  text: string;
}

/** Headers for the page: it loads nothing, runs nothing, and its URL, which held the code, goes nowhere. */
export const CALLBACK_PAGE_HEADERS = {
  'content-type': 'text/html; charset=utf-8',
  'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff',
  connection: 'close',
} as const;

/** The page as HTML; everything in it is escaped. */
export function renderCallbackPage({ isSuccess, title, text }: CallbackPage): string {
  const colour = isSuccess ? '#1a7f37' : '#b3261e';
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title>
<style>
:root { color-scheme: light dark }
body { font: 1.05rem/1.5 system-ui, sans-serif; display: grid; place-items: center; min-height: 90vh; margin: 1rem }
main { max-width: 32rem }
h1 { font-size: 1.4rem; border-left: .3rem solid ${colour}; padding-left: .8rem }
</style>
</head>
<body><main><h1>${escapeHtml(title)}</h1><p>${escapeHtml(text)}</p></main></body>
</html>
`;
}

function escapeHtml(text: string): string {
  const entities: Record<string, string> = {
    '&': '&amp;',
    '<': '&lt;',
    '>': '&gt;',
    '"': '&quot;',
    "'": '&#39;',
  };
  return text.replace(/[&<>"']/g, (character) => entities[character] as string);
}
