/** How the operator connects, scenario by scenario: by a person's login, or with a credential of the machine's own. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { Broker } from '../../src/broker/index.ts';
import type { LoginRequest } from '../../src/broker/login.ts';
import { Secret } from '../../src/secret.ts';
import { signIn } from './operator.ts';

/** What the runner tells the client. */
export interface Assignment {
  scenario: string;
  url: string;
  /** Credentials, in the scenarios that have some. */
  context: unknown;
}

/** Obtains the connection, or obtains it again. No scopes: what the server suggests. */
export type Connect = (scopes: string[]) => Promise<void>;

/** Where the suite pretends that our client metadata document is. Nobody can fetch it. */
const CLIENT_METADATA_URL = 'https://conformance-test.local/client-metadata.json';

/** @param directory for files with what a machine presents */
export async function setUp(
  broker: Broker,
  name: string,
  { scenario, url, context }: Assignment,
  directory: string,
): Promise<Connect> {
  const login =
    (client: Partial<LoginRequest>): Connect =>
    (scopes) =>
      signIn(broker, url, { name, scopes, clientMetadataUrl: CLIENT_METADATA_URL, ...client });

  const add =
    (credential: Credential): Connect =>
    async (scopes) => {
      await broker.add({ name, url, scopes, ...credential });
    };

  async function file(content: string): Promise<string> {
    const path = join(directory, 'presented.jwt');
    await writeFile(path, content, { mode: 0o600 });
    return path;
  }

  switch (scenario) {
    case 'auth/pre-registration':
      return login(readSecret(context));
    case 'auth/client-credentials-basic':
      return add({ ...readSecret(context), grant: { kind: 'client_credentials' } });
    case 'auth/client-credentials-jwt':
      return add({ ...readKey(context), grant: { kind: 'client_credentials' } });
    case 'auth/wif-jwt-bearer': {
      const { client_id, valid_jwt } = Workload.parse(context);
      const assertionFile = await file(valid_jwt);
      return add({ clientId: client_id, grant: { kind: 'jwt_bearer', assertionFile } });
    }
    case 'auth/enterprise-managed-authorization': {
      const { issuer, clientId, idToken } = Enterprise.parse(context);
      const subjectTokenFile = await file(idToken);
      const identityProvider = { issuer, clientId };
      return add({ ...readSecret(context), grant: { kind: 'id_jag', subjectTokenFile, identityProvider } });
    }
    default:
      return login({});
  }
}

type Credential = Omit<Parameters<Broker['add']>[0], 'name' | 'url' | 'scopes'>;

const Workload = z.object({ client_id: z.string(), valid_jwt: z.string() });

/** The identity provider, and our id and the person's login there. */
const Enterprise = z
  .object({
    idp_issuer: z.string(),
    idp_client_id: z.string(),
    idp_id_token: z.string(),
  })
  .transform((idp) => ({
    issuer: idp.idp_issuer,
    clientId: idp.idp_client_id,
    idToken: idp.idp_id_token,
  }));

function readSecret(context: unknown) {
  const client = z.object({ client_id: z.string(), client_secret: z.string() }).parse(context);
  return { clientId: client.client_id, clientSecret: new Secret(client.client_secret) };
}

function readKey(context: unknown) {
  const client = z.object({ client_id: z.string(), private_key_pem: z.string() }).parse(context);
  return { clientId: client.client_id, clientKey: new Secret(client.private_key_pem) };
}
