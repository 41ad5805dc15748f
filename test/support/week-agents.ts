/** The agents of the week: what they do on every hour of the working day, and what they were answered. */
import { call } from './http-call.ts';
import { initializeWith } from './mcp-initialize.ts';
import { type RpcClient, rpcClient, toolText } from './rpc.ts';
import type { Vendor } from './week-vendors.ts';

/** What became of one wish of an agent. */
export interface Asked {
  /** Epoch ms. */
  at: number;
  agent: 'docs-bot' | 'helper';
  connection: string;
  /** Of the broker's last answer. */
  status: number;
  /** Whether the vendor did what was wanted. */
  isDone: boolean;
  /** Of a refusal. */
  code?: unknown;
  nextStep?: unknown;
}

export interface Agents {
  /** Both ask for both connections, now. */
  ask(): Promise<Asked[]>;
  /** All that was asked since this instant, and only what was asked for `connection`, if given. */
  asked(since: number, connection?: string): Asked[];
  /** How many sessions `helper` has begun. */
  sessions(): number;
}

interface Facts {
  /** Of the daemon. */
  url: string;
  keys: { docsBot: string; helper: string };
  vendors: Vendor[];
  now(): number;
}

/** They begin to work: `helper` opens a session at each vendor, and keeps it while it can. */
export async function startAgents({ url, keys, vendors, now }: Facts): Promise<Agents> {
  const all: Asked[] = [];
  const sessions = new Map<string, RpcClient>();
  let begun = vendors.length;
  for (const { name } of vendors) {
    const session = rpcClient(`${url}/mcp/${name}`, keys.helper);
    await session.initialize();
    sessions.set(name, session);
  }

  /** An agent that fetches its token itself, and says so when the vendor does not take it. */
  async function askToken({ name, mcp }: Vendor): Promise<Omit<Asked, 'at'>> {
    const headers = { authorization: `Bearer ${keys.docsBot}` };
    const path = `${url}/v1/connections/${name}/token`;
    let answer = await call(path, { headers });
    let status = 0;
    for (const isSecond of [false, true]) {
      if (answer.status !== 200) break;
      status = await initializeWith(mcp.url, { authorization: `Bearer ${answer.json.access_token}` });
      if (status !== 401 || isSecond) break;
      const body = { rejected_generation: answer.json.generation };
      answer = await call(path, { method: 'POST', headers, body });
    }
    const { code, next_step: nextStep } = answer.json;
    const about = { agent: 'docs-bot' as const, connection: name, status: answer.status };
    return answer.status === 200
      ? { ...about, isDone: status === 200 }
      : { ...about, isDone: false, code, nextStep };
  }

  /** An agent that never sees a token. A session that is gone it begins anew, as MCP has it for a 404. */
  async function askGateway({ name, person }: Vendor): Promise<Omit<Asked, 'at'>> {
    const session = sessions.get(name) as RpcClient;
    let answer = await session.callTool(all.length, 'whoami');
    if (answer.status === 404) {
      begun += 1;
      await session.initialize();
      answer = await session.callTool(all.length, 'whoami');
    }
    const about = { agent: 'helper' as const, connection: name, status: answer.status };
    const { error } = (answer.messages[0] ?? {}) as { error?: { data: Record<string, unknown> } };
    if (!error) return { ...about, isDone: toolText(answer) === person };
    return { ...about, isDone: false, code: error.data.code, nextStep: error.data.next_step };
  }

  return {
    async ask() {
      const at = now();
      const before = all.length;
      for (const vendor of vendors)
        for (const ask of [askToken, askGateway]) all.push({ at, ...(await ask(vendor)) });
      return all.slice(before);
    },
    sessions: () => begun,
    asked: (since, connection) =>
      all.filter((each) => each.at >= since && (connection ?? each.connection) === each.connection),
  };
}
