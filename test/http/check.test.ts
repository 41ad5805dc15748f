import { expect, it } from 'vitest';
import { shareDaemon, type TestDaemon } from '../support/daemon.ts';

let test: TestDaemon;
shareDaemon((daemon) => {
  test = daemon;
});

const post = (body: object, name = 'demo') =>
  test.call(`/v1/connections/${name}/check`, { method: 'POST', body });

it('a check over HTTP calls the server when it is told to', async () => {
  expect((await post({ probe: false })).json).not.toHaveProperty('probe');
  const { status, json } = await post({ probe: true, warn_within: 60 });
  expect(status).toBe(200);
  expect(json).toMatchObject({ connection: 'demo', exit_code: 0, probe: { ok: true, status: 200 } });
  test.world.authorizationServer.revokeAccessTokens();
  expect((await post({ probe: true })).json).toMatchObject({
    ...{ exit_code: 2, next_step: 'broker login demo' },
    probe: { ok: false, status: 401 },
  });
});

it('a check over HTTP calls no server of a connection the agent may not see', async () => {
  const before = test.world.mcp.requests.length;
  expect(await post({ probe: true }, 'demo@alice')).toMatchObject({ status: 404 });
  expect(await post({ probe: 'yes' })).toMatchObject({ status: 400, json: { code: 'bad_request' } });
  expect(test.world.mcp.requests).toHaveLength(before);
});
