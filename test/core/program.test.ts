import { describe, expect, it } from 'vitest';
import { fillValue, plainSecrets, requireStartable, secretNames } from '../../src/core/program.ts';

const startable =
  (env: Record<string, string>, args: string[] = []) =>
  () =>
    requireStartable({ env, args });

describe('the environment of a program', () => {
  it('names the connections whose secrets it wants, each once', () => {
    const env = { A: '{{coda-pat}}', B: 'Bearer {{coda-pat}} of {{corp@alice}}', C: 'plain', D: '' };
    expect(secretNames(env)).toEqual(['coda-pat', 'corp@alice']);
    expect(startable(env)).not.toThrow();
  });

  it('holds the secrets where they belong, whatever is in them', () => {
    const secrets = new Map([
      ['one', '$& {{two}} $1'],
      ['two', 'second'],
    ]);
    expect(fillValue('<{{one}}|{{two}}>', secrets)).toBe('<$& {{two}} $1|second>');
    expect(fillValue('plain {one}', secrets)).toBe('plain {one}');
    expect(() => fillValue('{{three}}', secrets)).toThrow(TypeError);
  });

  it.each([
    [{ 'A-B': 'x' }, '"A-B" is no name of a variable'],
    [{ '1A': 'x' }, '"1A" is no name of a variable'],
    [{ A: '{{}}' }, 'A wants the secret of "", which is no name of a connection'],
    [{ A: '{{Not A Name}}' }, 'A wants the secret of "Not A Name"'],
    [{ A: '{{coda' }, 'the value of A has a {{ that names no connection'],
    [{ A: '{{coda}} {{' }, 'the value of A has a {{'],
    [{ A: 'a\0b' }, 'holds a NUL character'],
  ])('is refused as %j', (env, message) => {
    expect(startable(env as Record<string, string>)).toThrow(message);
  });

  it('is the only place for a secret: arguments can be seen by everybody', () => {
    expect(startable({}, ['--token', '{{coda-pat}}'])).toThrow('an argument wants a secret');
    expect(startable({}, ['a\0b'])).toThrow('NUL');
    expect(startable({}, ['{', '}}', '{ {a} }'])).not.toThrow();
  });

  it('is looked through for secrets that were written out', () => {
    const env = { API_TOKEN: 'abc', my_password: 'x', OPENAI_API_KEY: '{{coda}}', TOKEN: '', MODE: 'dev' };
    expect(plainSecrets(env)).toEqual(['API_TOKEN', 'my_password']);
  });
});
