/** All that the gateway asks of the broker. */
import type { Dispatcher } from 'undici';
import type { Settings } from '../config.ts';
import type { Network, Transport } from '../core/server-settings.ts';
import { createKeptDispatcher } from '../oauth/connect.ts';
import { changeSettings } from '../vault/servers.ts';
import type { Caller, Context } from './context.ts';
import { openUpstream, type UpstreamAccess } from './gateway.ts';
import { type GatewayCall, noteCall, noteRefusedCall } from './gateway-calls.ts';
import { createGatewaySessions, type GatewaySessions } from './gateway-sessions.ts';
import { openProgram, type ProgramStart } from './program.ts';
import type { TokenQuery } from './tokens.ts';
import { type RuleChanges, type RulesView, setToolRules, toolRules } from './tool-rules.ts';

export interface GatewayServices {
  /** The way to a server for one call. */
  open(caller: Caller, name: string, query?: Pick<TokenQuery, 'rejectedGeneration'>): Promise<UpstreamAccess>;
  /** What the program of a connection is started with. */
  program(caller: Caller, name: string): Promise<ProgramStart>;
  /** Remembers how MCP is spoken with a server, once that was found out. */
  learnTransport(server: string, transport: Transport): Promise<void>;
  /** Connections to servers of this network, kept for the next call. */
  dispatcher(network: Network): Dispatcher;
  sessions: GatewaySessions;
  /** Writes down what became of a call. */
  note(caller: Caller, call: GatewayCall): void;
  /** The same for one that is refused: on disk when it resolves. */
  noteRefused(caller: Caller, call: GatewayCall): Promise<void>;
  /** What agents may use at a connection, or at the only one of a server. */
  rules(name: string): Promise<RulesView>;
  /** Changes the rules of a server. False: they were so already. */
  setRules(server: string, changes: RuleChanges): Promise<boolean>;
}

export function createGatewayServices(context: Context, settings: Settings): GatewayServices {
  const { vault } = context;
  return {
    open: (caller, name, query) => openUpstream(context, caller, name, query),
    program: (caller, name) => openProgram(context, caller, name),
    learnTransport: (server, transport) => vault.transaction(() => changeSettings(server, { transport })),
    dispatcher: keptDispatchers(settings),
    sessions: createGatewaySessions(context),
    note: (caller, call) => noteCall(context, caller, call),
    noteRefused: (caller, call) => noteRefusedCall(context, caller, call),
    rules: (name) => toolRules(context, name),
    setRules: (server, changes) => setToolRules(context, server, changes),
  };
}

/** One for each network, made when it is first needed. */
function keptDispatchers({ proxy, caFile }: Settings): (network: Network) => Dispatcher {
  const made = new Map<Network, Dispatcher>();
  return (network) => {
    const dispatcher = made.get(network) ?? createKeptDispatcher({ proxy, caFile, network });
    made.set(network, dispatcher);
    return dispatcher;
  };
}
