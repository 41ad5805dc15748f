/** Who the broker is at a server that takes several kinds of clients: the best of them, in a fixed order. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import { freePort } from '../support/free-port.ts';
import { type SelfSignedServer, startSelfSignedServer } from '../support/self-signed.ts';
import { type OddWorld, startOddWorld } from './odd-world.ts';

let world: OddWorld;
/** Hosts the client metadata document, with a certificate that is not known here: the broker uses it unread. */
let host: SelfSignedServer;
let port: number;
let clientMetadataUrl: string;

beforeEach(async () => {
  host = await startSelfSignedServer();
  port = await freePort();
  clientMetadataUrl = `${host.url}/broker/client.json`;
  const redirectUris = [`http://127.0.0.1:${port}/callback`];
  world = await startOddWorld({
    clients: ['by-hand', clientMetadataUrl].map((id) => ({ id, method: 'none', redirectUris })),
    metadata: (document) => ({ ...document, client_id_metadata_document_supported: true }),
  });
});

afterEach(async () => {
  await world.close();
  await host.close();
});

/** Where the client of a login comes from. */
const sourceOf = async (request: Parameters<OddWorld['signIn']>[0]) =>
  (await world.signIn({ callbackPort: port, ...request })).events[1];

it('a client made by hand comes first', async () => {
  expect(await sourceOf({ clientId: 'by-hand', clientMetadataUrl })).toMatchObject({
    ...{ source: 'configured', client_id: 'by-hand' },
  });
  expect(world.server.registrations()).toEqual([]);
});

it('then a metadata document, where the server takes such', async () => {
  const { events, notices, asked } = await world.signIn({ callbackPort: port, clientMetadataUrl });
  expect(events[1]).toMatchObject({ source: 'metadata_document', client_id: clientMetadataUrl });
  expect(asked.get('client_id')).toBe(clientMetadataUrl);
  expect(notices).toEqual([expect.stringContaining('could not be read from here')]);
  expect(world.server.registrations()).toEqual([]);
});

it('then a registration, where the server takes no documents', async () => {
  world.server.change({ metadata: (document) => document });
  expect(await sourceOf({ clientMetadataUrl })).toMatchObject({ source: 'registered' });
  expect(world.server.registrations()).toHaveLength(1);
});

it('then the operator is asked for a client', async () => {
  world.server.change({ metadata: ({ registration_endpoint: _, ...rest }) => rest });
  expect(await world.refused({ clientMetadataUrl })).toMatchObject({
    code: 'registration_refused',
    hint: expect.stringContaining('--client-id'),
  });
});
