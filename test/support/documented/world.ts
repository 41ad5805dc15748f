/** The world that the documents assume: real servers in the place of the vendors, and a vault with logins in it. */
import { cp, readdir } from 'node:fs/promises';
import type { Broker } from '../../../src/broker/index.ts';
import { Secret } from '../../../src/secret.ts';
import { createHome, type Home } from '../home.ts';
import { startIdentityWorld } from '../identity-world.ts';
import { MACHINE_SECRET, withMachines } from '../machine-client.ts';
import { startMachineServer } from '../machine-server.ts';
import { startMcpServer } from '../mcp-server.ts';
import { withBroker } from '../prepare.ts';
import { signIn } from '../sign-in.ts';

/** The servers, and the home that every page begins with. */
export interface DocumentedWorld {
  /** Approves a link as `alice`; where the browser is sent. */
  approve(link: string): Promise<string>;
  /** Each address of the documents with ours, longest first. */
  addresses: [documented: string, ours: string][];
  /** An MCP server whose authorization server takes tokens of a platform. */
  workload: string;
  /** A home of its own: `prepared` with the logins the documents speak of, or as on a new machine. */
  openHome(kind: 'prepared' | 'new'): Promise<Home>;
  /** Signs in once more in a home, for connections whose end there must not be the end of the other copies. */
  signInAlone(home: Home, connections: string[]): Promise<void>;
  close(): Promise<void>;
}

/** Clients that the documents were given by a vendor. */
const CLIENTS = [
  {
    client_id: 'abc',
    grant_types: ['client_credentials'],
    redirect_uris: [],
    response_types: [] as 'code'[],
  },
].map((client) => ({ ...client, client_secret: MACHINE_SECRET }));

/** Starts the servers and makes the logins. */
export async function startDocumentedWorld(): Promise<DocumentedWorld> {
  const machines = withMachines();
  const world = await startIdentityWorld({
    ...machines,
    clients: [...(machines.clients ?? []), ...CLIENTS],
    // Each page works on a copy of the same logins.
    rotateRefreshTokens: false,
  });
  const { authorizationServer } = world.journey;
  const [notion, example, old] = await Promise.all([
    startMcpServer({ authorizationServer }),
    startMcpServer({ authorizationServer }),
    startMcpServer({ authorizationServer, sse: {} }),
  ]);
  const workload = await startMachineServer();
  const coda = world.journey.mcp;
  const logins: [connection: string, target: string][] = [
    ['coda', coda.url],
    ['notion@alice', notion.url],
    ['notion@acme', notion.url],
    ['corp@alice', world.corp],
  ];
  const logIn = async (home: Home, wanted: typeof logins) =>
    withBroker({ home }, async (broker) => {
      for (const [connection, target] of wanted) {
        const [name, account] = connection.split('@');
        await signIn(broker, authorizationServer, target, { name, ...(account ? { account } : {}) });
      }
    });
  await logIn(world.journey.home, logins);
  await withBroker(world.journey, (broker) => addMachines(broker, world.internal.url, example.url));
  return {
    approve: (link) => authorizationServer.approve(link),
    workload: workload.mcp,
    addresses: [
      ['https://mcp.example.com/sse', old.url],
      ['https://mcp.example.com/mcp', example.url],
      ['https://reports.example.com/mcp', example.url],
      ['https://mcp.notion.com/mcp', notion.url],
      ['https://coda.io/apis/mcp', coda.url],
    ],
    async openHome(kind) {
      const home = await createHome();
      if (kind === 'prepared') {
        for (const place of await readdir(world.journey.home.path))
          await cp(`${world.journey.home.path}/${place}`, `${home.path}/${place}`, { recursive: true });
      }
      return home;
    },
    signInAlone: (home, connections) =>
      logIn(
        home,
        logins.filter(([connection]) => connections.includes(connection)),
      ),
    async close() {
      for (const server of [notion, example, old, workload] as { close(): Promise<void> }[])
        await server.close();
      await world.close();
    },
  };
}

async function addMachines(broker: Broker, internal: string, reports: string): Promise<void> {
  await broker.addIdentity({ name: 'internal', url: internal, source: 'corp', mode: 'forward' });
  await broker.add({
    ...{ name: 'reports', url: reports, clientId: 'by-basic', clientSecret: new Secret(MACHINE_SECRET) },
    grant: { kind: 'client_credentials' },
  });
}
