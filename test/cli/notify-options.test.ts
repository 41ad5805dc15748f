import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { afterAll, describe, expect, it } from 'vitest';
import { notifySettings, withNotifyOptions } from '../../src/cli/commands/notify-options.ts';
import { BrokerError } from '../../src/errors.ts';

const directory = mkdtempSync(join(tmpdir(), 'broker-options-'));
const file = (name: string, text: string) => {
  writeFileSync(join(directory, name), `${text}\n`);
  return join(directory, name);
};
const SECRET = file('secret', 'fake-signing-secret-long-enough');
const HOOK = file('hook', 'https://chat.example.com/hooks/fake-path');
const URL = 'https://ops.example.com/hook';

/** @param set what the environment or the config file says */
function settingsOf(args: string[], set: Record<string, unknown> = {}) {
  const command = withNotifyOptions(new Command()).parse(args, { from: 'user' });
  for (const [name, value] of Object.entries(set)) command.setOptionValueWithSource(name, value, 'env');
  return notifySettings(command);
}

afterAll(() => rmSync(directory, { recursive: true }));

describe('the options by which people are told', () => {
  it('tell nobody when none is given', async () => {
    expect(await settingsOf([])).toBeUndefined();
    expect(await settingsOf(['--notify-after', '5m'])).toBeUndefined();
  });

  it('are a command, a webhook or both', async () => {
    const settings = await settingsOf([
      ...['--notify-command', 'mail ops', '--notify-webhook', URL],
      ...['--notify-secret-file', SECRET, '--notify-after', '5m'],
    ]);
    expect(settings).toMatchObject({ command: 'mail ops', afterMs: 300_000 });
    expect(settings?.webhook?.url.reveal()).toBe(URL);
    expect(settings?.webhook?.secret?.reveal()).toBe('fake-signing-secret-long-enough');
    expect(JSON.stringify(settings)).not.toContain('fake-signing');
    expect(await settingsOf(['--notify-command', 'mail ops'])).toEqual({
      command: 'mail ops',
      webhook: undefined,
      afterMs: 900_000,
    });
  });

  it('take the URL of an unsigned webhook from a file or the environment, or of this machine', async () => {
    const fromFile = await settingsOf(['--notify-webhook-file', HOOK, '--notify-unsigned']);
    expect(fromFile?.webhook?.url.reveal()).toBe('https://chat.example.com/hooks/fake-path');
    expect(fromFile?.webhook?.secret).toBeUndefined();
    const set = { notifyWebhook: URL, notifyUnsigned: true };
    expect((await settingsOf([], set))?.webhook?.url.reveal()).toBe(URL);
    const here = ['--notify-webhook', 'http://127.0.0.1:9/hook', '--notify-unsigned'];
    expect((await settingsOf(here))?.webhook).toBeDefined();
  });

  it.each<[string, string[], RegExp]>([
    ['neither signed nor said to be unsigned', ['--notify-webhook', URL], /a secret to sign with/],
    [
      'both',
      ['--notify-webhook', URL, '--notify-secret-file', SECRET, '--notify-unsigned'],
      /either signed or not/,
    ],
    ['unsigned, and its URL was typed', ['--notify-webhook', URL, '--notify-unsigned'], /is a secret/],
    [
      'named twice',
      ['--notify-webhook', URL, '--notify-webhook-file', HOOK, '--notify-unsigned'],
      /named twice/,
    ],
    ['not there', ['--notify-secret-file', SECRET], /there is no webhook/],
    ['an empty command', ['--notify-command', ' '], /is empty/],
    [
      'not to be called',
      ['--notify-webhook', 'http://ops.example.com/', '--notify-secret-file', SECRET],
      /cannot be used/,
    ],
    ['from stdin twice', ['--notify-webhook-file', '-', '--notify-secret-file', '-'], /only one secret/],
    [
      'in a file that is not there',
      ['--notify-webhook-file', '/nonexistent', '--notify-unsigned'],
      /cannot be read/,
    ],
  ])('are refused for a webhook that is %s', async (_, args, message) => {
    const error = await settingsOf(args).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(BrokerError);
    expect(error).toMatchObject({ code: 'usage', message: expect.stringMatching(message) });
    expect((error as BrokerError).hint).toBeDefined();
  });
});
