import { type AuthProvider, Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';

let generation: number | undefined;

/** A token that works now. With the generation of one that was refused: a newer one. */
async function askBroker(rejected_generation?: number): Promise<string> {
  const answer = await fetch('{{token_url}}', {
    method: 'POST',
    headers: {
      Authorization: `Bearer ${process.env.BROKER_AGENT_KEY}`,
      'Content-Type': 'application/json',
    },
    body: JSON.stringify({ rejected_generation }),
  });
  if (!answer.ok) throw new Error(`token broker: ${await answer.text()}`);
  const token = (await answer.json()) as { access_token: string; generation: number };
  generation = token.generation;
  return token.access_token;
}

const authProvider: AuthProvider = {
  token: () => askBroker(),
  onUnauthorized: async () => {
    await askBroker(generation);
  },
};

const client = new Client({ name: 'my-agent', version: '1.0.0' });
await client.connect(new StreamableHTTPClientTransport(new URL('{{server_url}}'), { authProvider }));
console.log(await client.listTools());
await client.close();
