/** How we begin with an MCP server when we only want to know whether it answers. */

/** The revision we speak then. A server that knows only older ones says so itself. */
export const PROTOCOL_VERSION = '2025-11-25';

/** The request, but for its id. */
export const INITIALIZE = {
  method: 'initialize',
  params: {
    protocolVersion: PROTOCOL_VERSION,
    capabilities: {},
    clientInfo: { name: 'mcp-token-broker', version: '1' },
  },
} as const;
