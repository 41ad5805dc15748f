/**
 * The manner in which a token endpoint is asked: how the client authenticates, whether resource and scope are named.
 *
 * Some servers refuse what the standards ask for. A refusal that says so has used up nothing, so the request is made
 * once more in another manner; one that works is remembered with the server.
 */
import type { ServerSettings } from '../core/server-settings.ts';
import { otherAuthMethod } from '../oauth/client-auth.ts';
import type { ServerMetadata } from '../oauth/server-discovery.ts';
import type { TokenAnswer } from '../oauth/token-request.ts';
import { type Client, findClient, openClient, updateClient } from '../vault/clients.ts';
import { changeSettings, type Server } from '../vault/servers.ts';
import type { Context } from './context.ts';

export interface Manner {
  client: Client;
  settings: ServerSettings;
  /** Whether another client authentication was tried already: each is tried once. */
  isAuthTried?: boolean;
}

/** OAuth error code of an answer. Undefined: none, or it holds a token. */
export function errorOf(answer: TokenAnswer): string | undefined {
  if (answer.kind !== 'answer' || answer.status >= 500 || answer.status === 429) return undefined;
  if (answer.body?.access_token !== undefined) return undefined;
  return typeof answer.body?.error === 'string' ? answer.body.error : undefined;
}

/**
 * What to try next after this answer. Undefined: nothing.
 *
 * @param scope granted scope that a refresh can repeat
 */
export function anotherManner(
  answer: TokenAnswer,
  { client, settings, isAuthTried = false }: Manner,
  metadata: ServerMetadata,
  scope?: string | undefined,
): Manner | undefined {
  const error = errorOf(answer);
  const { resourceParameter, refreshScope } = settings;
  const withScope = { client, isAuthTried, settings: { ...settings, refreshScope: 'send' as const } };
  const canRepeat = scope !== undefined && refreshScope === 'omit';
  switch (error) {
    case 'invalid_client': {
      const authMethod = isAuthTried ? undefined : otherAuthMethod(client, metadata);
      return authMethod && { client: { ...client, authMethod }, settings, isAuthTried: true };
    }
    case 'invalid_scope':
      return canRepeat ? withScope : undefined;
    case 'invalid_request':
    case 'invalid_target':
      // Naming the scope harms nothing; without the resource the token may be for somebody else.
      if (canRepeat && error === 'invalid_request') return withScope;
      return resourceParameter === 'omit'
        ? undefined
        : { client, isAuthTried, settings: { ...settings, resourceParameter: 'omit' } };
    default:
      return undefined;
  }
}

/** The settings a manner stands for, as far as they differ from those before. */
export function mannerOf(settings: ServerSettings, before: ServerSettings): Partial<ServerSettings> {
  const { resourceParameter, refreshScope } = settings;
  return {
    ...(resourceParameter === before.resourceParameter ? {} : { resourceParameter }),
    ...(refreshScope === before.refreshScope ? {} : { refreshScope }),
  };
}

/** Keeps what has worked: how the client authenticates, and what to name. */
export async function rememberManner(
  context: Pick<Context, 'vault'>,
  server: Server,
  { client, settings }: Manner,
): Promise<void> {
  await rememberClient(context, client);
  await context.vault.transaction(() => changeSettings(server.name, mannerOf(settings, server.settings)));
}

/** Writes down with the client how it authenticates, when that has changed. */
export async function rememberClient({ vault }: Pick<Context, 'vault'>, client: Client): Promise<void> {
  const row = await vault.run(() => findClient(client.rowId));
  if (!row || row.auth_method === client.authMethod) return;
  const update = await updateClient(vault.sealer, {
    ...(await openClient(vault.sealer, row)),
    authMethod: client.authMethod,
  });
  await vault.transaction(update);
}
