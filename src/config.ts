/**
 * Where settings come from: command line, then `BROKER_…` in the environment, then the config file, then the
 * default. This is the only file that reads the environment; `variables.ts` lists what it may read there.
 */
import { existsSync, readFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { BrokerError, systemCode } from './errors.ts';
import { Secret } from './secret.ts';
import type { VariableName, Variables } from './variables.ts';

/** Folder name under the XDG and systemd directories. */
const PROGRAM = 'mcp-token-broker';

export const DEFAULT_LISTEN = '127.0.0.1:8787';
export const DEFAULT_DAEMON_URL = `http://${DEFAULT_LISTEN}`;

/** Places to look for the master key, in order of precedence. Each is optional but the last. */
export interface MasterKeySources {
  /** `--master-key-file` or `BROKER_MASTER_KEY_FILE`. */
  file?: string | undefined;
  /** `$CREDENTIALS_DIRECTORY/broker-master-key`, from systemd's LoadCredential. */
  credential?: string | undefined;
  /** `BROKER_MASTER_KEY`: the key itself. */
  value?: Secret | undefined;
  /** `BROKER_MASTER_KEY_COMMAND`: prints the key; any KMS or secret store. */
  command?: string | undefined;
  /** Key file in the configuration directory, made together with a new vault. */
  defaultFile: string;
}

export interface ProxySettings {
  httpProxy: string | undefined;
  httpsProxy: string | undefined;
  /** Hosts reached directly, comma separated. */
  noProxy: string | undefined;
}

/** How a person got here, as SSH and sudo tell it. Not checked: the environment is anybody's. */
export interface SshSession {
  /** `SSH_CONNECTION`: `client_ip client_port server_ip server_port`. Undefined: it is SSH, but not told from where. */
  connection: string | undefined;
  /** Who logged in: with sudo, whoever called it. */
  user: string | undefined;
}

/** Facts every command may need. Options of single commands are theirs. */
export interface Settings {
  /** Directory of the data. */
  home: string;
  /** Directory of config file and default key file, apart from the data. */
  configDirectory: string;
  /** Path of the SQLite file. */
  database: string;
  masterKey: MasterKeySources;
  /** Where a token pair may be put aside when the vault cannot take it, best first. */
  rescueDirectories: string[];
  /** PEM file with further certificate authorities. */
  caFile: string | undefined;
  proxy: ProxySettings;
  /** Where a running daemon is: `http://host:port` or `unix:/path`. */
  daemonUrl: string;
  /** Key of the agent we are. Undefined: we are the operator. */
  agentKey: Secret | undefined;
  /** Whether a person looks at a local screen: no SSH, and a display where one is needed. */
  hasLocalScreen: boolean;
  /** Undefined: not over SSH. */
  ssh: SshSession | undefined;
  /** Where systemd waits to hear that a service is ready (sd_notify(3)). Undefined: nobody waits. */
  notifySocket: string | undefined;
}

/** Global options as commander parsed them. */
export interface GlobalOptions {
  home?: string;
  config?: string;
  database?: string;
  masterKeyFile?: string;
  caFile?: string;
}

/** The environment as a child process gets it. */
export type Environment = Record<string, string | undefined>;

/** Option names to values. */
export type ConfigFile = Record<string, string | number | boolean | string[]>;

/**
 * Resolves the settings. Removes `BROKER_MASTER_KEY`, `BROKER_AGENT_KEY` and `NOTIFY_SOCKET` from `variables` once
 * read, so that no child process inherits them.
 *
 * Throws `usage` for settings that cannot be.
 */
export function readSettings(options: GlobalOptions, variables: Variables = process.env): Settings {
  const home =
    options.home ??
    firstOf(variables.STATE_DIRECTORY) ??
    xdg(variables.XDG_DATA_HOME, variables, '.local/share');
  const configDirectory = configDirectoryOf(variables);
  return {
    home,
    configDirectory,
    database: options.database ?? join(home, 'broker.db'),
    masterKey: {
      file: options.masterKeyFile,
      credential:
        variables.CREDENTIALS_DIRECTORY && join(variables.CREDENTIALS_DIRECTORY, 'broker-master-key'),
      value: takeSecret(variables, 'BROKER_MASTER_KEY'),
      command: variables.BROKER_MASTER_KEY_COMMAND || undefined,
      defaultFile: join(configDirectory, 'master.key'),
    },
    rescueDirectories: [
      configDirectory,
      ...[firstOf(variables.RUNTIME_DIRECTORY), variables.XDG_RUNTIME_DIR].filter(
        (each) => each !== undefined,
      ),
      tmpdir(),
    ],
    caFile: options.caFile,
    proxy: {
      httpProxy: variables.http_proxy || variables.HTTP_PROXY || undefined,
      httpsProxy: variables.https_proxy || variables.HTTPS_PROXY || undefined,
      noProxy: variables.no_proxy || variables.NO_PROXY || undefined,
    },
    daemonUrl: variables.BROKER_URL || DEFAULT_DAEMON_URL,
    agentKey: readAgentKey(variables),
    hasLocalScreen: hasLocalScreen(variables),
    ssh: readSsh(variables),
    notifySocket: take(variables, 'NOTIFY_SOCKET'),
  };
}

/** Variables that lead to secrets of ours. */
const OUR_SECRETS = [
  'BROKER_AGENT_KEY',
  'BROKER_AGENT_KEY_FILE',
  'BROKER_MASTER_KEY',
  'BROKER_MASTER_KEY_FILE',
  'BROKER_MASTER_KEY_COMMAND',
  'BROKER_NOTIFY_WEBHOOK',
  'BROKER_NOTIFY_WEBHOOK_FILE',
  'BROKER_NOTIFY_SECRET_FILE',
];

/** The environment for a program we start: ours without what leads to our secrets, and with `additions`. */
export function childEnvironment(additions: Environment, variables: Environment = process.env): Environment {
  const rest = Object.entries(variables).filter(([name]) => !OUR_SECRETS.includes(name));
  return { ...Object.fromEntries(rest), ...additions };
}

/** Where programs are looked for by name. */
export function environmentPath(variables: Variables = process.env): string {
  return variables.PATH ?? '';
}

/**
 * Reads the config file: one flat JSON object whose keys are option names without dashes in front, such as
 * `{"listen": ["127.0.0.1:8787"], "log-level": "warn"}`. An absent default file is an empty one.
 */
export function readConfigFile(path: string | undefined, variables: Variables = process.env): ConfigFile {
  const file = path ?? join(configDirectoryOf(variables), 'config.json');
  if (path === undefined && !existsSync(file)) return {};
  try {
    return requireFlat(JSON.parse(readFileSync(file, 'utf8')));
  } catch (error) {
    const reason =
      systemCode(error) ?? (error instanceof SyntaxError ? 'it is not JSON' : 'a value has the wrong type');
    throw new BrokerError('usage', `the config file ${file} cannot be used: ${reason}`, {
      hint: 'it is one JSON object of option names to values, such as {"log-level": "warn"}',
      cause: error,
    });
  }
}

/** By hand: a schema library would take longer to load than most commands take. */
function requireFlat(value: unknown): ConfigFile {
  const isText = (each: unknown) => typeof each === 'string';
  const isPlain = (each: unknown) => ['string', 'number', 'boolean'].includes(typeof each);
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
  const isFlat = (each: unknown) => isPlain(each) || (Array.isArray(each) && each.every(isText));
  if (isObject && Object.values(value).every(isFlat)) return value as ConfigFile;
  throw new TypeError('a value has the wrong type');
}

/** `--callback-port` → `BROKER_CALLBACK_PORT`. */
export function environmentName(optionName: string): string {
  return `BROKER_${optionName.toUpperCase().replaceAll('-', '_')}`;
}

/** What the environment says for an option. Undefined: nothing. */
export function environmentValue(
  optionName: string,
  variables: Environment = process.env,
): string | undefined {
  return variables[environmentName(optionName)];
}

function configDirectoryOf(variables: Variables): string {
  return firstOf(variables.CONFIGURATION_DIRECTORY) ?? xdg(variables.XDG_CONFIG_HOME, variables, '.config');
}

/** systemd separates several directories by colons. */
function firstOf(directories: string | undefined): string | undefined {
  return directories?.split(':')[0] || undefined;
}

function xdg(base: string | undefined, variables: Variables, fallback: string): string {
  return join(base || join(variables.HOME || homedir(), fallback), PROGRAM);
}

function take(variables: Variables, name: VariableName): string | undefined {
  const value = variables[name];
  delete variables[name];
  return value || undefined;
}

function takeSecret(variables: Variables, name: VariableName): Secret | undefined {
  const value = take(variables, name);
  return value === undefined ? undefined : new Secret(value);
}

function readAgentKey(variables: Variables): Secret | undefined {
  const given = takeSecret(variables, 'BROKER_AGENT_KEY');
  if (given) return given;
  const file = variables.BROKER_AGENT_KEY_FILE;
  if (!file) return undefined;
  let key: string;
  try {
    key = readFileSync(file, 'utf8').trim();
  } catch (error) {
    throw new BrokerError('usage', `the agent key file ${file} cannot be read (${systemCode(error)})`, {
      hint: 'check BROKER_AGENT_KEY_FILE',
      cause: error,
    });
  }
  if (key !== '') return new Secret(key);
  throw new BrokerError('usage', `the agent key file ${file} is empty`, {
    hint: 'check BROKER_AGENT_KEY_FILE',
  });
}

function readSsh(variables: Variables): SshSession | undefined {
  if (!variables.SSH_CONNECTION && !variables.SSH_TTY) return undefined;
  return {
    connection: variables.SSH_CONNECTION || undefined,
    user: variables.SUDO_USER || variables.USER || variables.LOGNAME || undefined,
  };
}

function hasLocalScreen(variables: Variables): boolean {
  if (readSsh(variables)) return false;
  if (process.platform === 'darwin' || process.platform === 'win32') return true;
  return Boolean(variables.DISPLAY || variables.WAYLAND_DISPLAY);
}
