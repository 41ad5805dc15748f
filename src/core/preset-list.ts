/**
 * Servers people connect most, with what is known to be odd about them. Data only: a preset saves typing and names its
 * sources; nothing works for a preset that an option could not do for any other server.
 *
 * `docs/presets.md` is this list as a table.
 */
import type { Preset } from './preset.ts';

/** Nothing odd is known. */
const USUAL = { settings: {}, notes: [] };

const CLOUDFLARE_SOURCE = 'https://github.com/cloudflare/mcp-server-cloudflare';

function usual(name: string, url: string, ...sources: Preset['sources']): Preset {
  return { ...USUAL, name, urls: [url], sources };
}

/** One of Cloudflare's servers for a single product. */
function cloudflare(product: string): Preset {
  return usual(`cloudflare-${product}`, `https://${product}.mcp.cloudflare.com/mcp`, CLOUDFLARE_SOURCE);
}

/** By name. */
export const PRESETS: readonly Preset[] = [
  {
    ...USUAL,
    name: 'asana',
    urls: ['https://mcp.asana.com/v2/mcp'],
    needsClient:
      'create an MCP app at https://app.asana.com/0/my-apps, then give --client-id and --client-secret-file',
    sources: ['https://developers.asana.com/docs/integrating-with-asanas-mcp-server'],
  },
  {
    ...USUAL,
    name: 'atlassian',
    urls: [
      'https://mcp.atlassian.com/v1/mcp/authv2',
      'https://mcp.atlassian.com/v1/mcp',
      'https://mcp.atlassian.com/v1/sse',
    ],
    notes: [
      'Atlassian recommends https://mcp.atlassian.com/v1/mcp/authv2 and no longer supports …/v1/sse',
      'if its metadata belongs to another issuer, check the two names and vouch for the one that is told with --issuer',
    ],
    sources: [
      'https://support.atlassian.com/atlassian-rovo-mcp-server/docs/using-with-other-supported-mcp-clients/',
      'atlassian/atlassian-mcp-server#205',
      'atlassian/atlassian-mcp-server#148',
    ],
  },
  {
    ...USUAL,
    name: 'box',
    urls: ['https://mcp.box.com/'],
    needsClient:
      'in the Box Admin Console add integration credentials to the Box MCP server (Integrations), then give --client-id and --client-secret-file',
    sources: ['https://developer.box.com/guides/box-mcp/setup'],
  },
  {
    ...USUAL,
    name: 'canva',
    urls: ['https://mcp.canva.com/mcp'],
    notes: ['Canva refuses redirect URIs that are neither on this machine nor of a host it has listed'],
    sources: ['nightly-labs/openbot#667', 'SkillfulAgents/SuperAgent#923', 'appstrate/appstrate#709'],
  },
  {
    ...USUAL,
    name: 'clickup',
    urls: ['https://mcp.clickup.com/mcp'],
    needsClient: 'ClickUp registers only clients on its list: ask it to be put there, or for a client id',
    sources: ['appstrate/appstrate#602'],
  },
  usual('cloudflare', 'https://mcp.cloudflare.com/mcp', CLOUDFLARE_SOURCE),
  cloudflare('bindings'),
  cloudflare('browser'),
  cloudflare('builds'),
  cloudflare('casb'),
  cloudflare('containers'),
  cloudflare('dex'),
  cloudflare('observability'),
  {
    name: 'coda',
    urls: ['https://coda.io/apis/mcp', 'https://docs.superhuman.com/apis/mcp'],
    settings: { scopes: ['mcp:all'] },
    notes: ['the client secret ends 180 days after the first login; broker check warns before'],
    sources: ['https://help.coda.io/hc/en-us/articles/44722769665549', 'cursor/plugins#259'],
  },
  {
    ...USUAL,
    name: 'figma',
    urls: ['https://mcp.figma.com/mcp'],
    needsClient: 'Figma registers only clients of its MCP catalog: ask Figma to be listed there',
    sources: ['anthropics/claude-code#74768', 'punkpeye/mcp-remote#186'],
  },
  {
    ...USUAL,
    name: 'github',
    urls: ['https://api.githubcopilot.com/mcp/'],
    needsClient:
      'create a GitHub App (its tokens end and are renewed) or an OAuth App at https://github.com/settings/developers, then give --client-id and --client-secret-file',
    sources: [
      'https://github.com/github/github-mcp-server/blob/main/docs/host-integration.md',
      'github/github-mcp-server#1404',
    ],
  },
  usual('globalping', 'https://mcp.globalping.dev/mcp', 'https://github.com/jsdelivr/globalping-mcp-server'),
  {
    ...USUAL,
    name: 'hubspot',
    urls: ['https://mcp.hubspot.com/'],
    needsClient:
      'create an MCP auth app in HubSpot (Development, MCP Auth Apps), then give --client-id and --client-secret-file',
    sources: [
      'https://developers.hubspot.com/docs/apps/developer-platform/build-apps/integrate-with-hubspot-mcp-server',
      'cursor/plugins#201',
    ],
  },
  {
    ...USUAL,
    name: 'huggingface',
    urls: ['https://huggingface.co/mcp?login'],
    notes: ['?login belongs to the address: without it the server lets everybody in as nobody'],
    sources: ['https://github.com/huggingface/hf-mcp-server'],
  },
  {
    ...USUAL,
    name: 'intercom',
    urls: ['https://mcp.intercom.com/mcp'],
    notes: ['for workspaces in the US; those in Europe are at intercom-eu, and there is none in Australia'],
    sources: [
      'https://www.speakeasy.com/docs/ai-control-plane/guides/intercom',
      'screenpipe/screenpipe#4580',
    ],
  },
  usual(
    'intercom-eu',
    'https://mcp.eu.intercom.com/mcp',
    'https://www.speakeasy.com/docs/ai-control-plane/guides/intercom',
  ),
  usual(
    'linear',
    'https://mcp.linear.app/mcp',
    'https://docs.litellm.ai/docs/mcp_servers/linear',
    'screenpipe/screenpipe#4580',
  ),
  {
    ...USUAL,
    name: 'monday',
    urls: ['https://mcp.monday.com/mcp'],
    notes: ['monday.com wants integrations that are offered to others registered with it first'],
    sources: [
      'https://developer.monday.com/api-reference/docs/integrate-with-monday-mcp',
      'https://developer.monday.com/api-reference/docs/mcp-dynamic-client-registration',
    ],
  },
  {
    ...USUAL,
    name: 'neon',
    urls: ['https://mcp.neon.tech/mcp'],
    notes: ['Neon does not recommend this server for production databases'],
    sources: ['https://github.com/neondatabase/mcp-server-neon'],
  },
  {
    ...USUAL,
    name: 'notion',
    urls: ['https://mcp.notion.com/mcp'],
    notes: ['Notion does not tell when its tokens end: agents report a refused one and get the next'],
    sources: [
      'https://developers.notion.com/guides/mcp/build-mcp-client.md',
      'preset-io/agor#1092',
      'heypinchy/pinchy#339',
    ],
  },
  usual(
    'paypal',
    'https://mcp.paypal.com/mcp',
    'https://docs.keycard.ai/admin/catalog/mcp-servers/paypal',
    'https://developer.paypal.com/ai-tools/mcp-server',
  ),
  usual(
    'sentry',
    'https://mcp.sentry.dev/mcp',
    'https://docs.sentry.io/product/sentry-mcp',
    'screenpipe/screenpipe#4580',
  ),
  {
    ...USUAL,
    name: 'slack',
    urls: ['https://mcp.slack.com/mcp'],
    notes: ['Slack compares the redirect URI to the letter: give the one of your app with --redirect-uri'],
    needsClient:
      'create an internal app at https://api.slack.com/apps with Model Context Protocol switched on and its redirect URI, then give --client-id, --client-secret-file and --redirect-uri',
    sources: ['https://docs.mcpmanager.ai/mcp-server-guides/slack', 'openai/codex#13200'],
  },
  {
    ...USUAL,
    name: 'square',
    urls: ['https://mcp.squareup.com/mcp'],
    notes: ['Square keeps a list of clients it lets in; additions are asked for in its developer forum'],
    sources: [
      'https://www.developersdigest.tech/mcp-servers/square',
      'https://github.com/square/square-mcp-server',
    ],
  },
  {
    ...USUAL,
    name: 'stripe',
    urls: ['https://mcp.stripe.com/'],
    notes: ['an administrator allows MCP in the Stripe Dashboard, for sandbox and live mode separately'],
    sources: ['https://docs.stripe.com/mcp', 'screenpipe/screenpipe#4580'],
  },
  usual(
    'supabase',
    'https://mcp.supabase.com/mcp',
    'supabase-community/supabase-mcp#172',
    'supabase/mcp#355',
  ),
  {
    ...USUAL,
    name: 'todoist',
    urls: ['https://ai.todoist.net/mcp'],
    settings: { endedLoginTexts: ['Todoist API request failed (HTTP 401)'] },
    sources: ['Doist/todoist-mcp#366'],
  },
  {
    ...USUAL,
    name: 'vercel',
    urls: ['https://mcp.vercel.com/'],
    notes: ['Vercel registers clients only with redirect URIs on this machine'],
    sources: ['tellahq/opensession#173', 'UsefulSoftwareCo/executor#1121'],
  },
  usual(
    'webflow',
    'https://mcp.webflow.com/sse',
    'https://developers.webflow.com/mcp/reference/how-it-works',
  ),
  usual(
    'wix',
    'https://mcp.wix.com/mcp',
    'https://mcpservers.org/remote-mcp-servers/wix',
    'https://dev.wix.com/docs/overview/ai-the-wix-platform/the-wix-mcp',
  ),
  {
    ...USUAL,
    name: 'zapier',
    urls: ['https://mcp.zapier.com/api/v1/connect'],
    notes: [
      'Zapier expects the clients it lists; for others it offers a connection token instead of a login',
    ],
    sources: [
      'https://docs.zapier.com/mcp/get-started/connect/v0',
      'https://docs.zapier.com/mcp/overview/how-connections-work',
    ],
  },
];
