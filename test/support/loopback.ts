import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/**
 * Starts `server` on 127.0.0.1 and returns its origin, without a trailing slash. Port 0 lets the system choose a
 * free one, always above the ports that fetch refuses.
 */
export async function listenOnLoopback(server: Server, port = 0): Promise<string> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => {
      server.off('error', reject);
      resolve();
    });
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Stops `server` like `closeServer`, or lets it listen at `port` again. Does nothing where that is so. */
export async function setListening(server: Server, port: number, isListening: boolean): Promise<void> {
  if (isListening && !server.listening) await listenOnLoopback(server, port);
  if (!isListening && server.listening) await closeServer(server);
}

/** Stops `server` at once: idle and open connections are cut, so that a hung answer cannot hold up a test run. */
export async function closeServer(server: Server): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeAllConnections();
  await closed;
}
