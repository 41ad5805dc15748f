import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { checkCallback, chooseScope, redeemCode } from '../../src/oauth/authorization.ts';
import { Secret } from '../../src/secret.ts';
import { approveLogin } from '../support/approved-login.ts';
import { type AuthorizationServer, startAuthorizationServer } from '../support/authorization-server.ts';
import { fakeMetadata } from '../support/provider.ts';

const ISSUER = 'https://as.example.com';
const STATE = new Secret('state-1');

const advertising = fakeMetadata(ISSUER, { authorization_response_iss_parameter_supported: true });
const silent = fakeMetadata(ISSUER);

describe('the scope to ask for', () => {
  const offline = fakeMetadata(ISSUER, { scopes_supported: ['openid', 'offline_access'] });

  it.each([
    ['what the operator chose', ['a', 'b'], 'c', ['d'], 'a b'],
    ['else what the challenge demands', [], 'c d', ['e'], 'c d'],
    ['else all the resource supports', [], undefined, ['e', 'f'], 'e f'],
    ['else nothing', [], undefined, undefined, undefined],
    ['nothing, if the challenge demands nothing', [], ' ', ['e'], undefined],
    ['every word once', ['a', 'a'], undefined, undefined, 'a'],
  ])('is %s', (_, chosen, challenge, supported, scope) => {
    expect(chooseScope(chosen, challenge, supported, silent)).toBe(scope);
  });

  it('holds offline_access when the server advertises it, and never twice', () => {
    expect(chooseScope([], 'mcp:all', undefined, offline)).toBe('mcp:all offline_access');
    expect(chooseScope(['offline_access'], undefined, undefined, offline)).toBe('offline_access');
    expect(chooseScope([], undefined, undefined, offline)).toBe('offline_access');
  });

  it('does not hold offline_access where the server does not know it', () => {
    expect(chooseScope([], 'mcp:all', undefined, silent)).toBe('mcp:all');
  });
});

/** Checks a redirect with these parameters. */
function check(query: string, metadata = advertising) {
  return checkCallback(new URLSearchParams(query), STATE, metadata);
}

/** The error a redirect is refused with. */
function refusal(query: string, metadata = advertising) {
  try {
    check(query, metadata);
  } catch (error) {
    return error;
  }
  return expect.unreachable('the answer was accepted');
}

describe('the state of an answer', () => {
  it.each([
    ['missing', 'code=fake'],
    ['wrong', 'state=state-2&code=fake'],
    ['empty', 'state=&code=fake'],
    ['given twice', 'state=state-1&state=state-1&code=fake'],
    ['missing from an error', 'error=access_denied'],
    ['wrong, whatever the issuer', 'state=state-2&iss=https://evil.example.com&error=x'],
  ])('that is %s makes it foreign: it is discarded before anything else is looked at', (_, query) => {
    expect(check(query)).toEqual({ kind: 'foreign' });
  });
});

describe('the issuer of an answer (RFC 9207 §2.4)', () => {
  const right = `state=state-1&iss=${encodeURIComponent(ISSUER)}&code=fake`;
  const wrong = 'state=state-1&iss=https%3A%2F%2Fevil.example.com&code=fake';
  const absent = 'state=state-1&code=fake';

  it.each([
    ['advertised and equal', advertising, right, true],
    ['advertised and different', advertising, wrong, false],
    ['advertised and absent', advertising, absent, false],
    ['not advertised and equal', silent, right, true],
    ['not advertised and different', silent, wrong, false],
    ['not advertised and absent', silent, absent, true],
  ])('%s', (_, metadata, query, isAccepted) => {
    if (isAccepted) expect(check(query, metadata)).toMatchObject({ kind: 'answer' });
    else expect(refusal(query, metadata)).toMatchObject({ code: 'callback_invalid' });
  });

  it.each([
    'https://as.example.com/',
    'https://AS.example.com',
    'https://as.example.com:443',
    'HTTPS://as.example.com',
    '',
  ])('is compared to the letter: %s is another', (iss) => {
    const query = new URLSearchParams({ state: 'state-1', iss, code: 'fake' });
    for (const metadata of [advertising, silent]) {
      expect(refusal(query.toString(), metadata)).toMatchObject({ code: 'callback_invalid' });
    }
  });

  it('given twice is refused, even if both are right', () => {
    expect(refusal(`${right}&iss=${encodeURIComponent(ISSUER)}`)).toMatchObject({ code: 'callback_invalid' });
  });

  it('is judged before an error, whose words are not shown', () => {
    const words = 'call-this-number';
    const error = refusal(
      `state=state-1&iss=https://evil.example.com&error=access_denied&error_description=${words}`,
    );
    expect(error).toMatchObject({ code: 'callback_invalid' });
    expect(`${(error as Error).message} ${(error as { hint: string }).hint}`).not.toContain(words);
  });
});

