import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Caller, OPERATOR } from '../../src/broker/context.ts';
import type { Broker } from '../../src/broker/index.ts';
import type { BegunLoginView } from '../../src/broker/web-login.ts';
import { createGate } from '../support/gate.ts';
import type { RecordedRequest } from '../support/recorded-request.ts';
import { beginLogin } from '../support/sign-in.ts';
import { auditTrail, rowsOf } from '../support/vault-file.ts';
import { adminAgent, beginWebLogin, comeBack } from '../support/web-login.ts';
import { startWorld, type World } from '../support/world.ts';

const A_MINUTE_MS = 60_000;

let world: World;
let broker: Broker;

const isRedemption = ({ grantType }: RecordedRequest) => grantType === 'authorization_code';
const redemptions = () => world.authorizationServer.requests.filter(isRedemption).length;
const begin = (account: string, request: Parameters<typeof beginWebLogin>[2] = {}, caller?: Caller) =>
  beginWebLogin(broker, world.mcp.url, { account, ...request }, caller);
const show = async ({ id }: BegunLoginView) => (await broker.webLogins.show(OPERATOR, id)).status;
const cancel = ({ id }: BegunLoginView, caller = OPERATOR) => broker.webLogins.cancel(caller, id);
const list = async (caller = OPERATOR) =>
  (await broker.webLogins.list(caller)).map(({ connection, status }) => `${connection} ${status}`).sort();
const approve = async ({ authorization_url }: BegunLoginView, account = 'alice') =>
  new URL(await world.authorizationServer.approve(authorization_url, { account }));

beforeEach(async () => {
  world = await startWorld();
  broker = await world.openBroker();
});

afterEach(() => world.close());

describe('the list of logins', () => {
  it('has those that wait and those that ended, without links, for an hour after their end', async () => {
    expect(await list()).toEqual([]);
    const [alice, , carol] = [await begin('alice'), await begin('bob'), await begin('carol')];
    await comeBack(broker, await approve(alice));
    await cancel(carol);
    world.clock.jump(A_MINUTE_MS);
    await begin('dave');
    expect(await list()).toEqual([
      'demo@alice connected',
      'demo@bob pending',
      'demo@carol cancelled',
      'demo@dave pending',
    ]);
    const [newest] = await broker.webLogins.list(OPERATOR);
    expect(newest).toEqual({
      id: expect.any(String),
      status: 'pending',
      connection: 'demo@dave',
      expires_at: '2026-01-01T00:16:00Z',
    });
    const text = JSON.stringify(await broker.webLogins.list(OPERATOR));
    const { searchParams } = new URL(alice.authorization_url);
    for (const name of ['state', 'code_challenge']) expect(text).not.toContain(searchParams.get(name));
    world.clock.jump(20 * A_MINUTE_MS);
    expect(await list()).toContain('demo@bob expired');
    world.clock.jump(60 * A_MINUTE_MS);
    expect(await list()).toEqual([]);
  });

  it('has neither those of a terminal nor those of connections the agent may not use', async () => {
    const terminal = beginLogin(broker, world.mcp.url, { account: 'alice' });
    await terminal.authorizationUrl;
    await begin('bob');
    await begin('carol');
    expect(await list(await adminAgent(broker, ['demo@bob', 'demo@alice']))).toEqual(['demo@bob pending']);
    terminal.abort();
    await terminal.done.catch(() => undefined);
  });

  it('is for nobody without the admin right', async () => {
    const caller = await adminAgent(broker, ['demo@*'], false);
    await expect(list(caller)).rejects.toMatchObject({ code: 'forbidden' });
    expect(auditTrail(world.vaultPath).at(-1)).toMatchObject({ action: 'login.list', outcome: 'forbidden' });
  });
});

describe('a login that is cancelled', () => {
  it('takes no answer any more: no code is spent, and the page says why', async () => {
    const begun = await begin('alice');
    const redirect = await approve(begun);
    await cancel(begun);
    expect(await show(begun)).toBe('cancelled');
    for (let time = 0; time < 2; time += 1) {
      const answer = await comeBack(broker, redirect);
      expect(answer).toMatchObject({
        status: 400,
        html: expect.stringContaining('This login was cancelled'),
      });
      expect(answer.html).not.toMatch(/demo|alice/);
    }
    expect([redemptions(), await broker.list(OPERATOR)]).toEqual([0, []]);
  });

  it('keeps no secret and no client, and gives its place to another', async () => {
    await cancel(await begin('alice'));
    expect(rowsOf(world.vaultPath, 'SELECT secrets, client_row_id FROM logins')).toEqual([
      { secrets: null, client_row_id: null },
    ]);
  });

  it('is so after a restart too, and its end is told for an hour from then', async () => {
    const begun = await begin('alice');
    const redirect = await approve(begun);
    world.clock.jump(14 * A_MINUTE_MS);
    await cancel(begun);
    await broker.close();
    broker = await world.openBroker();
    world.clock.jump(59 * A_MINUTE_MS);
    expect((await comeBack(broker, redirect)).html).toContain('This login was cancelled');
    world.clock.jump(A_MINUTE_MS);
    await expect(show(begun)).rejects.toMatchObject({ code: 'not_found' });
  });

  it('may be cancelled again, and is on record once, with who did it', async () => {
    const caller = await adminAgent(broker, ['demo@*']);
    const begun = await begin('alice', {}, caller);
    await cancel(begun, caller);
    await cancel(begun);
    const records = auditTrail(world.vaultPath).filter(({ action }) => action === 'login.cancel');
    expect(records).toEqual([{ actor: 'agent:host-0', action: 'login.cancel', outcome: 'ok' }]);
  });

  it('leaves the others, and a later one of the same connection, alone', async () => {
    const [first, second] = [await begin('alice'), await begin('alice')];
    await cancel(first);
    expect((await comeBack(broker, await approve(second))).status).toBe(200);
    expect([await show(first), await show(second)]).toEqual(['cancelled', 'connected']);
  });
});

