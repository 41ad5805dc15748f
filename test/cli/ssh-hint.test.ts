import { describe, expect, it } from 'vitest';
import { sshForwardHint } from '../../src/cli/ssh-hint.ts';
import { readRedirectUri } from '../../src/core/redirect.ts';

const OVER_IPV4 = '198.51.100.7 51000 203.0.113.5 22';
const LOOPBACK = 'http://127.0.0.1:41234/callback';

const hint = (connection: string | undefined, user: string | undefined = 'alice', redirect = LOOPBACK) =>
  sshForwardHint(connection, user, readRedirectUri(redirect));

describe('the hint how to bring the listener home over SSH', () => {
  it('is one command', () => {
    expect(hint(OVER_IPV4)).toBe('ssh -L 41234:127.0.0.1:41234 alice@203.0.113.5');
  });

  it('names the port of the SSH server where it is not the usual one', () => {
    expect(hint('198.51.100.7 51000 203.0.113.5 2222')).toBe(
      'ssh -p 2222 -L 41234:127.0.0.1:41234 alice@203.0.113.5',
    );
  });

  it('names an IPv6 host without brackets, as ssh wants it', () => {
    expect(hint('2001:db8::7 51000 2001:db8::5 22')).toBe('ssh -L 41234:127.0.0.1:41234 alice@2001:db8::5');
  });

  it.each([
    ['http://localhost:41234/callback', 'ssh -L 41234:127.0.0.1:41234 alice@203.0.113.5'],
    // Unquoted brackets are a pattern to some shells.
    ['http://[::1]:41234/callback', "ssh -L 41234:'[::1]':41234 alice@203.0.113.5"],
  ])('leads to where %s is heard', (redirect, command) => {
    expect(hint(OVER_IPV4, 'alice', redirect)).toBe(command);
  });

  it.each(['', '-oProxyCommand=x', 'a b', 'a;b', 'a@b', '$(id)', 'a\u001b[2J', 'x'.repeat(65)])(
    'leaves out the user %j',
    (user) => {
      expect(hint(OVER_IPV4, user)).toBe('ssh -L 41234:127.0.0.1:41234 203.0.113.5');
    },
  );

  it('leaves out a user nobody told', () => {
    expect(sshForwardHint(OVER_IPV4, undefined, readRedirectUri(LOOPBACK))).toBe(
      'ssh -L 41234:127.0.0.1:41234 203.0.113.5',
    );
  });

  it.each([
    undefined,
    '',
    'x',
    '198.51.100.7 51000',
    '198.51.100.7 51000 203.0.113.5',
    '198.51.100.7 51000 203.0.113.5 22 more',
    '198.51.100.7 51000 broker.example.com 22',
    '198.51.100.7 51000 203.0.113.5;id 22',
    '198.51.100.7 51000 -oProxyCommand=x 22',
    'fe80::7%eth0 51000 fe80::5%eth0 22',
    '198.51.100.7 51000 203.0.113.5 0',
    '198.51.100.7 51000 203.0.113.5 65536',
    '198.51.100.7 51000 203.0.113.5 2x',
  ])('does not exist for the connection %j', (connection) => {
    expect(hint(connection)).toBeUndefined();
  });

  it('does not exist where the redirect goes elsewhere', () => {
    expect(hint(OVER_IPV4, 'alice', 'https://broker.example.com/callback')).toBeUndefined();
  });
});
