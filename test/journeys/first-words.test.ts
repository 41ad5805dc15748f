/** The first command of a new user, mistyped: it says what is wrong, and leaves no empty vault and no key behind. */
import { existsSync, readdirSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runBroker } from '../support/broker-process.ts';
import { createHome, type Home } from '../support/home.ts';
import { expectFailure } from '../support/journey.ts';

let home: Home;

beforeEach(async () => {
  home = await createHome();
});

afterEach(() => home.remove());

async function expectNothing(args: string[], code: number, what: RegExp): Promise<void> {
  expectFailure(await runBroker(args, { env: home.env }), code, what);
  const { BROKER_HOME = '', XDG_CONFIG_HOME = '', XDG_DATA_HOME = '' } = home.env;
  expect(existsSync(BROKER_HOME)).toBe(false);
  expect([...readdirSync(XDG_CONFIG_HOME), ...readdirSync(XDG_DATA_HOME)]).toEqual([]);
}

describe('a first broker login', () => {
  it.each<[string, string[], number, RegExp]>([
    ['at a name that is nothing', ['nosuch'], 2, /there is no connection, server or preset nosuch$/],
    [
      'at a host without a scheme',
      ['mcp.example.com'],
      2,
      /no connection, server or preset mcp\.example\.com$/,
    ],
    ['at an address others could listen to', ['http://mcp.example.com/mcp'], 64, /is not encrypted$/],
    ['under a name that cannot be', ['https://mcp.example.com/mcp', '--name', 'Bad'], 64, /"Bad" is not a/],
    [
      'at an address that gives no name',
      ['https://127.0.0.1:1/mcp'],
      64,
      /no name can be made from 127\.0\.0\.1$/,
    ],
  ])('%s', async (_, args, code, what) => {
    await expectNothing(['login', ...args], code, what);
  });
});

describe('a first broker agent add', () => {
  it.each<[string, string[], RegExp]>([
    ['under a name that cannot be', ['Bot', '--allow', 'coda'], /"Bot" is not an agent name$/],
    ['for nothing', ['bot'], /the agent may use nothing$/],
    [
      'for a connection that is not there',
      ['bot', '--allow', 'coda'],
      /there is no connection coda to allow$/,
    ],
    [
      'for a tool that cannot be',
      ['bot', '--allow', 'coda@*', '--tool-allow', 'a b'],
      /"a b" is not a tool or pattern$/,
    ],
    [
      'with an end in the past',
      ['bot', '--allow', 'coda@*', '--expires', '2020-01-31'],
      /would have ended already/,
    ],
  ])('%s', async (_, args, what) => {
    await expectNothing(['agent', 'add', ...args], 64, what);
  });

  it('for what is still to come is taken', async () => {
    const args = ['agent', 'add', 'bot', '--allow', 'coda', '--allow-unknown'];
    expect((await runBroker(args, { env: home.env })).code).toBe(0);
  });
});
