import { Agent, request } from 'node:http';
import { connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startTestDaemon, type TestDaemon } from '../support/daemon.ts';
import { createGate, type Gate, isRefresh } from '../support/gate.ts';
import { call } from '../support/http-call.ts';
import { connectionRow } from '../support/vault-file.ts';

let test: TestDaemon;
let gate: Gate;

beforeEach(async () => {
  test = await startTestDaemon();
  gate = createGate(isRefresh);
  test.world.authorizationServer.fail(gate.rule);
  test.world.clock.jump(3_600_000);
});

afterEach(() => test.world.close());

describe('a daemon that is stopped', () => {
  it('finishes a request in flight, saves what it brought, and takes no new ones', async () => {
    const pending = test.call('/v1/connections/demo/token');
    await gate.arrived;
    const stopped = test.daemon.close();
    await expect(call(`${test.url}/healthz`)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    gate.open();
    expect(await pending).toMatchObject({ status: 200, json: { generation: 2 } });
    await stopped;
    expect(connectionRow(test.world.vaultPath)).toMatchObject({ generation: 2, state: 'ok' });
  });

  it('does not wait for a kept-alive connection once its request is answered', {
    timeout: 5000,
  }, async () => {
    const agent = new Agent({ keepAlive: true });
    const { promise, resolve } = Promise.withResolvers<number>();
    const authorization = `Bearer ${await test.addAgent({ name: 'keep-alive-bot' })}`;
    request(`${test.url}/v1/connections/demo/token`, { agent, headers: { authorization } }, (response) => {
      response.resume().once('end', () => resolve(response.statusCode ?? 0));
    }).end();
    await gate.arrived;
    const stopped = test.daemon.close();
    gate.open();
    expect(await promise).toBe(200);
    // The clock stands still: would it wait for its deadline, this would never end.
    await stopped;
    agent.destroy();
  });

  it('finishes a refresh whose caller hung up', async () => {
    const socket = connect(Number(test.port), '127.0.0.1');
    const key = await test.addAgent({ name: 'impatient-bot' });
    socket.write(
      `GET /v1/connections/demo/token HTTP/1.1\r\nHost: 127.0.0.1:${test.port}\r\nAuthorization: Bearer ${key}\r\n\r\n`,
    );
    await gate.arrived;
    socket.destroy();
    const stopped = test.daemon.close();
    gate.open();
    await stopped;
    expect(connectionRow(test.world.vaultPath)).toMatchObject({ generation: 2, state: 'ok' });
  });

  it('cuts those off who do not come to an end in 10 s', async () => {
    const idle = connect(Number(test.port), '127.0.0.1').on('error', () => {});
    idle.write('POST /v1/connections/demo/token HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n');
    const cut = new Promise((resolve) => idle.once('close', resolve));
    await new Promise<void>((resolve) => idle.once('connect', resolve));
    const waits = test.world.clock.waiting();
    const stopped = test.daemon.close();
    await test.world.clock.untilWaiting(waits + 1);
    await test.world.clock.advance(10_000);
    await stopped;
    await cut;
  });
});
