import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { environmentName, readConfigFile, readSettings } from '../src/config.ts';
import type { Variables } from '../src/variables.ts';
import { createHome, type Home } from './support/home.ts';

const HOME: Variables = { HOME: '/home/alice' };

let home: Home;

beforeEach(async () => {
  home = await createHome();
});

afterEach(() => home.remove());

const read = (variables: Variables, options = {}) => readSettings(options, { ...HOME, ...variables });

describe('the directory of the data', () => {
  it.each([
    ['--home', { home: '/srv/x' }, { STATE_DIRECTORY: '/var/lib/b', XDG_DATA_HOME: '/xdg' }, '/srv/x'],
    ['that of systemd', {}, { STATE_DIRECTORY: '/var/lib/b', XDG_DATA_HOME: '/xdg' }, '/var/lib/b'],
    ['the first of several of systemd', {}, { STATE_DIRECTORY: '/var/lib/b:/var/lib/c' }, '/var/lib/b'],
    ['that of XDG', {}, { XDG_DATA_HOME: '/xdg' }, '/xdg/mcp-token-broker'],
    ['below the home directory', {}, {}, '/home/alice/.local/share/mcp-token-broker'],
    [
      'not one that is empty',
      {},
      { STATE_DIRECTORY: '', XDG_DATA_HOME: '' },
      '/home/alice/.local/share/mcp-token-broker',
    ],
  ])('is %s', (_, options, variables, directory) => {
    const settings = read(variables, options);
    expect(settings.home).toBe(directory);
    expect(settings.database).toBe(join(directory, 'broker.db'));
  });

  it('does not decide about a database that is named', () => {
    expect(read({}, { home: '/srv/x', database: '/srv/y.db' }).database).toBe('/srv/y.db');
  });
});

describe('the directory of configuration and key', () => {
  it.each([
    ['that of systemd', { CONFIGURATION_DIRECTORY: '/etc/b:/etc/c', XDG_CONFIG_HOME: '/xdg' }, '/etc/b'],
    ['that of XDG', { XDG_CONFIG_HOME: '/xdg' }, '/xdg/mcp-token-broker'],
    ['below the home directory', {}, '/home/alice/.config/mcp-token-broker'],
  ])('is %s', (_, variables, directory) => {
    const { configDirectory, masterKey } = read(variables);
    expect([configDirectory, masterKey.defaultFile]).toEqual([directory, join(directory, 'master.key')]);
  });

  it('is apart from the data, also when the data is elsewhere', () => {
    const { home: data, masterKey } = read({}, { home: '/srv/x' });
    expect(masterKey.defaultFile.startsWith(data)).toBe(false);
  });
});

describe('secrets in the environment', () => {
  it('are taken out, so that no child process inherits them', () => {
    const variables = { ...HOME, BROKER_MASTER_KEY: 'fake-master', BROKER_AGENT_KEY: 'mtb_fake' };
    const settings = readSettings({}, variables);
    expect(settings.masterKey.value?.reveal()).toBe('fake-master');
    expect(settings.agentKey?.reveal()).toBe('mtb_fake');
    expect(variables).toEqual(HOME);
  });

  it('are joined by the way to systemd, which would take the word of any child', () => {
    const variables = { ...HOME, NOTIFY_SOCKET: '/run/systemd/notify' };
    expect(readSettings({}, variables).notifySocket).toBe('/run/systemd/notify');
    expect(variables).toEqual(HOME);
    expect(read({ NOTIFY_SOCKET: '' }).notifySocket).toBeUndefined();
  });

  it('do not show when the settings are printed', () => {
    expect(
      JSON.stringify(read({ BROKER_MASTER_KEY: 'fake-master', BROKER_AGENT_KEY: 'mtb_fake' })),
    ).not.toMatch(/fake-master|mtb_fake/);
  });

  it('that are empty are none', () => {
    const { masterKey, agentKey } = read({
      BROKER_MASTER_KEY: '',
      BROKER_AGENT_KEY: '',
      BROKER_MASTER_KEY_COMMAND: '',
    });
    expect([masterKey.value, masterKey.command, agentKey]).toEqual([undefined, undefined, undefined]);
  });

  it('may come from a file instead', () => {
    const file = join(home.path, 'agent.key');
    writeFileSync(file, 'mtb_from-file\n');
    expect(read({ BROKER_AGENT_KEY_FILE: file }).agentKey?.reveal()).toBe('mtb_from-file');
    expect(read({ BROKER_AGENT_KEY_FILE: file, BROKER_AGENT_KEY: 'mtb_x' }).agentKey?.reveal()).toBe('mtb_x');
  });

  it('cannot come from a file that is not there', () => {
    const file = join(home.path, 'absent');
    expect(() => read({ BROKER_AGENT_KEY_FILE: file })).toThrow(
      expect.objectContaining({ code: 'usage', message: expect.stringContaining(file) }),
    );
  });
});

