/** Credentials that were entered by hand, through the real program: what agents get, and what is refused. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type HeaderServer, startHeaderServer } from '../support/header-server.ts';
import { type CallAnswer, call } from '../support/http-call.ts';
import { expectFailure, type Journey, startJourney } from '../support/journey.ts';
import { initializeWith } from '../support/mcp-initialize.ts';
import { auditTrail, connectionRow, rowsOf } from '../support/vault-file.ts';

const PAT = 'fake-personal-token-of-the-tests';
const NEWER = 'fake-newer-token-of-the-tests';

let journey: Journey;
let server: HeaderServer;

beforeEach(async () => {
  journey = await startJourney();
  server = await startHeaderServer({ authorization: `Bearer ${PAT}` });
});

afterEach(async () => {
  await journey.close();
  await server.close();
});

function write(name: string, text: string): string {
  const path = join(journey.home.path, name);
  writeFileSync(path, text, { mode: 0o600 });
  return path;
}

const add = (...args: string[]) => journey.run(['add', 'demo', '--url', server.url, ...args]);
const addBearer = (token = PAT, ...more: string[]) =>
  add('--bearer-file', write('token', `${token}\n`), ...more);

async function output(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await journey.run(args);
  expect(code, stderr).toBe(0);
  return stdout;
}

type Ask = (path: string, body?: object) => Promise<CallAnswer>;

/** A daemon and an agent of it: its calls below `/v1/connections/`. */
async function agentOf(pattern: string): Promise<Ask> {
  const key = await journey.addAgent('docs-bot', pattern);
  const { url } = await journey.serve();
  const headers = { authorization: `Bearer ${key}` };
  return (path, body) =>
    call(`${url}/v1/connections/${path}`, body ? { method: 'POST', headers, body } : { headers });
}

function filesOfVault(): string {
  const vault = journey.home.env.BROKER_HOME as string;
  return readdirSync(vault)
    .map((name) => readFileSync(join(vault, name), 'latin1'))
    .join('');
}

