import { writeFile } from 'node:fs/promises';
import { createServer, request } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createHome } from './home.ts';
import { makeCertificate } from './self-signed.ts';

/** A running https server for one JSON document. */
export interface DocumentServer {
  /** Where the document is. */
  url: string;
  /** Certificate authority of its certificate, as a file. */
  caFile: string;
  /** Puts the document there; before that the answer is 404. */
  publish(document: Record<string, unknown>): void;
  /** Reads it as an authorization server would. */
  read(url: string): Promise<Response>;
  close(): Promise<void>;
}

/** Starts the server on 127.0.0.1. */
export async function startDocumentServer(): Promise<DocumentServer> {
  const home = await createHome();
  const { key, cert } = await makeCertificate('IP:127.0.0.1');
  const caFile = join(home.path, 'ca.pem');
  await writeFile(caFile, cert);
  let published: string | undefined;
  const server = createServer({ key, cert }, (_request, response) => {
    response.writeHead(published === undefined ? 404 : 200, { 'content-type': 'application/json' });
    response.end(published);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `https://127.0.0.1:${(server.address() as AddressInfo).port}/broker.json`,
    caFile,
    publish(document) {
      published = JSON.stringify(document);
    },
    read: (url) =>
      new Promise((resolve, reject) => {
        const asked = request(url, { ca: cert }, async (answer) => {
          const chunks = await answer.toArray();
          resolve(new Response(Buffer.concat(chunks), { status: answer.statusCode ?? 500 }));
        });
        asked.on('error', reject).end();
      }),
    async close() {
      await new Promise((resolve) => server.close(resolve));
      await home.remove();
    },
  };
}
