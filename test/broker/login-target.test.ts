import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import type { Broker } from '../../src/broker/index.ts';
import type { LoginRequest } from '../../src/broker/login.ts';
import { resolveTarget } from '../../src/broker/login-target.ts';
import { findPreset } from '../../src/core/presets.ts';
import { beginLogin, signIn } from '../support/sign-in.ts';
import { openTestVault, storeConnection, type TestVault } from '../support/vault.ts';
import { startWorld, type World } from '../support/world.ts';

let world: World;
let broker: Broker;

beforeEach(async () => {
  world = await startWorld();
  broker = await world.openBroker();
});

afterEach(() => world.close());

/** The name a login of `target` would have: told by how it is refused or by what it connects. */
const connect = async (target: string, request: Partial<LoginRequest>) =>
  (await signIn(broker, world.authorizationServer, target, request)).connected.connection;

const refused = (target: string, request: Partial<LoginRequest> = {}) =>
  expect(beginLogin(broker, target, { name: undefined, ...request }).done).rejects;

describe('the name of a login', () => {
  it('is the one chosen', async () => {
    expect(await connect(world.mcp.url, { name: 'notes' })).toBe('notes');
    expect((await broker.list(OPERATOR)).map(({ name, server }) => ({ name, server }))).toEqual([
      { name: 'notes', server: 'notes' },
    ]);
  });

  it('must be chosen for an address or localhost, which say nothing', async () => {
    for (const host of ['127.0.0.1', 'localhost', '[::1]']) {
      const url = new URL(world.mcp.url);
      url.host = `${host}:${url.port}`;
      await refused(url.href).toMatchObject({
        code: 'usage',
        hint: `choose one: broker login ${url.href} --name <name>`,
      });
    }
  });

  it('is the known one when the URL is connected already', async () => {
    await connect(world.mcp.url, { name: 'notes' });
    expect(await connect(world.mcp.url, { name: undefined })).toBe('notes');
  });

  it('gets the account behind an @', async () => {
    expect(await connect(world.mcp.url, { name: 'notes', account: 'Alice+work' })).toBe('notes@Alice+work');
    expect(await connect(world.mcp.url, { name: 'notes@bob' })).toBe('notes@bob');
    expect(await connect('notes', { name: undefined, account: 'carol' })).toBe('notes@carol');
    expect(await connect('notes@bob', { name: undefined })).toBe('notes@bob');
  });

  it('is refused when another URL has it', async () => {
    await connect(world.mcp.url, { name: 'notes' });
    const other = world.mcp.url.replace('/mcp', '/other');
    await refused(other, { name: 'notes' }).toMatchObject({
      code: 'usage',
      message: expect.stringContaining(world.mcp.url),
      hint: `choose another one: broker login ${other} --name <name>`,
    });
    await refused(other, { name: 'notes', account: 'alice' }).toMatchObject({ code: 'usage' });
    const added = broker.addStatic({ name: 'notes', url: other, credential: { kind: 'none' } });
    await expect(added).rejects.toMatchObject({
      ...{ code: 'usage', hint: `choose another one: broker add <name> --url ${other} …` },
    });
  });

  it('may be a second one for the same URL', async () => {
    await connect(world.mcp.url, { name: 'notes' });
    expect(await connect(world.mcp.url, { name: 'again' })).toBe('again');
  });

  it.each(['Notes', 'no tes', '-notes', 'notes@', 'notes@a@b', 'ü', 'x'.repeat(64), '../notes', ''])(
    'is refused when it is %j',
    async (name) => {
      await refused(world.mcp.url, { name }).toMatchObject({ code: 'usage' });
    },
  );

  it('cannot be changed on the way', async () => {
    await connect(world.mcp.url, { name: 'notes' });
    await refused('notes', { name: 'other' }).toMatchObject({ code: 'usage' });
  });
});

describe('the target of a login', () => {
  it('is unknown when it is neither a URL nor a name that exists', async () => {
    await refused('notes').toMatchObject({
      code: 'not_found',
      hint: expect.stringMatching(/give its URL.*\nor a preset: .+ \(docs\/presets\.md\)\nbroker list shows/),
    });
  });

  it.each([
    ['plain http to another machine', 'http://mcp.example.com/mcp', 'usage'],
    ['a password inside', 'https://alice:fake-password@mcp.example.com/mcp', 'usage'],
    ['another protocol', 'ftp://mcp.example.com/mcp', 'usage'],
    ['a URL without a host', 'https://', 'usage'],
  ])('is refused with %s', async (_, target, code) => {
    const error = await beginLogin(broker, target, { name: 'demo' }).done.catch((each: unknown) => each);
    expect(error).toMatchObject({ code, hint: expect.any(String) });
    expect(String(error)).not.toContain('fake-password');
  });

  it('loses its fragment, which never travels', async () => {
    await connect(`${world.mcp.url}#section`, { name: 'notes' });
    expect(await broker.show(OPERATOR, 'notes')).toMatchObject({ url: world.mcp.url });
  });
});

describe('a preset', () => {
  const coda = findPreset('coda');
  const [url, other] = coda?.urls ?? [];
  let test: TestVault;

  beforeEach(async () => {
    test = await openTestVault();
  });

  afterEach(() => test.close());

  const resolve = (target: string, words: { name?: string; account?: string } = {}) =>
    resolveTarget(test, { target, ...words });

  it('is a target by its name, with an account or without', async () => {
    const found = { url, server: 'coda', account: undefined, connection: 'coda', preset: coda };
    expect(await resolve('coda')).toEqual(found);
    const alice = { url, account: 'alice', connection: 'coda@alice' };
    expect(await resolve('coda@alice')).toMatchObject(alice);
    expect(await resolve('coda', { account: 'alice' })).toMatchObject(alice);
  });

  it('is recognised by each of its URLs, and names their connections', async () => {
    for (const each of [url, other]) {
      expect(await resolve(each as string)).toMatchObject({ url: each, connection: 'coda', preset: coda });
    }
    expect(await resolve('https://mcp.example.com/mcp')).toMatchObject({ preset: undefined });
  });

  it('may be given another name', async () => {
    const notes = { url, server: 'notes', connection: 'notes', preset: coda };
    expect(await resolve('coda', { name: 'notes' })).toEqual({ ...notes, account: undefined });
    expect(await resolve(url as string, { name: 'notes' })).toMatchObject(notes);
  });

  it('gives way to a server that has its name', async () => {
    await storeConnection(test, 'coda');
    expect(await resolve('coda')).toMatchObject({
      url: 'https://mcp.example.com/coda',
      connection: 'coda',
      preset: undefined,
    });
    await expect(resolve(url as string)).rejects.toMatchObject({
      code: 'usage',
      message: 'the name coda is taken by https://mcp.example.com/coda',
    });
  });
});
