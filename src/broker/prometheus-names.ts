/** In front of the name of each metric that is ours. */
export const PREFIX = 'mcp_token_broker_';
