/** Where the daemon is and who we are: options, else `BROKER_…` in the environment, else the default. */
import { readFileSync } from 'node:fs';
import type { RequestOptions } from 'node:https';
import { BrokerClientError } from './errors.ts';
import type { BrokerOptions } from './options.ts';

const DEFAULT_URL = 'http://127.0.0.1:8787';

/** What may stand in a header: visible ASCII. */
const VISIBLE = /^[\x21-\x7e]+$/;

/** How to reach the daemon. */
export interface DaemonSettings {
  /** The address as it may be shown. */
  url: string;
  isTls: boolean;
  target: RequestOptions;
  /** What stands before the path of each route. */
  basePath: string;
  key: string;
}

/** Reads address and key. Throws `usage`. */
export function readSettings({ url, key }: Pick<BrokerOptions, 'url' | 'key'>): DaemonSettings {
  return { ...readAddress(url || process.env.BROKER_URL || DEFAULT_URL), key: readKey(key) };
}

function readAddress(url: string): Omit<DaemonSettings, 'key'> {
  if (/^unix:./.test(url)) {
    return { url, isTls: false, basePath: '', target: { socketPath: url.slice('unix:'.length) } };
  }
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (!parsed || !/^https?:$/.test(parsed.protocol) || parsed.username || parsed.password) {
    throw new BrokerClientError('usage', 'BROKER_URL, or the option url, is not the address of a daemon', {
      nextStep: 'write http://127.0.0.1:8787 or unix:/path/to/broker.sock',
    });
  }
  return {
    url: parsed.origin,
    isTls: parsed.protocol === 'https:',
    basePath: parsed.pathname.replace(/\/+$/, ''),
    target: { host: parsed.hostname.replace(/^\[|\]$/g, ''), port: parsed.port },
  };
}

function readKey(given: string | undefined): string {
  const key = (
    given ||
    process.env.BROKER_AGENT_KEY ||
    readKeyFile(process.env.BROKER_AGENT_KEY_FILE)
  ).trim();
  if (VISIBLE.test(key)) return key;
  throw new BrokerClientError('usage', key === '' ? 'there is no agent key' : 'the agent key is not one', {
    nextStep:
      'set BROKER_AGENT_KEY or BROKER_AGENT_KEY_FILE; an operator makes a key with: broker agent add <name> --allow <connection>',
  });
}

function readKeyFile(path: string | undefined): string {
  if (!path) return '';
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const { code } = error as { code?: string };
    throw new BrokerClientError('usage', `the agent key file cannot be read (${code})`, {
      nextStep: 'check BROKER_AGENT_KEY_FILE',
    });
  }
}