describe('broker add --bearer-file', () => {
  it('says what is next, and the token comes out of every door as the server wants it', async () => {
    const added = await addBearer();
    expect(added).toMatchObject({ code: 0, stdout: '' });
    expect(added.stderr).toMatch(/demo is added\n\nnext: broker agent add <name> --allow demo\n$/);
    expect(await output('token', 'demo')).toBe(`${PAT}\n`);
    const ask = await agentOf('demo');
    const token = await ask('demo/token');
    expect(token.json).toMatchObject({ access_token: PAT, token_type: 'Bearer', resource: server.url });
    expect(token.json).not.toHaveProperty('warnings');
    const headers = await ask('demo/headers');
    expect(headers.json).toEqual({ Authorization: `Bearer ${PAT}` });
    expect(await initializeWith(server.url, headers.json as Record<string, string>)).toBe(200);
    expect(await initializeWith(server.url, {})).toBe(401);
    expect(filesOfVault()).not.toContain(PAT);
    expect(auditTrail(journey.vaultPath)).toContainEqual({ actor: 'operator', action: 'add', outcome: 'ok' });
  });

  it('takes the token from stdin, and knows the URL the second time', async () => {
    const piped = await journey.run(['add', 'demo', '--url', server.url, '--bearer-file', '-', '--json'], {
      input: `${PAT}\n`,
    });
    expect(JSON.parse(piped.stdout)).toMatchObject({
      name: 'demo',
      kind: 'bearer',
      state: 'ok',
      generation: 1,
    });
    await output('add', 'demo', '--bearer-file', write('newer', NEWER));
    expect(await output('token', 'demo')).toBe(`${NEWER}\n`);
  });

  it('warns before its end, and at its end names the command that enters another', async () => {
    expect((await addBearer(PAT, '--expires', '3d')).code).toBe(0);
    const soon = await journey.run(['check', '--warn-within', '7d']);
    expect(soon.code).toBe(1);
    expect(soon.stdout).toMatch(
      /demo: the credential ends in \d+ (days|hours) → broker add demo --bearer-file <file>$/m,
    );
    expect(await output('check', '--warn-within', '1h')).toBe('');
  });

  it('that has ended makes check exit 2, and agents are told 409 with the command', async () => {
    expect((await addBearer(PAT, '--expires', '1s')).code).toBe(0);
    const ask = await agentOf('demo');
    let answer = await ask('demo/token');
    while (answer.status === 200) answer = await ask('demo/token');
    for (const { status, json } of [answer, await ask('demo/headers')]) {
      expect({ status, json }).toMatchObject({
        status: 409,
        json: { code: 'login_required', next_step: 'broker add demo --bearer-file <file>' },
      });
    }
    const check = await journey.run(['check']);
    expect(check.code).toBe(2);
    expect(check.stdout).toMatch(/demo: the credential has ended → broker add demo --bearer-file <file>$/m);
    expectFailure(await journey.run(['token', 'demo']), 2, /has ended; it was entered by hand$/);
  });

  it('that the server rejected is not handed out to whoever says so, and stays as it is', async () => {
    await addBearer();
    const ask = await agentOf('demo');
    const before = connectionRow(journey.vaultPath);
    const rejected = await ask('demo/token', { rejected_generation: 1 });
    expect(rejected).toMatchObject({
      status: 409,
      json: { code: 'login_required', next_step: 'broker add demo --bearer-file <file>' },
    });
    const { last_used_at: _, ...after } = connectionRow(journey.vaultPath) as object as Record<
      string,
      unknown
    >;
    expect(before).toMatchObject(after);
    expect((await ask('demo/token', { rejected_generation: 7 })).status).toBe(200);
  });

  it('is put in place of an older one: name and agents stay, and it counts at the next request', async () => {
    await addBearer();
    const ask = await agentOf('demo');
    expect((await ask('demo/token')).json).toMatchObject({ access_token: PAT, generation: 1 });
    const again = await addBearer(NEWER);
    expect(again.stderr).not.toContain('note:');
    expect((await ask('demo/token')).json).toMatchObject({ access_token: NEWER, generation: 2 });
    expect((await ask('demo/token', { rejected_generation: 1 })).json).toMatchObject({ access_token: NEWER });
  });

  it('with --probe is stored only when the server takes it', async () => {
    const refused = await addBearer('fake-wrong', '--probe');
    expectFailure(refused, 2, /refuses the credential: 401$/);
    expect(refused.stderr).toContain('nothing was stored');
    expect(await output('list', '--json')).toBe('[]\n');
    expect((await addBearer(PAT, '--probe')).code).toBe(0);
    expectFailure(await addBearer('fake-wrong', '--probe'), 2, /refuses the credential: 401$/);
    expect(await output('token', 'demo')).toBe(`${PAT}\n`);
    expect(server.requests.some(({ authorization }) => authorization === `Bearer ${PAT}`)).toBe(true);
  });

  it('in place of a login says what is gone, and forgets the client nobody uses any more', async () => {
    expect((await journey.login()).code).toBe(0);
    const token = write('token', PAT);
    const added = await journey.run(['add', 'demo', '--url', journey.mcp.url, '--bearer-file', token]);
    expect(added.stderr).toMatch(/note: the settings of its oauth credential no longer apply/);
    expect(added.stderr).toMatch(/note: its login was forgotten here/);
    expect(rowsOf(journey.vaultPath, 'SELECT id FROM clients')).toEqual([]);
    expect(await output('token', 'demo')).toBe(`${PAT}\n`);
    expect(JSON.parse(await output('show', 'demo', '--json'))).toMatchObject({
      kind: 'bearer',
      generation: 2,
    });
  });

  it('beside a login of the same server is refused, and the login goes on', async () => {
    expect((await journey.login()).code).toBe(0);
    const token = write('token', PAT);
    const beside = ['add', 'demo@robot', '--url', journey.mcp.url, '--bearer-file', token];
    expectFailure(
      await journey.run(beside),
      64,
      /^error: demo is connected to demo in another way \(oauth\)$/,
    );
    expect(await journey.servedToken()).not.toBe(PAT);
  });
});

describe('broker add --header', () => {
  const KEY = 'fake-api-key-of-the-tests';

  it('gives one header as the server wants it, and tells those who ask for a token where to ask', async () => {
    server.want({ 'coder-session-token': KEY });
    expect(
      (await add('--header', 'Coder-Session-Token', '--value-file', write('key', KEY), '--probe')).code,
    ).toBe(0);
    const ask = await agentOf('demo');
    const { json } = await ask('demo/headers');
    expect(json).toEqual({ 'Coder-Session-Token': KEY });
    expect(await initializeWith(server.url, json as Record<string, string>)).toBe(200);
    const token = await ask('demo/token');
    expect(token).toMatchObject({ status: 400, json: { code: 'bad_request' } });
    expect(token.text).toContain('/headers');
    expect(filesOfVault()).not.toContain(KEY);
  });

  it('gives several, and puts a secret into its template', async () => {
    server.want({ authorization: `Token ${KEY}`, 'x-tenant': 'acme' });
    const tenant = ['--header', 'X-Tenant', '--value-file', write('tenant', 'acme\n')];
    const key = ['--header', 'Authorization: Token {{token}}', '--value-file', '-'];
    const args = ['add', 'demo', '--url', server.url, ...tenant, ...key, '--probe'];
    expect(await journey.run(args, { input: KEY })).toMatchObject({ code: 0 });
    const { json } = await (await agentOf('demo'))('demo/headers');
    expect(json).toEqual({ 'X-Tenant': 'acme', Authorization: `Token ${KEY}` });
    expect(await initializeWith(server.url, json as Record<string, string>)).toBe(200);
  });

  it('that have ended are not handed out, and the command enters headers again', async () => {
    expect((await add('--header', 'X-Key', '--value-file', write('key', KEY), '--expires', '1s')).code).toBe(
      0,
    );
    const ask = await agentOf('demo');
    let answer = await ask('demo/headers');
    while (answer.status === 200) answer = await ask('demo/headers');
    expect(answer).toMatchObject({
      status: 409,
      json: { code: 'login_required', next_step: 'broker add demo --header <name> --value-file <file>' },
    });
  });
});

