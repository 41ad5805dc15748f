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

/** The vault and its key, if they are there. */
function filesOfBroker(): string[] {
  const { BROKER_HOME = '', XDG_CONFIG_HOME = '', XDG_DATA_HOME = '' } = journey.home.env;
  return [BROKER_HOME, XDG_CONFIG_HOME, XDG_DATA_HOME].flatMap((directory) =>
    existsSync(directory) ? readdirSync(directory) : [],
  );
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
    expect((await addBearer(PAT, '--expires', '4s')).code).toBe(0);
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

  it('is listed and shown as what it is, without a word of refreshing', async () => {
    await addBearer(PAT, '--expires', '30d');
    expect(await output('list')).toMatch(/^demo +ok +in 30 days +by you +- +-$/m);
    const shown = await output('show', 'demo');
    expect(shown).toMatch(/^kind +bearer: a token that was entered by hand$/m);
    expect(shown).toMatch(/^entered +20/m);
    expect(shown).not.toMatch(/refresh|recovery|account|login/i);
    expect(JSON.parse(await output('show', 'demo', '--json'))).not.toHaveProperty('refresh_after');
    expect(JSON.parse(await output('token', 'demo', '--json'))).not.toHaveProperty('refresh_after');
  });

  it('is forgotten by a logout, which says who can end it', async () => {
    await addBearer();
    const { code, stderr } = await journey.run(['logout', 'demo']);
    expect({ code, stderr }).toMatchObject({
      code: 0,
      stderr: expect.stringContaining('end it where it was made'),
    });
    expect(stderr).not.toContain('revo');
    expect(rowsOf(journey.vaultPath, 'SELECT name FROM connections')).toEqual([]);
  });

  it('with --probe is stored only when the server takes it', async () => {
    const refused = await addBearer('fake-wrong', '--probe');
    expectFailure(refused, 2, /refuses the credential: 401$/);
    expect(refused.stderr).toContain('nothing was stored');
    expect(existsSync(journey.vaultPath)).toBe(false);
    expect((await addBearer(PAT, '--probe')).code).toBe(0);
    expectFailure(await addBearer('fake-wrong', '--probe'), 2, /refuses the credential: 401$/);
    expect(await output('token', 'demo')).toBe(`${PAT}\n`);
    expect(server.requests.some(({ authorization }) => authorization === `Bearer ${PAT}`)).toBe(true);
  });

  it('in place of a login says what is gone, and forgets the client nobody uses any more', async () => {
    expect((await journey.login()).code).toBe(0);
    const token = write('token', PAT);
    const added = await journey.run(['add', 'demo', '--url', journey.mcp.url, '--bearer-file', token]);
    expect(added.stderr).toMatch(
      /note: it was of kind oauth \(the login of a person\), which is forgotten here; until its token ends/,
    );
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
    expectFailure(await journey.run(beside), 64, /^error: demo is of kind oauth \(the login of a person\)$/);
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
    expect((await add('--header', 'X-Key', '--value-file', write('key', KEY), '--expires', '4s')).code).toBe(
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

  it('has no header line, no end and nobody who renews it, and nothing to end at a logout', async () => {
    await add('--none');
    const line = await journey.run(['token', 'demo', '--header']);
    expectFailure(line, 64, /demo has no header, which makes no single line$/);
    expect(await output('list')).toMatch(/^demo +ok +- +- +- +-$/m);
    expect(await output('show', 'demo')).not.toMatch(/^token ends|refresh/m);
    const { stderr } = await journey.run(['logout', 'demo']);
    expect(stderr).toMatch(/demo is forgotten here\n$/);
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
    ['a token of two lines', () => ['--bearer-file', write('t', 'a\r\nX-Evil: b')], /spaces or line breaks$/],
    ['a token that no header can carry', () => ['--bearer-file', write('t', 'a\0b')], /no header can carry$/],
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
    [
      'a name that is none',
      () => ['--header', 'X Key', ...value()],
      /what begins with "X" is no header name$/,
    ],
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
    ['a header without a value', () => ['--header', 'X-Key'], /come in pairs, but there are 1 and 0$/],
    [
      'a value without a header',
      () => ['--header', 'X-Key', ...value(), ...value()],
      /come in pairs, but there are 1 and 2$/,
    ],
    [
      'a token and a value',
      () => ['--bearer-file', write('t', PAT), ...value()],
      /come in pairs, but there are 0 and 1$/,
    ],
    [
      'an end of a machine',
      () => ['--client-credentials', '--expires', '9d'],
      /goes with what is entered by hand, not with a machine’s own credentials$/,
    ],
    [
      'a probe of a machine',
      () => ['--client-credentials', '--probe'],
      /goes with what is entered by hand, not with a machine’s own credentials$/,
    ],
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
      /has ended already \(2020-01-31T00:00:00\.000Z\)$/,
    ],
    [
      'an end beyond the calendar',
      () => ['--bearer-file', write('t', PAT), '--expires', '99999999d'],
      /too far away to write it down$/,
    ],
    ['an end of nothing', () => ['--none', '--expires', '9d'], /has none that could end$/],
    [
      'a client of nobody',
      () => ['--bearer-file', write('t', PAT), '--client-id', 'x'],
      /--client-id goes with a machine’s own credentials, not with what is entered by hand$/,
    ],
    [
      'an identity of nobody',
      () => ['--none', '--forward'],
      /--forward goes with the identity of users, not with what is entered by hand$/,
    ],
  ])('%s, with exit code 64, and leaves no vault and no key behind', async (_, args, message) => {
    expectFailure(await add(...args()), 64, message);
    expect(filesOfBroker()).toEqual([]);
    expect(server.requests).toEqual([]);
  });

  it.each<[string, string, RegExp]>([
    ['without a scheme', 'mcp.example.com/mcp', /"mcp\.example\.com\/mcp" is not the URL of an MCP server$/],
    ['that is the name of a preset', 'coda', /"coda" is not the URL/],
    ['that is nothing', '', /"" is not the URL/],
    ['that is not encrypted', 'http://mcp.example.com/mcp', /is not encrypted$/],
    ['with a password', 'https://alice:fake@mcp.example.com/mcp', /has a user name or password inside$/],
  ])('a URL %s, likewise', async (_, url, message) => {
    expectFailure(await journey.run(['add', 'demo', '--url', url, '--none']), 64, message);
    expect(filesOfBroker()).toEqual([]);
  });

  it('a name that cannot be, likewise, whether a URL is given or not', async () => {
    for (const url of [[], ['--url', server.url]])
      expectFailure(
        await journey.run(['add', 'Demo', ...url, '--none']),
        64,
        /"Demo" is not a connection name$/,
      );
    expect(filesOfBroker()).toEqual([]);
  });

  it('the address of the daemon as that of the server: BROKER_URL and "url" are not meant', async () => {
    const config = join(journey.home.path, 'config.json');
    writeFileSync(config, JSON.stringify({ url: 'http://127.0.0.1:8787' }));
    const env = { BROKER_URL: 'http://127.0.0.1:8787', BROKER_CONFIG: config };
    expectFailure(
      await journey.run(['add', 'demo', '--none'], { env }),
      64,
      /the URL of the MCP server is missing$/,
    );
  });
});
