// A script without an MCP library: one call of a protected server, and what to do when the broker says no.
import { BrokerClientError, brokerFetch } from 'mcp-token-broker/client';

const [url = 'https://coda.io/apis/mcp', connection = 'coda'] = process.argv.slice(2);
const fetch = brokerFetch({ connection });

try {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream' },
    body: JSON.stringify({
      jsonrpc: '2.0',
      id: 1,
      method: 'initialize',
      params: {
        protocolVersion: '2025-06-18',
        capabilities: {},
        clientInfo: { name: 'example-agent', version: '1.0.0' },
      },
    }),
  });
  process.stdout.write(`${response.status}\n${await response.text()}\n`);
} catch (error) {
  if (!(error instanceof BrokerClientError)) throw error;
  process.stderr.write(`${error.code}: ${error.message}\n${error.nextStep ?? ''}\n`);
  process.exitCode = 1;
}