describe('an answer of the right server', () => {
  const from = `state=state-1&iss=${encodeURIComponent(ISSUER)}`;

  it('that says no is a denied login', () => {
    expect(refusal(`${from}&error=access_denied&error_description=not%20today`)).toMatchObject({
      code: 'login_denied',
      message: expect.stringContaining('"not today"'),
    });
  });

  it('with another error is a refused login, its words bounded and in quotes', () => {
    const words = `\u001b[2J${'x'.repeat(1000)}`;
    const error = refusal(`${from}&error=invalid_scope&error_description=${encodeURIComponent(words)}`);
    expect(error).toMatchObject({ code: 'login_refused', hint: 'choose other scopes with --scope' });
    expect((error as Error).message).not.toContain('\u001b');
    expect((error as Error).message.length).toBeLessThan(400);
  });

  it('with an error and a code is an error', () => {
    expect(refusal(`${from}&code=fake&error=server_error`)).toMatchObject({ code: 'login_refused' });
  });

  it.each(['', '&code=', '&code=a&code=b'])('without exactly one code (%j) is invalid', (code) => {
    expect(refusal(`${from}${code}`)).toMatchObject({ code: 'callback_invalid' });
  });

  it.each(['id_token', 'token', 'response'])(
    'that holds a %s besides, which nobody asked for, is invalid',
    (name) => {
      expect(refusal(`${from}&code=fake&${name}=fake`)).toMatchObject({ code: 'callback_invalid' });
    },
  );
});

describe('redeeming a code (RFC 6749 §4.1.3) at a real server', () => {
  const resource = 'https://mcp.example.com/mcp';
  let server: AuthorizationServer;

  beforeEach(async () => {
    server = await startAuthorizationServer({ resources: { [resource]: { scope: 'mcp:all' } } });
  });

  afterEach(() => server.close());

  const approve = () => approveLogin(server, resource, 'mcp:all offline_access');

  it('gives a token set for the resource', async () => {
    const answer = await redeemCode(await approve());
    expect(answer).toMatchObject({ kind: 'answer', status: 200, body: { token_type: 'Bearer' } });
    const { body } = answer as { body: Record<string, string> };
    expect(await server.tokenIsActive(body.access_token as string)).toMatchObject({
      active: true,
      aud: resource,
    });
    expect(body.refresh_token).toEqual(expect.any(String));
  });

  it('is refused with another verifier', async () => {
    const codeVerifier = new Secret('a'.repeat(43));
    const answer = await redeemCode({ ...(await approve()), codeVerifier });
    expect(answer).toMatchObject({ kind: 'answer', status: 400, body: { error: 'invalid_grant' } });
  });

  it('works once', async () => {
    const approved = await approve();
    await redeemCode(approved);
    expect(await redeemCode(approved)).toMatchObject({ status: 400, body: { error: 'invalid_grant' } });
  });

  it('says what became of a request that was cut off', async () => {
    const approved = await approve();
    server.fail(({ grantType }) => (grantType ? { destroyAfter: true } : undefined));
    expect(await redeemCode(approved)).toMatchObject({ kind: 'no_answer' });
  });
});
