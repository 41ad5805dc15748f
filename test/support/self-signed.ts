import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

/** A running https server nobody should trust. */
export interface SelfSignedServer {
  /** The origin, without a trailing slash. */
  url: string;
  /** Requests that came in all the same. */
  count(): number;
  close(): Promise<void>;
}

/** Starts an https server on loopback with a certificate made by the `openssl` command for it alone. */
export async function startSelfSignedServer(): Promise<SelfSignedServer> {
  let count = 0;
  const server = createServer(await makeCertificate(), (_request, response) => {
    count += 1;
    response.end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    count: () => count,
    async close() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}

/** A certificate that is its own authority, and its key; both PEM. @param name as in `subjectAltName` */
export async function makeCertificate(name = 'IP:127.0.0.1'): Promise<{ key: string; cert: string }> {
  const directory = await mkdtemp(join(tmpdir(), 'certificate-'));
  const [key, cert] = [join(directory, 'key.pem'), join(directory, 'cert.pem')];
  try {
    const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
    const subject = ['-subj', '/CN=test', '-addext', `subjectAltName=${name}`, '-days', '2'];
    await promisify(execFile)('openssl', [
      ...['req', '-x509', ...curve, ...subject],
      ...['-keyout', key, '-out', cert],
    ]);
    return { key: await readFile(key, 'utf8'), cert: await readFile(cert, 'utf8') };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** What a private authority issued, all PEM files in `directory`. */
export interface IssuedCertificate {
  /** Of the authority. */
  ca: string;
  cert: string;
  key: string;
}

/** A certificate of an authority that nobody knows, made by the `openssl` command. @param name as in `subjectAltName` */
export async function issueCertificate(directory: string, name: string): Promise<IssuedCertificate> {
  const place = (file: string) => join(directory, file);
  const files = { ca: place('ca.pem'), cert: place('issued.pem'), key: place('issued.key') };
  const request = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const caKey = place('ca.key');
  const openssl = promisify(execFile);
  await openssl('openssl', [
    ...[...request, '-days', '2', '-subj', '/CN=test authority'],
    ...['-keyout', caKey, '-out', files.ca],
  ]);
  await openssl('openssl', [
    ...[...request, '-days', '2', '-subj', '/CN=test', '-CA', files.ca, '-CAkey', caKey],
    ...['-addext', `subjectAltName=${name}`, '-addext', 'basicConstraints=critical,CA:FALSE'],
    ...['-keyout', files.key, '-out', files.cert],
  ]);
  return files;
}
