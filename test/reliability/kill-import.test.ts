/**
 * A refresh token of the wrong account is taken over with `--expect-account`, and the process dies on the way: whoever
 * comes next must not hand out a token of that login.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { redeemCode } from '../../src/oauth/authorization.ts';
import type { Step } from '../../src/steps.ts';
import { approveLogin } from '../support/approved-login.ts';
import { expectFailure } from '../support/journey.ts';
import { type ProcessWorld, startProcessWorld } from '../support/process-world.ts';
import { connectionRow } from '../support/vault-file.ts';

const SCOPE = 'openid email mcp:all offline_access';

let world: ProcessWorld;
/** All arguments but the account that is demanded. */
let args: string[];

beforeEach(async () => {
  world = await startProcessWorld({ isSignedIn: false });
  const approved = await approveLogin(world.authorizationServer, world.mcp.url, SCOPE);
  const { body } = (await redeemCode(approved)) as { body: Record<string, string> };
  const file = join(world.home.path, 'refresh-token');
  writeFileSync(file, String(body.refresh_token), { mode: 0o600 });
  const { clientId } = approved.client;
  args = ['login', world.mcp.url, '--name', 'demo', '--client-id', clientId, '--refresh-token-file', file];
});

afterEach(() => world.close());

const row = () => connectionRow(world.vaultPath) as object;

/** The command dies at this step; what it held is free for the next one. */
async function dieAt(step: Step, account: string): Promise<void> {
  const { process, steps } = world.trace([...args, '--expect-account', account], { step });
  expect(await process.exited, process.stderr()).toBeNull();
  expect(steps().at(-1)).toBe(step);
  world.endLeases();
}

describe('a process that takes over the refresh token of somebody else than demanded', () => {
  it('and is killed when they are saved leaves tokens that nobody gets', async () => {
    await dieAt('refresh.saved', 'bob@example.com');
    expect(row()).toMatchObject({
      ...{ state: 'login_required', code: 'account_mismatch', expected_account: 'bob@example.com' },
    });
    const asked = await world.run(['token', 'demo']);
    expectFailure(asked, 2, /signed in "alice@example.com", not "bob@example.com"$/);
    expectFailure(await world.run(['refresh', 'demo']), 2, /must be signed in again/);
    expect((await world.run(['check'])).code).toBe(2);
  });

  it.each<Step>(['login.saved', 'refresh.leased', 'refresh.journaled'])(
    'and is killed at %s leaves the judgement to whoever refreshes next',
    async (step) => {
      await dieAt(step, 'bob@example.com');
      expect(row()).toMatchObject({ expected_account: 'bob@example.com', generation: 1 });
      expectFailure(await world.run(['token', 'demo']), 2, /signed in "alice@example.com", not "bob@/);
      expect(row()).toMatchObject({ state: 'login_required', code: 'account_mismatch', generation: 2 });
    },
  );
});

it('killed in the same place, the right account is served by whoever comes next', async () => {
  await dieAt('refresh.saved', 'alice@example.com');
  expect(row()).toMatchObject({ state: 'ok', account_identity: 'alice@example.com' });
  const { code, stdout, stderr } = await world.run(['token', 'demo']);
  expect(code, stderr).toBe(0);
  expect(await world.authorizationServer.tokenIsActive(stdout.trim())).toMatchObject({ sub: 'alice' });
});
