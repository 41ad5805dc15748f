/** A TCP relay that keeps every byte of both directions: what anybody on the agent's side of the wire could read. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

export interface WireRelay {
  /** The same path behind the relay. */
  url: string;
  /** Bytes to the agents, and from them. */
  down(): Buffer;
  up(): Buffer;
  close(): Promise<void>;
}

/** Starts one in front of `target`; requests keep their `Host`, so the daemon must allow it. */
export async function startWireRelay(target: string): Promise<WireRelay> {
  const { hostname, port, pathname } = new URL(target);
  const [down, up]: [Buffer[], Buffer[]] = [[], []];
  const sockets = new Set<Socket>();
  const server = createServer((agent) => {
    const daemon = connect(Number(port), hostname);
    for (const [socket, other, kept] of [
      [agent, daemon, up],
      [daemon, agent, down],
    ] as const) {
      sockets.add(socket);
      socket.on('data', (chunk: Buffer) => {
        kept.push(chunk);
        other.write(chunk);
      });
      socket.on('error', () => {});
      socket.on('close', () => other.destroy());
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}${pathname}`,
    down: () => Buffer.concat(down),
    up: () => Buffer.concat(up),
    async close() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
