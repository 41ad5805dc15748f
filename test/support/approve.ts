import { DEFAULT_ACCOUNT, DEVICE_ENDED } from './consent-page.ts';

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
  options: ApproveOptions = {},
): Promise<string> {
  const end = await walk(issuer, authorizationUrl, options);
  if (end.page !== undefined) throw new Error(`the login ended on a page: ${end.page}`);
  return end.url;
}

/**
 * Does what a person does with a code shown on another device (RFC 8628 §3.3): opens the page of the device flow,
 * types the code unless the address holds it, confirms it, signs in and consents. Throws when the server shows an
 * error page instead.
 *
 * @param userCode the code, or `verification_uri_complete`
 */
export async function approveDeviceAt(
  issuer: string,
  userCode: string,
  options: ApproveOptions = {},
): Promise<void> {
  const isAddress = userCode.startsWith(issuer);
  const end = await walk(issuer, isAddress ? userCode : `${issuer}/device`, {
    ...options,
    ...(isAddress ? {} : { userCode }),
  });
  if (end.page === undefined) throw new Error(`the device sign-in led away to ${end.url}`);
}

/** Goes from page to page until one ends a device sign-in, or an address leaves the issuer. */
async function walk(
  issuer: string,
  start: string,
  { account = DEFAULT_ACCOUNT, deny = false, userCode }: ApproveOptions & { userCode?: string },
): Promise<{ url: string; page?: string }> {
  const cookies = new Map<string, string>();
  let codeToType = userCode;
  let form: URLSearchParams | undefined;
  let url = start;
  for (let step = 0; step < MAX_STEPS; step += 1) {
    const response = await open(url, cookies, form);
    form = undefined;
    const location = response.headers.get('location');
    if (location !== null) {
      await response.body?.cancel();
      url = new URL(location, url).href;
      if (new URL(url).origin !== new URL(issuer).origin) return { url };
      continue;
    }
    const page = await response.text();
    if (page.includes(`<title>${DEVICE_ENDED}</title>`)) return { url, page };
    form = filledIn(page, { account, decision: deny ? 'deny' : 'approve' }, codeToType);
    if (!form) throw new Error(`unexpected page, status ${response.status}: ${page}`);
    if (form.get('user_code') === codeToType) codeToType = undefined;
    url = new URL(/<form[^>]* action="([^"]+)"/.exec(page)?.[1] ?? url, url).href;
  }
  throw new Error(`the login did not end after ${MAX_STEPS} steps`);
}

/** The form of a page as the person sends it; undefined for a page that wants something else. */
function filledIn(
  page: string,
  consent: Record<string, string>,
  userCode: string | undefined,
): URLSearchParams | undefined {
  if (page.includes('id="approve"')) return new URLSearchParams(consent);
  const fields = new URLSearchParams();
  for (const [input] of page.matchAll(/<input\b[^>]*>/g)) {
    const value = (name: string) => new RegExp(` ${name}="([^"]*)"`).exec(input)?.[1];
    const name = value('name') ?? '';
    const isTyped = value('type') === 'text';
    if (isTyped && (name !== 'user_code' || userCode === undefined)) return undefined;
    fields.set(name, isTyped ? (userCode as string) : (value('value') ?? ''));
  }
  return fields.has('user_code') ? fields : undefined;
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