describe('broker add --none', () => {
  it('gives no header at all, and the server takes that', async () => {
    server.want({});
    expect((await add('--none', '--probe')).code).toBe(0);
    const ask = await agentOf('demo');
    const headers = await ask('demo/headers');
    expect(headers.text).toBe('{}');
    expect(await initializeWith(server.url, headers.json as Record<string, string>)).toBe(200);
    expect(await ask('demo/token')).toMatchObject({ status: 400, json: { code: 'bad_request' } });
    expect(await output('check')).toBe('');
  });

  it('with --probe is refused by a server that wants a credential', async () => {
    expectFailure(await add('--none', '--probe'), 2, /refuses the credential: 401$/);
  });
});

describe('broker add of a credential refuses', () => {
  const value = () => ['--value-file', write('value', 'fake-value')];

  it.each<[string, () => string[], RegExp]>([
    ['an empty token', () => ['--bearer-file', write('t', '')], /holds no secret$/],
    ['a token of spaces', () => ['--bearer-file', write('t', ' \n\t ')], /holds no secret$/],
    ['a token of two lines', () => ['--bearer-file', write('t', 'a\r\nX-Evil: b')], /cannot be sent$/],
    [
      'a token with Bearer in front',
      () => ['--bearer-file', write('t', `Bearer ${PAT}`)],
      /holds spaces or line breaks$/,
    ],
    ['a token file that is not there', () => ['--bearer-file', '/nothing'], /cannot be read \(ENOENT\)$/],
    ['an empty value', () => ['--header', 'X-Key', '--value-file', write('v', ' ')], /holds no secret$/],
    [
      'a value of two lines',
      () => ['--header', 'X-Key', '--value-file', write('v', 'a\nb')],
      /X-Key cannot be sent$/,
    ],
    ['Host', () => ['--header', 'Host', ...value()], /Host belongs to the request itself$/],
    ['Content-Length', () => ['--header', 'content-length', ...value()], /belongs to the request itself$/],
    [
      'a hop-by-hop header',
      () => ['--header', 'Transfer-Encoding', ...value()],
      /belongs to the request itself$/,
    ],
    ['a name that is none', () => ['--header', 'X Key', ...value()], /"X Key" is no header name$/],
    ['a name with a line break', () => ['--header', 'X-Key\r\nHost', ...value()], /is no header name$/],
    [
      'a template without its secret',
      () => ['--header', 'Authorization: Token', ...value()],
      /does not say where its secret goes$/,
    ],
    [
      'a header twice',
      () => ['--header', 'X-Key', ...value(), '--header', 'x-key', ...value()],
      /x-key is there twice$/,
    ],
    ['a header without a value', () => ['--header', 'X-Key'], /1 headers and 0 values do not fit together$/],
    [
      'a value without a header',
      () => ['--header', 'X-Key', ...value(), ...value()],
      /1 headers and 2 values/,
    ],
    ['a token and a value', () => ['--bearer-file', write('t', PAT), ...value()], /0 headers and 1 values/],
    [
      'an end of a machine',
      () => ['--client-credentials', '--expires', '9d'],
      /go with what is entered by hand$/,
    ],
    ['a probe of a machine', () => ['--client-credentials', '--probe'], /go with what is entered by hand$/],
    [
      'two secrets from stdin',
      () => ['--header', 'A', '--value-file', '-', '--header', 'B', '--value-file', '-'],
      /only one secret can come from stdin$/,
    ],
    [
      'a token and a header',
      () => ['--bearer-file', write('t', PAT), '--header', 'X', ...value()],
      /say in one way/,
    ],
    [
      'an end in the past',
      () => ['--bearer-file', write('t', PAT), '--expires', '2020-01-31'],
      /has ended already$/,
    ],
  ])('%s, with exit code 64, and stores nothing', async (_, args, message) => {
    expectFailure(await add(...args()), 64, message);
    const path = journey.vaultPath;
    expect(existsSync(path) ? rowsOf(path, 'SELECT name FROM connections') : []).toEqual([]);
    expect(server.requests).toEqual([]);
  });
});
