/** Faults that happen to the listener or the metadata of a server, and not to a request that is there. */
import type { FaultAct } from './hostile-faults.ts';
import { type SelfSignedServer, startSelfSignedServer } from './self-signed.ts';

/** How a server can be reached at this moment. */
export interface Reach {
  /** Origin of the token endpoint, for the metadata. */
  tokenOrigin(): string;
  /** Closes, opens and moves what the fault asks for. Any other fault, or none, makes all well again. */
  set(act: FaultAct | undefined): Promise<void>;
  close(): Promise<void>;
}

/** No host has a name under `.invalid` (RFC 6761 §6.4). */
const UNKNOWN_HOST = 'https://authorization-server.invalid';

/** The reach of a server that listens at `issuer`. `setListening` closes its listener and opens it again. */
export function createReach(issuer: string, setListening: (isListening: boolean) => Promise<void>): Reach {
  let tokenOrigin = issuer;
  let untrusted: SelfSignedServer | undefined;
  return {
    tokenOrigin: () => tokenOrigin,
    async set(act) {
      await setListening(act?.kind !== 'closed');
      tokenOrigin = issuer;
      if (act?.kind !== 'moved') return;
      if (act.to === 'bad certificate') untrusted ??= await startSelfSignedServer();
      tokenOrigin = untrusted && act.to === 'bad certificate' ? untrusted.url : UNKNOWN_HOST;
    },
    async close() {
      await untrusted?.close();
    },
  };
}
