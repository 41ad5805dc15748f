import { DEFAULT_ACCOUNT } from './consent-page.ts';

/** Who clicks, and on what. */
export interface ApproveOptions {
  /** Default `alice`. */
  account?: string;
  /** Click `deny` instead. Default false. */
  deny?: boolean;
}

/** More hops than any login takes; beyond that it goes in circles. */
const MAX_STEPS = 10;

/**
 * Does what a person with a fresh browser does at `issuer`: opens the authorization address, fills in the page,
 * follows redirects. Returns the first address that leaves the issuer, without opening it: the client's redirect
 * URI with `code` or `error`. Throws when the server shows an error page instead.
 */
export async function approveAt(
  issuer: string,
  authorizationUrl: string,
  { account = DEFAULT_ACCOUNT, deny = false }: ApproveOptions = {},
): Promise<string> {
  const cookies = new Map<string, string>();
  let form: URLSearchParams | undefined;
  let url = authorizationUrl;
  for (let step = 0; step < MAX_STEPS; step += 1) {
    const response = await open(url, cookies, form);
    form = undefined;
    const location = response.headers.get('location');
    if (location !== null) {
      await response.body?.cancel();
      url = new URL(location, url).href;
      if (new URL(url).origin !== new URL(issuer).origin) return url;
    } else {
      const text = await response.text();
      if (!text.includes('id="approve"'))
        throw new Error(`unexpected page, status ${response.status}: ${text}`);
      form = new URLSearchParams({ account, decision: deny ? 'deny' : 'approve' });
    }
  }
  throw new Error(`the login did not end after ${MAX_STEPS} steps`);
}

/** One page view. Cookie paths are ignored: in a single login no two cookies of the server share a name. */
async function open(url: string, cookies: Map<string, string>, form?: URLSearchParams): Promise<Response> {
  const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ');
  const response = await fetch(url, {
    method: form ? 'POST' : 'GET',
    redirect: 'manual',
    headers: { accept: 'text/html', cookie },
    ...(form ? { body: form } : {}),
  });
  for (const set of response.headers.getSetCookie()) {
    const [pair = ''] = set.split(';');
    const [name = '', ...value] = pair.split('=');
    cookies.set(name, value.join('='));
  }
  return response;
}
