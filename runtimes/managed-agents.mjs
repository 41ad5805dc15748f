// Save as push-to-vault.mjs. The first time, without CREDENTIAL_ID, it creates the credential and prints its id:
//   broker push {{connection}} --command node -- push-to-vault.mjs
// From then on, with CREDENTIAL_ID set, keep it fresh:
//   broker push {{connection}} --watch --command node -- push-to-vault.mjs
import { json } from 'node:stream/consumers';

const { ANTHROPIC_API_KEY, ANTHROPIC_BASE_URL, VAULT_ID, CREDENTIAL_ID } = process.env;
const credentials = `${ANTHROPIC_BASE_URL ?? 'https://api.anthropic.com'}/v1/vaults/${VAULT_ID}/credentials`;
const { access_token, expires_at } = await json(process.stdin);
// Without a refresh part: the vault must not refresh, the broker does.
const auth = { type: 'mcp_oauth', access_token, expires_at };

const answer = await fetch(CREDENTIAL_ID ? `${credentials}/${CREDENTIAL_ID}` : credentials, {
  method: 'POST',
  headers: {
    'x-api-key': ANTHROPIC_API_KEY ?? '',
    'anthropic-version': '2023-06-01',
    'anthropic-beta': 'managed-agents-2026-04-01',
    'content-type': 'application/json',
  },
  // The URL a credential is for is fixed when it is created.
  body: JSON.stringify({ auth: CREDENTIAL_ID ? auth : { ...auth, mcp_server_url: '{{server_url}}' } }),
});
if (!answer.ok) throw new Error(`the vault answered ${answer.status}: ${await answer.text()}`);
if (!CREDENTIAL_ID) console.log((await answer.json()).id);