describe('cancelling', () => {
  it('changes nothing of a login that has ended', async () => {
    const begun = await begin('alice');
    await comeBack(broker, await approve(begun));
    await cancel(begun);
    expect([await show(begun), (await broker.show(OPERATOR, 'demo@alice')).state]).toEqual([
      'connected',
      'ok',
    ]);
    const late = await begin('bob');
    world.clock.jump(15 * A_MINUTE_MS);
    await cancel(late);
    expect(await show(late)).toBe('expired');
  });

  it('waits for the end of a login whose person is back', async () => {
    const begun = await begin('alice');
    const gate = createGate(isRedemption);
    world.authorizationServer.fail(gate.rule);
    const answered = comeBack(broker, await approve(begun));
    await gate.arrived;
    let isOver = false;
    const cancelled = cancel(begun).finally(() => {
      isOver = true;
    });
    await world.clock.advance(200);
    expect([isOver, await show(begun)]).toEqual([false, 'pending']);
    gate.open();
    expect((await answered).status).toBe(200);
    while (!isOver) await world.clock.advance(50);
    await cancelled;
    expect(await show(begun)).toBe('connected');
  });

  it('at the same moment as an answer leaves one of two ends, and never half of both', async () => {
    for (const account of ['alice', 'bob', 'carol', 'dave']) {
      const begun = await begin(account);
      const redirect = await approve(begun, account);
      const both = Promise.all([comeBack(broker, redirect), cancel(begun)]);
      let isOver = false;
      void both.finally(() => {
        isOver = true;
      });
      while (!isOver) await world.clock.advance(50);
      const [{ status }] = await both;
      const names = (await broker.list(OPERATOR)).map(({ name }) => name);
      expect([await show(begun), names.includes(`demo@${account}`)]).toEqual(
        status === 200 ? ['connected', true] : ['cancelled', false],
      );
    }
  });

  it('is for nobody without the admin right, and what the agent may not use is not there', async () => {
    const begun = await begin('alice');
    const plain = await adminAgent(broker, ['demo@*'], false);
    await expect(cancel(begun, plain)).rejects.toMatchObject({ code: 'forbidden' });
    const narrow = await adminAgent(broker, ['demo@bob']);
    for (const login of [begun, { ...begun, id: 'nothing' }])
      await expect(cancel(login, narrow)).rejects.toMatchObject({ code: 'not_found' });
    const terminal = beginLogin(broker, world.mcp.url);
    await terminal.authorizationUrl;
    const [row] = rowsOf<{ id: string }>(world.vaultPath, 'SELECT id FROM logins WHERE begun_by IS NULL');
    await expect(cancel({ ...begun, id: row?.id ?? '' })).rejects.toMatchObject({ code: 'not_found' });
    terminal.abort();
    await terminal.done.catch(() => undefined);
    expect(await show(begun)).toBe('pending');
  });
});

describe('the page of a login', () => {
  /** What a server, or whoever changes the address on its way, could want to stand on it. */
  const MARKUP = `"><script>alert('x')</script></title><img src=x onerror=y>&lt;\u202e`;

  const expectPlain = (html: string) => {
    expect(html).not.toMatch(/<script|<img|onerror=y>|\u202e/);
    expect(html.match(/<\/?(?:title|main|h1|p)>/g)).toHaveLength(8);
  };

  it('shows what comes back as text, or not at all', async () => {
    for (const name of ['error_description', 'error', 'state', 'iss', 'code', 'error_uri']) {
      const redirect = await approve(await begin('alice'));
      if (name.startsWith('error')) {
        redirect.searchParams.delete('code');
        redirect.searchParams.set('error', 'access_denied');
      }
      redirect.searchParams.set(name, MARKUP);
      const { html, status } = await comeBack(broker, redirect);
      expect([name, status]).toEqual([name, 400]);
      expectPlain(html);
    }
  });

  it('shows whose account it is as text, also to whoever comes again', async () => {
    const begun = await begin('alice', { scopes: ['openid', 'email'] });
    const redirect = await approve(begun, MARKUP);
    for (const status of [200, 400]) {
      const answer = await comeBack(broker, redirect);
      expect([answer.status, answer.html.includes('script&gt;')]).toEqual([status, true]);
      expectPlain(answer.html);
    }
  });
});
