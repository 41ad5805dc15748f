import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { closeServer, listenOnLoopback } from './loopback.ts';
import { makeCertificate } from './self-signed.ts';

/** A document at an https URL, as an operator hosts it. */
export interface HostedDocument {
  url: string;
  /** PEM file with the certificate of its server. */
  caFile: string;
  /** What is answered from now on; an object becomes JSON. At first: 404. */
  answer(status: number, body?: string | object): void;
  /** Reads it as an authorization server would. */
  read(url: string): Promise<Response>;
  /** Requests so far. */
  count(): number;
  /** Stops the server and deletes the certificate. */
  close(): Promise<void>;
  /** Stops the server only. */
  stop(): Promise<void>;
}

/** Starts an https server on loopback with one page, `/client.json`. */
export async function hostDocument(): Promise<HostedDocument> {
  const directory = await mkdtemp(join(tmpdir(), 'hosted-'));
  const certificate = await makeCertificate();
  const caFile = join(directory, 'certificate.pem');
  await writeFile(caFile, certificate.cert);
  let answer: { status: number; body: string | object } = { status: 404, body: '' };
  let count = 0;
  const server = createServer(certificate, (_request, response) => {
    count += 1;
    const { status, body } = answer;
    response.writeHead(status).end(typeof body === 'object' ? JSON.stringify(body) : body);
  });
  const origin = await listenOnLoopback(server);
  const stop = () => (server.listening ? closeServer(server) : Promise.resolve());
  return {
    url: `${origin.replace('http:', 'https:')}/client.json`,
    caFile,
    answer(status, body = '') {
      answer = { status, body };
    },
    read: (url) =>
      new Promise((resolve, reject) => {
        const asked = request(url, { ca: certificate.cert }, async (response) => {
          const chunks = await response.toArray();
          resolve(new Response(Buffer.concat(chunks), { status: response.statusCode ?? 500 }));
        });
        asked.on('error', reject).end();
      }),
    count: () => count,
    stop,
    async close() {
      await stop();
      await rm(directory, { recursive: true });
    },
  };
}
