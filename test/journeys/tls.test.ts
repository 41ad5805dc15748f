/** A daemon that encrypts, with a certificate of an authority nobody knows: what its callers need, and what they refuse. */
import { execFile } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { expectFailure, type Journey, startJourney } from '../support/journey.ts';
import { CHECKOUT, runProgram } from '../support/packed-package.ts';
import { type IssuedCertificate, issueCertificate } from '../support/self-signed.ts';

let journey: Journey;
/** For 127.0.0.1. */
let certificate: IssuedCertificate;
/** For another host, by another authority. */
let other: IssuedCertificate;
let url: string;
let otherUrl: string;
let key: string;

beforeAll(async () => {
  journey = await startJourney();
  const directory = (name: string) => {
    const path = join(journey.home.path, name);
    mkdirSync(path);
    return path;
  };
  [certificate, other] = await Promise.all([
    issueCertificate(directory('own'), 'IP:127.0.0.1'),
    issueCertificate(directory('other'), 'DNS:broker.example.com'),
    journey.login(),
  ]);
  const added = await journey.run(['agent', 'add', 'docs-bot', '--allow', 'demo']);
  key = added.stdout.trim();
  [url, otherUrl] = await Promise.all([serve(certificate), serve(other)]);
}, 60_000);

afterAll(() => journey.close());

async function serve({ cert, key: keyFile }: IssuedCertificate): Promise<string> {
  const listening = ['serve', '--listen', '127.0.0.1:0', '--tls-cert', cert, '--tls-key', keyFile];
  const [, address = ''] = await journey.start(listening).waitFor(/listening on (https:\S+)/, 'stderr');
  return address;
}

/** Asks and calls with the built client library, in a process of its own: Node reads its authorities at its start. */
async function callWithLibrary(daemonUrl: string, env: Record<string, string> = {}) {
  const file = join(journey.home.path, 'agent.mjs');
  const library = pathToFileURL(join(CHECKOUT, 'dist/client/index.js')).href;
  writeFileSync(
    file,
    `import { brokerAuth, brokerFetch } from '${library}';
     const options = { connection: 'demo' };
     const failed = ({ code, message, nextStep }) => ({ code, message, nextStep });
     const token = await brokerAuth(options).token().then((text) => text.length > 20, failed);
     const headers = { accept: 'application/json, text/event-stream', 'content-type': 'application/json' };
     const call = { method: 'POST', headers, body: '{"jsonrpc":"2.0","id":1,"method":"ping"}' };
     const status = await brokerFetch(options)('${journey.mcp.url}', call).then((answer) => answer.status, failed);
     console.log(JSON.stringify({ token, status }));`,
  );
  const { code, stdout, stderr } = await runProgram(process.execPath, [file], {
    cwd: journey.home.path,
    env: { BROKER_URL: daemonUrl, BROKER_AGENT_KEY: key, ...env },
  });
  expect(code, stderr).toBe(0);
  return JSON.parse(stdout) as Record<'token' | 'status', unknown>;
}

it('the client library calls it when Node is told the authority', async () => {
  const told = { NODE_EXTRA_CA_CERTS: certificate.ca };
  // The server takes the token, and misses the session.
  expect(await callWithLibrary(url, told)).toEqual({ token: true, status: 400 });
});

it.each<[string, () => [string, Record<string, string>], string]>([
  ['of an authority nobody knows', () => [url, {}], 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'],
  ['for another host', () => [otherUrl, { NODE_EXTRA_CA_CERTS: other.ca }], 'ERR_TLS_CERT_ALTNAME_INVALID'],
])('the client library sends no key to one with a certificate %s', async (_, where, reason) => {
  const [daemonUrl, env] = where();
  const refused = {
    code: 'daemon_unreachable',
    message: `no broker daemon answers at ${daemonUrl} (${reason})`,
    nextStep: expect.stringContaining('NODE_EXTRA_CA_CERTS'),
  };
  expect(await callWithLibrary(daemonUrl, env)).toEqual({ token: refused, status: refused });
});

it('nobody is answered in clear there', async () => {
  const { token } = await callWithLibrary(url.replace('https:', 'http:'));
  expect(token).toMatchObject({ code: 'daemon_unreachable' });
});

it('curl and the command line call it when they are told the authority, and not otherwise', async () => {
  const env = { BROKER_URL: url, BROKER_AGENT_KEY: key, BROKER_HOME: '/nonexistent' };
  const token = ['token', 'demo'];
  const [trusted, trustedByOption, untrusted] = await Promise.all([
    journey.run(token, { env: { ...env, NODE_EXTRA_CA_CERTS: certificate.ca } }),
    journey.run([...token, '--ca-file', certificate.ca], { env }),
    journey.run(token, { env }),
  ]);
  expect(trusted).toMatchObject({ code: 0, stdout: expect.stringMatching(/^\S{20,}\n$/) });
  expect(trustedByOption).toEqual(trusted);
  expectFailure(untrusted, 3, /no broker daemon answers.*\(UNABLE_TO_VERIFY_LEAF_SIGNATURE\)/);
  expect(untrusted.stderr).toContain('--ca-file <file>');

  const ask = ['-sS', '-u', `docs-bot:${key}`, '-d', 'grant_type=client_credentials', `${url}/oauth/token`];
  expect(await curl(['--cacert', certificate.ca, ...ask])).toMatchObject({
    code: 0,
    stdout: expect.stringContaining(`"access_token":"${trusted.stdout.trim()}"`),
  });
  expect(await curl(ask)).toMatchObject({ code: 60, stdout: '' });
});

it('its OAuth metadata name it with https', async () => {
  const { stdout } = await curl([
    ...['-sS', '--cacert', certificate.ca],
    `${url}/.well-known/oauth-authorization-server/oauth`,
  ]);
  expect(JSON.parse(stdout)).toMatchObject({ issuer: `${url}/oauth`, token_endpoint: `${url}/oauth/token` });
});

function curl(args: string[]): Promise<{ code: number; stdout: string }> {
  return new Promise((resolve) => {
    execFile('curl', args, (error, stdout) => resolve({ code: Number(error?.code ?? 0), stdout }));
  });
}