describe('settings from the environment', () => {
  it('tell where the master key may be', () => {
    const { masterKey } = read(
      { CREDENTIALS_DIRECTORY: '/run/credentials/b', BROKER_MASTER_KEY_COMMAND: 'kms get' },
      { masterKeyFile: '/srv/key' },
    );
    expect(masterKey).toMatchObject({
      file: '/srv/key',
      credential: '/run/credentials/b/broker-master-key',
      command: 'kms get',
    });
  });

  it('tell the proxy, the lower case first', () => {
    const upper = { HTTP_PROXY: 'http://up', HTTPS_PROXY: 'http://up', NO_PROXY: 'up' };
    const lower = { http_proxy: 'http://low', https_proxy: 'http://low', no_proxy: 'low' };
    expect(read(upper).proxy).toEqual({ httpProxy: 'http://up', httpsProxy: 'http://up', noProxy: 'up' });
    expect(read({ ...upper, ...lower }).proxy).toEqual({
      httpProxy: 'http://low',
      httpsProxy: 'http://low',
      noProxy: 'low',
    });
    expect(read({}).proxy).toEqual({ httpProxy: undefined, httpsProxy: undefined, noProxy: undefined });
  });

  it('tell where the daemon is', () => {
    expect(read({}).daemonUrl).toBe('http://127.0.0.1:8787');
    expect(read({ BROKER_URL: 'unix:/run/broker.sock' }).daemonUrl).toBe('unix:/run/broker.sock');
  });

  it.each(['SSH_CONNECTION', 'SSH_TTY'])('tell by %s that nobody looks at this screen', (name) => {
    expect(read({ [name]: 'x', DISPLAY: ':0', WAYLAND_DISPLAY: 'wayland-0' }).hasLocalScreen).toBe(false);
  });

  it('tell who came over SSH, and from where', () => {
    const connection = '198.51.100.7 51000 203.0.113.5 22';
    const variables = { SSH_CONNECTION: connection, SSH_TTY: '/dev/pts/0', LOGNAME: 'carol' };
    expect(read(variables).ssh).toEqual({ connection, user: 'carol' });
    expect(read({ ...variables, USER: 'bob' }).ssh?.user).toBe('bob');
    expect(read({ ...variables, USER: 'broker', SUDO_USER: 'alice' }).ssh?.user).toBe('alice');
    expect(read({ SSH_TTY: '/dev/pts/0' }).ssh).toEqual({ connection: undefined, user: undefined });
    expect(read({ USER: 'bob', SSH_CONNECTION: '', SSH_TTY: '' }).ssh).toBeUndefined();
  });

  it.runIf(process.platform === 'linux')('tell by a display that somebody may (Linux)', () => {
    expect(read({}).hasLocalScreen).toBe(false);
    expect(read({ DISPLAY: ':0' }).hasLocalScreen).toBe(true);
    expect(read({ WAYLAND_DISPLAY: 'wayland-0' }).hasLocalScreen).toBe(true);
  });

  it('are named after the option', () => {
    expect(environmentName('callback-port')).toBe('BROKER_CALLBACK_PORT');
    expect(environmentName('home')).toBe('BROKER_HOME');
  });
});

describe('the config file', () => {
  const write = (text: string) => {
    const file = join(home.path, 'config.json');
    writeFileSync(file, text);
    return file;
  };

  it('is one flat object of options', () => {
    const values = { listen: ['127.0.0.1:8787'], 'log-level': 'warn', timeout: 5, 'no-color': true };
    expect(readConfigFile(write(JSON.stringify(values)))).toEqual(values);
  });

  it('is found in the configuration directory', () => {
    const directory = join(home.path, 'xdg', 'mcp-token-broker');
    mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, 'config.json'), '{"log-level":"debug"}');
    expect(readConfigFile(undefined, { XDG_CONFIG_HOME: join(home.path, 'xdg') })).toEqual({
      'log-level': 'debug',
    });
  });

  it('may be absent, unless it was named', () => {
    expect(readConfigFile(undefined, { XDG_CONFIG_HOME: join(home.path, 'nowhere') })).toEqual({});
    const file = join(home.path, 'absent.json');
    expect(() => readConfigFile(file)).toThrow(
      expect.objectContaining({ code: 'usage', message: expect.stringMatching(/absent\.json .*ENOENT/) }),
    );
  });

  it.each([
    ['is no JSON', '{"log-level": warn}', 'it is not JSON'],
    ['is a list', '[]', 'wrong type'],
    ['nests objects', '{"log": {"level": "warn"}}', 'wrong type'],
    ['holds null', '{"log-level": null}', 'wrong type'],
    ['is empty', '', 'it is not JSON'],
  ])('that %s is refused with the reason', (_, text, reason) => {
    expect(() => readConfigFile(write(text))).toThrow(
      expect.objectContaining({ code: 'usage', message: expect.stringContaining(reason) }),
    );
  });

  it('that is wrong is not repeated in the error', () => {
    expect(() => readConfigFile(write('{"secret": fake-secret}'))).toThrow(
      expect.not.objectContaining({ message: expect.stringContaining('fake-secret') }),
    );
  });
});
