import { query } from '@anthropic-ai/claude-agent-sdk';

for await (const message of query({
  prompt: 'Which tools of {{name}} can you use?',
  options: {
    mcpServers: {
      '{{name}}': {
        type: 'http',
        url: '{{url}}',
        headers: { Authorization: `Bearer ${process.env.BROKER_AGENT_KEY}` },
      },
    },
    allowedTools: ['mcp__{{name}}__*'],
  },
})) {
  if (message.type === 'result' && message.subtype === 'success') console.log(message.result);
}
