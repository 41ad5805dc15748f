/** Dockerfile and compose file, read: no engine runs here. The health check is run for what it is, a command. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { readDeploy } from '../support/deploy.ts';
import { type Instruction, readDockerfile } from '../support/dockerfile.ts';
import { createHome, type Home } from '../support/home.ts';
import { CHECKOUT } from '../support/packed-package.ts';

const stages = readDockerfile(readDeploy('docker/Dockerfile'));
const [build = [], runtime = []] = stages;
const all = stages.flat();
const of = (stage: Instruction[], name: string) =>
  stage.filter((each) => each.name === name).map(({ text }) => text);

describe('the Dockerfile', () => {
  test('builds in one stage and runs in another, on bases with a version', () => {
    expect(stages).toHaveLength(2);
    for (const base of of(all, 'FROM')) expect(base).toMatch(/^node:22-bookworm-slim( AS build)?$/);
  });

  test('runs as a user that is not root, and starts the daemon as process 1', () => {
    expect(of(runtime, 'USER')).toEqual(['10001:10001']);
    expect(of(runtime, 'STOPSIGNAL')).toEqual(['SIGTERM']);
    expect(JSON.parse(of(runtime, 'ENTRYPOINT')[0] ?? '')).toEqual(['broker']);
    expect(JSON.parse(of(runtime, 'CMD')[0] ?? '')[0]).toBe('serve');
  });

  test('downloads nothing beside npm, and holds no secret', () => {
    expect(of(all, 'ADD')).toEqual([]);
    expect(of(all, 'RUN').join()).not.toMatch(/curl|wget|apt/);
    const set = [...of(all, 'ENV'), ...of(all, 'ARG')].flatMap((each) => each.split(' '));
    for (const name of set.map((each) => each.split('=')[0]))
      expect(name).not.toMatch(/KEY|TOKEN|SECRET|PASSWORD/);
  });

  test('what it keeps may be written although the rest may not', () => {
    const volumes: string[] = JSON.parse(of(runtime, 'VOLUME')[0] ?? '');
    const directories = [
      ...of(runtime, 'ENV')
        .join()
        .matchAll(/_DIRECTORY=(\S+)/g),
    ].map(([, path]) => path);
    expect(volumes).toEqual(directories);
    for (const each of volumes)
      expect(of(runtime, 'RUN').join()).toMatch(new RegExp(`-o 10001 [^&]*${each}`));
  });

  test('copies from the checkout what is there, and its .dockerignore lets through', () => {
    const ignored = readFileSync(join(CHECKOUT, '.dockerignore'), 'utf8').split('\n');
    expect(ignored).toContain('*');
    const made = ['dist', 'node_modules'];
    const copied = of(runtime, 'COPY').flatMap((each) =>
      [...each.matchAll(/\/build\/(\S+)/g)].map(([, path = '']) => path),
    );
    expect(copied).toContain('migrations');
    for (const path of copied.filter((each) => !made.includes(each))) {
      expect(existsSync(join(CHECKOUT, path)), path).toBe(true);
      expect(ignored).toContain(`!${path}`);
    }
    const { files } = JSON.parse(readFileSync(join(CHECKOUT, 'package.json'), 'utf8')) as { files: string[] };
    const needed = files.filter((each) => !/^!|^(deploy|docs|CHANGES.md)$/.test(each));
    expect(copied).toEqual(expect.arrayContaining(needed));
    expect(of(build, 'RUN').join()).toContain('npm ci --ignore-scripts');
  });
});

describe('the health check', () => {
  let home: Home;
  beforeAll(async () => {
    home = await createHome();
  });
  afterAll(() => home.remove());

  /** The exit code of the command of the image, asked at a socket of ours. */
  async function check(socket: string): Promise<number> {
    const [, command = ''] = / CMD (\[.*\])$/.exec(of(runtime, 'HEALTHCHECK')[0] ?? '') ?? [];
    const [program, ...args] = JSON.parse(command.replace('/run/broker/broker.sock', socket)) as string[];
    expect(program).toBe('node');
    const [code] = await once(spawn(process.execPath, args), 'close');
    return code;
  }

  test.each([
    [200, 0],
    [503, 1],
  ])('a daemon that answers %i makes it exit with %i', async (status, code) => {
    const socket = join(home.path, `${status}.sock`);
    const paths: (string | undefined)[] = [];
    const server = createServer((request, response) => {
      paths.push(request.url);
      response.writeHead(status).end();
    }).listen(socket);
    await once(server, 'listening');
    expect(await check(socket)).toBe(code);
    expect(paths).toEqual(['/readyz']);
    server.close();
  });

  test('no daemon makes it exit with 1', async () => {
    expect(await check(join(home.path, 'nobody.sock'))).toBe(1);
  });
});

describe('compose.yaml', () => {
  const { services, volumes, secrets } = parse(readDeploy('docker/compose.yaml'));

  test.each(['broker', 'agent'])(
    '%s can change nothing, gain nothing, and is reached from nowhere',
    (name) => {
      const service = services[name];
      expect(service).toMatchObject({
        read_only: true,
        cap_drop: ['ALL'],
        security_opt: ['no-new-privileges:true'],
      });
      expect(service.ports).toBeUndefined();
      expect(service.image).toMatch(/:\d+\.\d+\.\d+$/);
      expect(service.privileged).toBeUndefined();
      for (const each of service.secrets) expect(secrets).toHaveProperty(each);
      for (const each of service.volumes) expect(volumes).toHaveProperty(each.split(':')[0]);
      for (const [key, value] of Object.entries(service.environment))
        if (/KEY/.test(key)) expect(key, String(value)).toMatch(/_FILE$/);
    },
  );

  test('the agent is in the group of the socket, waits for it, and has no network', () => {
    const [, group] = services.agent.user.split(':');
    expect(of(runtime, 'USER')).toEqual([`10001:${group}`]);
    expect(services.agent).toMatchObject({
      network_mode: 'none',
      depends_on: { broker: { condition: 'service_healthy' } },
    });
    expect(services.broker.volumes).toContain('socket:/run/broker');
    expect(services.agent.environment.BROKER_URL).toBe('unix:/run/broker/broker.sock');
  });

  test('is built from the checkout, and stops in its own time', () => {
    expect(existsSync(join(CHECKOUT, 'deploy/docker', services.broker.build.context, 'package.json'))).toBe(
      true,
    );
    expect(existsSync(join(CHECKOUT, services.broker.build.dockerfile))).toBe(true);
    expect(Number.parseInt(services.broker.stop_grace_period, 10)).toBeGreaterThan(40);
  });
});
