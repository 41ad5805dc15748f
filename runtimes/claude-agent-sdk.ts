import { query } from '@anthropic-ai/claude-agent-sdk';

/** Headers with a token of {{connection}} that works now. */
async function brokerHeaders(): Promise<Record<string, string>> {
  const answer = await fetch('{{headers_url}}?min_ttl=3600', {
    headers: { Authorization: `Bearer ${process.env.BROKER_AGENT_KEY}` },
  });
  if (!answer.ok) throw new Error(`token broker: ${await answer.text()}`);
  return (await answer.json()) as Record<string, string>;
}

for await (const message of query({
  prompt: 'Which tools of {{name}} can you use?',
  options: {
    mcpServers: {
      '{{name}}': { type: 'http', url: '{{server_url}}', headers: await brokerHeaders() },
    },
    allowedTools: ['mcp__{{name}}__*'],
  },
})) {
  if (message.type === 'result' && message.subtype === 'success') console.log(message.result);
}
