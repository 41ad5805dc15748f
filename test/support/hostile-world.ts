import type { LoginRequest } from '../../src/broker/login.ts';
import { type FaultWorld, startFaultWorld } from './fault-world.ts';
import { type HostileServer, type HostileServerOptions, startHostileServer } from './hostile-server.ts';

/** A world at the hostile server, which goes by the clock of the brokers too. */
export interface HostileWorld extends FaultWorld<HostileServer> {
  /** The same as `server`. */
  hostile: HostileServer;
}

/** Starts all of it and signs in. */
export async function startHostileWorld({
  request,
  ...options
}: HostileServerOptions & { request?: Partial<LoginRequest> } = {}): Promise<HostileWorld> {
  const world = await startFaultWorld((clock) => startHostileServer({ clock, ...options }), request);
  return { ...world, hostile: world.server };
}
