import type { IncomingMessage, ServerResponse } from 'node:http';
import type { KoaContextWithOIDC, default as OidcProvider } from 'oidc-provider';
import { errors } from './provider-library.ts';
import type { RecordedRequest } from './recorded-request.ts';

/** Path prefix of the pages that ask the person; the provider sends browsers there. */
export const INTERACTION_PATH = '/interaction/';

/** Who signs in when nobody says otherwise. */
export const DEFAULT_ACCOUNT = 'alice';

/**
 * Serves the one page that is login and consent together: a text field `account`, and the buttons `approve` and
 * `deny`. It posts to its own address. Approving grants everything that was asked for.
 */
export async function serveConsentPage(
  provider: OidcProvider,
  request: IncomingMessage,
  response: ServerResponse,
  recorded: RecordedRequest,
): Promise<void> {
  const interaction = await provider.interactionDetails(request, response).catch((error: unknown) => {
    if (error instanceof errors.SessionNotFound) return undefined;
    throw error;
  });
  if (!interaction) {
    response
      .writeHead(400, { 'content-type': 'text/plain' })
      .end('this login is over, or began in another browser');
    return;
  }
  const { params, session } = interaction;
  if (recorded.method !== 'POST') {
    response.setHeader('content-type', 'text/html; charset=utf-8');
    response.end(page(session?.accountId ?? DEFAULT_ACCOUNT));
    return;
  }
  if (recorded.form?.decision !== 'approve') {
    const denied = { error: 'access_denied', error_description: 'the account holder said no' };
    await provider.interactionFinished(request, response, denied, { mergeWithLastSubmission: false });
    return;
  }
  const accountId = recorded.form.account || DEFAULT_ACCOUNT;
  const grantId = await grantEverything(provider, accountId, params);
  await provider.interactionFinished(request, response, { login: { accountId }, consent: { grantId } });
}

/**
 * The pages of the device flow (RFC 8628 §3.3): a text field `user_code`; the code to compare, with `confirm`; and
 * how it ended. Between the last two comes the consent page.
 */
export const devicePages = {
  userCodeInputSource(ctx: KoaContextWithOIDC, form: string, _out?: unknown, error?: Error): void {
    const isDenied = error?.name === 'AbortedError';
    ctx.body = isDenied
      ? devicePage(DEVICE_ENDED, 'Denied')
      : devicePage(error?.message ?? 'Your code', form);
  },
  userCodeConfirmSource(
    ctx: KoaContextWithOIDC,
    form: string,
    _client: unknown,
    _info: unknown,
    code: string,
  ): void {
    ctx.body = devicePage(`Is it ${code}?`, form);
  },
  successSource(ctx: KoaContextWithOIDC): void {
    ctx.body = devicePage(DEVICE_ENDED, 'Approved');
  },
};

/** Title of the page that ends a device sign-in, approved or denied. */
export const DEVICE_ENDED = 'Go back to your device';

function devicePage(title: string, content: string): string {
  return `<!doctype html>
<title>${title}</title>
${content}
`;
}

async function grantEverything(
  provider: OidcProvider,
  accountId: string,
  params: Record<string, unknown>,
): Promise<string> {
  const grant = new provider.Grant({ accountId, clientId: String(params.client_id) });
  const scope = typeof params.scope === 'string' ? params.scope : '';
  const resources = [params.resource ?? []].flat().map(String);
  grant.addOIDCScope(scope);
  for (const resource of resources) grant.addResourceScope(resource, scope);
  return grant.save();
}

function page(account: string): string {
  const value = account.replaceAll('&', '&amp;').replaceAll('"', '&quot;');
  return `<!doctype html>
<title>Sign in and authorize</title>
<form method="post">
  <label>Account <input id="account" name="account" value="${value}"></label>
  <button id="approve" name="decision" value="approve">Approve</button>
  <button id="deny" name="decision" value="deny">Deny</button>
</form>
`;
}
