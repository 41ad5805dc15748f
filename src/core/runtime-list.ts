/**
 * Agent runtimes and how each is configured. Data only; the snippets themselves are the files in `runtimes/`.
 *
 * `docs/runtimes.md` is this list as a table. What stands here was read at its sources; most runtimes were not tried.
 */
import type { Runtime } from './runtime.ts';

const FIXED = 'the token is fetched once and stays for the whole run';
const PER_REQUEST = 'asks the broker before every request, and once more after a 401';

/** Code of one's own can do it in every way. */
const TYPESCRIPT = {
  format: 'ts',
  place: 'your program (TypeScript)',
  ways: ['token', 'gateway', 'exec'],
} as const;
const PYTHON = { format: 'py', place: 'your program (Python)', ways: ['token', 'gateway', 'exec'] } as const;

/** By name. */
export const RUNTIMES: readonly Runtime[] = [
  {
    name: 'claude-agent-sdk',
    title: 'Claude Agent SDK',
    ...TYPESCRIPT,
    notes: ['the SDK runs no login of its own: a server it cannot enter is only reported as needs-auth'],
    wayNotes: { token: [`${FIXED}: for runs longer than its life the gateway is needed`] },
    sources: ['https://code.claude.com/docs/en/agent-sdk/mcp'],
  },
  {
    name: 'claude-code',
    title: 'Claude Code',
    format: 'json',
    place: '.mcp.json in the project, or mcpServers in ~/.claude.json',
    ways: ['token', 'gateway', 'exec'],
    program: 'claude',
    notes: ['a .mcp.json of a project counts only after the workspace was trusted'],
    wayNotes: {
      token: [
        'broker must be on the PATH of Claude Code; BROKER_AGENT_KEY_FILE works as well as BROKER_AGENT_KEY',
        'the helper runs at each connect and has 10 s; from 2.1.193 on it runs again after a 401 or 403',
        'versions in which that fails look for a login of their own: use the gateway there',
      ],
      gateway: ['some versions sent variables in headers as they stand or not at all: check with /mcp'],
      exec: ['some versions sent variables in headers as they stand or not at all: check with /mcp'],
    },
    sources: [
      'https://code.claude.com/docs/en/mcp',
      'anthropics/claude-code#82070',
      'anthropics/claude-code#6204',
      'anthropics/claude-code#48514',
    ],
  },
  {
    name: 'codex',
    title: 'Codex',
    format: 'toml',
    place: '~/.codex/config.toml, or .codex/config.toml in a trusted project',
    ways: ['gateway', 'exec'],
    program: 'codex',
    notes: ['the variable is read at the start; a token written into the file itself is refused'],
    sources: ['https://developers.openai.com/codex/mcp', 'openai/codex#4317'],
  },
  {
    name: 'cursor',
    title: 'Cursor',
    format: 'json',
    place: '~/.cursor/mcp.json, or .cursor/mcp.json in the project',
    ways: ['gateway', 'exec'],
    program: 'cursor',
    notes: [
      'the variable must be set where Cursor starts, which is not a terminal when it is opened from a menu',
    ],
    sources: ['https://cursor.com/docs/mcp', 'https://zuplo.com/docs/mcp-gateway/connect-clients/cursor'],
  },
  {
    name: 'fastmcp',
    title: 'FastMCP client',
    ...PYTHON,
    notes: [],
    wayNotes: { token: [PER_REQUEST] },
    sources: ['https://gofastmcp.com/clients/auth/bearer'],
  },
  {
    name: 'gemini-cli',
    title: 'Gemini CLI',
    format: 'json',
    place: '~/.gemini/settings.json, or .gemini/settings.json in the project',
    ways: ['gateway', 'exec'],
    program: 'gemini',
    notes: [],
    sources: [
      'https://github.com/google-gemini/gemini-cli/blob/main/docs/tools/mcp-server.md',
      'https://geminicli.com/docs/cli/configuration',
    ],
  },
  {
    name: 'google-adk',
    title: 'Google ADK',
    ...PYTHON,
    notes: [],
    sources: ['https://github.com/google/adk-python/blob/main/src/google/adk/tools/mcp_tool/mcp_toolset.py'],
  },
  {
    name: 'langchain',
    title: 'LangChain and LangGraph',
    format: 'py',
    place: 'your program (Python, langchain[mcp] 1.4 or newer)',
    ways: ['token', 'gateway', 'exec'],
    notes: [
      'langchain.mcp is a beta; the older MultiServerMCPClient takes the same object as auth of a server',
    ],
    wayNotes: { token: [PER_REQUEST] },
    sources: [
      'https://docs.langchain.com/oss/python/langchain/mcp/auth',
      'langchain-ai/langchain-mcp-adapters#194',
    ],
  },
  {
    name: 'managed-agents',
    title: 'Claude Managed Agents and vaults like it',
    format: 'mjs',
    place: 'push-to-vault.mjs, run by broker push',
    ways: ['token'],
    notes: [
      'set ANTHROPIC_API_KEY and VAULT_ID, later CREDENTIAL_ID too; ANTHROPIC_BASE_URL for a vault elsewhere',
      'the credential is found by the URL of the server: another path or port sends nothing',
      'the refresh token stays here: the vault gets only the access token and its end',
    ],
    sources: [
      'https://platform.claude.com/docs/en/managed-agents/vaults',
      'https://platform.claude.com/docs/en/api/beta/vaults/credentials/update',
      'https://docs.qoder.com/zh/cloud-agents/api/vaults/update-credential',
      'https://docs.bigmodel.cn/cn/managed-agents/vaults',
    ],
  },
  {
    name: 'mcp-python',
    title: 'MCP Python SDK 2',
    ...PYTHON,
    notes: ['version 1 takes httpx in place of httpx2, and the same object as auth of streamablehttp_client'],
    wayNotes: { token: [PER_REQUEST] },
    sources: ['https://github.com/modelcontextprotocol/python-sdk/blob/main/docs/client/transports.md'],
  },
  {
    name: 'mcp-typescript',
    title: 'MCP TypeScript SDK 2',
    ...TYPESCRIPT,
    notes: [],
    wayNotes: { token: [PER_REQUEST] },
    sources: [
      'https://github.com/modelcontextprotocol/typescript-sdk/blob/main/docs/clients/machine-auth.md',
    ],
  },
  {
    name: 'mcp-typescript-v1',
    title: 'MCP TypeScript SDK 1',
    ...TYPESCRIPT,
    notes: [],
    wayNotes: { token: [PER_REQUEST] },
    sources: ['https://github.com/modelcontextprotocol/typescript-sdk/tree/v1.x'],
  },
  {
    name: 'n8n',
    title: 'n8n',
    format: 'txt',
    place: 'a node MCP Client Tool of the workflow',
    ways: ['gateway'],
    notes: ['with Selected or All Except as tools the key was once not sent: leave it at All'],
    sources: [
      'https://docs.n8n.io/integrations/builtin/cluster-nodes/sub-nodes/n8n-nodes-langchain.toolmcp',
      'n8n-io/n8n#23421',
    ],
  },
  {
    name: 'openai-agents',
    title: 'OpenAI Agents SDK (Python)',
    ...PYTHON,
    notes: ['auth must come from httpx2 with version 2 of the package mcp, from httpx with version 1'],
    wayNotes: { token: [PER_REQUEST] },
    sources: ['https://github.com/openai/openai-agents-python/blob/main/docs/mcp.md'],
  },
  {
    name: 'openai-agents-js',
    title: 'OpenAI Agents SDK (TypeScript)',
    format: 'ts',
    place: 'your program (TypeScript)',
    ways: ['gateway', 'exec'],
    notes: ['headers are fixed when the server is made'],
    sources: ['openai/openai-agents-js#682'],
  },
  {
    name: 'openai-responses',
    title: 'OpenAI Responses API',
    format: 'py',
    place: 'your program (Python)',
    ways: ['token'],
    notes: [
      'OpenAI calls the server, so it must be public; the token is not kept and belongs into every request',
      FIXED,
    ],
    sources: ['https://developers.openai.com/api/docs/guides/tools-connectors-mcp'],
  },
  {
    name: 'opencode',
    title: 'opencode',
    format: 'json',
    place: 'opencode.json in the project, or ~/.config/opencode/opencode.json',
    ways: ['gateway', 'exec'],
    program: 'opencode',
    notes: [
      'this is for version 2; version 1 has the servers directly under mcp',
      'oauth false keeps it from starting a login of its own',
    ],
    sources: ['https://opencode.ai/docs/mcp-servers'],
  },
  {
    name: 'shell',
    title: 'shell, cron and curl',
    format: 'sh',
    place: 'your script',
    ways: ['token'],
    notes: ['-H @- keeps the token off the command line, which every user of the host can list'],
    sources: ['https://curl.se/docs/manpage.html#-H', 'greeves89/AI-Employee#488'],
  },
  {
    name: 'vercel-ai-sdk',
    title: 'Vercel AI SDK',
    ...TYPESCRIPT,
    notes: ['redirects are refused by default, which is right for tokens'],
    wayNotes: { token: [PER_REQUEST, 'fetch can be given from @ai-sdk/mcp 2.0 on'] },
    sources: [
      'https://ai-sdk.dev/docs/ai-sdk-core/mcp-tools',
      'https://github.com/vercel/ai/releases/tag/@ai-sdk%2Fmcp@2.0.0',
    ],
  },
  {
    name: 'vscode',
    title: 'VS Code',
    format: 'json',
    place: '.vscode/mcp.json in the workspace, or mcp.json of the user profile',
    ways: ['gateway'],
    notes: ['VS Code asks for the agent key once and keeps it itself'],
    sources: ['https://code.visualstudio.com/docs/copilot/reference/mcp-configuration'],
  },
  {
    name: 'windsurf',
    title: 'Windsurf',
    format: 'json',
    place: '~/.codeium/windsurf/mcp_config.json',
    ways: ['gateway', 'exec'],
    program: 'windsurf',
    notes: ['the address is called serverUrl here; url as in other programs does not connect'],
    sources: [
      'https://docs.windsurf.com/windsurf/cascade/mcp',
      'https://zuplo.com/docs/mcp-gateway/connect-clients/other-clients',
    ],
  },
];
