import type { LookupAddress } from 'node:dns';
import { isIPv6, type LookupFunction } from 'node:net';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Network } from '../../src/core/server-settings.ts';
import { guardLookup, kindOf, requireAllowedHost } from '../../src/oauth/addresses.ts';
import { nameServer } from '../support/named-server.ts';

/** First and last address of each range, and the neighbours outside of it. */
const PRIVATE_RANGES = [
  ['this network', '0.0.0.0', '0.255.255.255', undefined, '1.0.0.0'],
  ['RFC 1918, 10/8', '10.0.0.0', '10.255.255.255', '9.255.255.255', '11.0.0.0'],
  ['carrier-grade NAT', '100.64.0.0', '100.127.255.255', '100.63.255.255', '100.128.0.0'],
  ['loopback', '127.0.0.0', '127.255.255.255', '126.255.255.255', '128.0.0.0'],
  ['link-local', '169.254.0.0', '169.254.255.255', '169.253.255.255', '169.255.0.0'],
  ['RFC 1918, 172.16/12', '172.16.0.0', '172.31.255.255', '172.15.255.255', '172.32.0.0'],
  ['protocol assignments', '192.0.0.0', '192.0.0.255', '191.255.255.255', '192.0.1.0'],
  ['documentation 1', '192.0.2.0', '192.0.2.255', '192.0.1.255', '192.0.3.0'],
  ['6to4 relays', '192.88.99.0', '192.88.99.255', '192.88.98.255', '192.88.100.0'],
  ['RFC 1918, 192.168/16', '192.168.0.0', '192.168.255.255', '192.167.255.255', '192.169.0.0'],
  ['benchmarks', '198.18.0.0', '198.19.255.255', '198.17.255.255', '198.20.0.0'],
  ['documentation 2', '198.51.100.0', '198.51.100.255', '198.51.99.255', '198.51.101.0'],
  ['documentation 3', '203.0.113.0', '203.0.113.255', '203.0.112.255', '203.0.114.0'],
  ['multicast, reserved and broadcast', '224.0.0.0', '255.255.255.255', '223.255.255.255', undefined],
  ['all below 2000::', '::', '1fff:ffff::', undefined, '2000::'],
  ['protocol assignments of IPv6', '2001::', '2001:1ff:ffff::', '2000:ffff::', '2001:200::'],
  ['documentation of IPv6', '2001:db8::', '2001:db8:ffff::', '2001:db7:ffff::', '2001:db9::'],
  ['new documentation of IPv6', '3fff::', '3fff:fff:ffff::', '3ffe:ffff::', '3fff:1000::'],
  ['all above 3fff:', '4000::', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', '3fff:ffff::', undefined],
] as const;

describe('an address', () => {
  it.each(PRIVATE_RANGES)('of %s is private, its neighbours are not', (_, first, last, before, after) => {
    expect([kindOf(first), kindOf(last)]).toEqual(['private', 'private']);
    for (const neighbour of [before, after]) {
      if (neighbour !== undefined) expect([neighbour, kindOf(neighbour)]).toEqual([neighbour, 'public']);
    }
  });

  it.each([
    '::1',
    'fc00::1',
    'fdff::1',
    'fe80::1',
    'febf::1',
    'fec0::1',
    'ff02::1',
    '100::1',
    '5f00::1',
    '::',
  ])('of IPv6 that has its own meaning, %s, is private', (address) => {
    expect(kindOf(address)).toBe('private');
  });

  it.each(['8.8.8.8', '93.184.216.34', '2606:4700:4700::1111', '2a00:1450:4001:81b::200e'])(
    'on the internet, %s, is public',
    (address) => {
      expect(kindOf(address)).toBe('public');
    },
  );

  it.each([
    ...['169.254.169.254', '169.254.170.2', '169.254.170.23', '100.100.100.200', '192.0.0.192'],
    ...['168.63.129.16', 'fd00:ec2::254', 'fd20:ce::254', 'FD00:0EC2:0:0::0254'],
  ])('of a cloud that gives its credentials away, %s, is forbidden', (address) => {
    expect(kindOf(address)).toBe('forbidden');
  });

  it.each(['', 'localhost', '1.2.3', '0x7f.1', '010.0.0.1', '[::1]', '8.8.8.8:80', ' 8.8.8.8'])(
    'that is none, %j, is forbidden',
    (text) => {
      expect(kindOf(text)).toBe('forbidden');
    },
  );

  it('has no other meaning with a zone behind it', () => {
    expect([kindOf('fe80::1%eth0'), kindOf('::ffff:169.254.169.254%eth0')]).toEqual(['private', 'forbidden']);
  });
});

/** The same IPv4 address inside an IPv6 address. */
const hex = (ipv4: string) => {
  const [a = 0, b = 0, c = 0, d = 0] = ipv4.split('.').map(Number);
  return `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
};
const inverted = (ipv4: string) =>
  ipv4
    .split('.')
    .map((byte) => 255 - Number(byte))
    .join('.');

describe('an IPv6 address that carries an IPv4 address', () => {
  const METADATA = '169.254.169.254';

  it.each([
    ['mapped', (ipv4: string) => `::ffff:${ipv4}`],
    ['mapped, in hexadecimal', (ipv4: string) => `0:0:0:0:0:FFFF:${hex(ipv4)}`],
    ['NAT64', (ipv4: string) => `64:ff9b::${hex(ipv4)}`],
    ['6to4', (ipv4: string) => `2002:${hex(ipv4)}::1`],
  ])('is what it carries: %s', (_, carry) => {
    fc.assert(
      fc.property(fc.ipV4(), (ipv4) => {
        expect(kindOf(carry(ipv4))).toBe(kindOf(ipv4));
      }),
    );
    expect(kindOf(carry('10.0.0.1'))).toBe('private');
    expect(kindOf(carry('8.8.8.8'))).toBe('public');
    expect(kindOf(carry(METADATA))).toBe('forbidden');
  });

  it.each([
    ['compatible', (ipv4: string) => `::${ipv4}`],
    ['translated', (ipv4: string) => `::ffff:0:${hex(ipv4)}`],
    ['NAT64 of one network, /96', (ipv4: string) => `64:ff9b:1::${hex(ipv4)}`],
    ['Teredo', (ipv4: string) => `2001:0:4136:e378:8000:63bf:${hex(inverted(ipv4))}`],
  ])('is private at best where nobody knows: %s', (_, carry) => {
    expect([kindOf(carry('8.8.8.8')), kindOf(carry('10.0.0.1'))]).toEqual(['private', 'private']);
  });

  it.each([
    ['compatible', `::${METADATA}`],
    ['translated', `::ffff:0:${hex(METADATA)}`],
    ['NAT64 of one network, /96', `64:ff9b:1:1::${hex(METADATA)}`],
    ['NAT64 of one network, /48', '64:ff9b:1:a9fe:a9:fe00::'],
    ['NAT64 of one network, /56', '64:ff9b:1:a9:fe:a9fe::'],
    ['NAT64 of one network, /64', '64:ff9b:1:0:a9:fea9:fe00:0'],
    ['Teredo', `2001:0:4136:e378:8000:63bf:${hex(inverted(METADATA))}`],
  ])('is forbidden when it may be a forbidden one: %s', (_, address) => {
    expect(kindOf(address)).toBe('forbidden');
  });

  it('is judged whatever it looks like', () => {
    fc.assert(
      fc.property(fc.ipV6(), (address) => {
        expect(['public', 'private', 'forbidden']).toContain(kindOf(address));
        expect(kindOf(address.toUpperCase())).toBe(kindOf(address));
        expect(kindOf(new URL(`http://[${address}]`).hostname.slice(1, -1))).toBe(kindOf(address));
      }),
      { numRuns: 500 },
    );
  });
});

describe('a host in a URL', () => {
  it.each([
    ['public', 'https://10.0.0.7/'],
    ['public', 'http://0x7f.1/'],
    ['public', 'https://2130706433/'],
    ['public', 'https://0177.0.0.1/'],
    ['public', 'https://127.1/'],
    ['public', 'https://１２７.0.0.1/'],
    ['public', 'https://10.0.0.7./'],
    ['public', 'https://[::1]/'],
    ['public', 'https://[::ffff:10.0.0.7]/'],
    ['private', 'https://169.254.169.254/latest/meta-data'],
    ['private', 'https://0xa9fea9fe/'],
    ['private', 'https://[::ffff:a9fe:a9fe]/'],
    ['private', 'https://[fd00:ec2::254]/'],
  ] as const)('on the %s network cannot be that of %s', (network, url) => {
    expect(() => requireAllowedHost(url, network)).toThrow(
      expect.objectContaining({
        code: 'discovery_failed',
        message: expect.stringContaining('refused to call'),
      }),
    );
  });

  it.each([
    ['public', 'https://8.8.8.8/'],
    ['public', 'https://as.example.com/'],
    ['public', 'https://10.example.com/'],
    ['private', 'https://10.0.0.7/'],
    ['private', 'http://[::1]:8080/'],
    [undefined, 'http://127.0.0.1/'],
  ] as const)('on the %s network may be that of %s', (network, url) => {
    expect(() => requireAllowedHost(url, network)).not.toThrow();
  });
});

describe('a name that is looked up', () => {
  /** What a connection is given for `as.example.com`. */
  const lookUp = (network: Network, addresses: string[], all = true) => {
    const { lookup } = nameServer({ 'as.example.com': [addresses] });
    return ask(guardLookup(network, lookup), all);
  };
  const ask = (lookup: LookupFunction, all = true) =>
    new Promise((resolve, reject) =>
      lookup('as.example.com', { all }, (error, address, family) =>
        error ? reject(error) : resolve(all ? address : { address, family }),
      ),
    );
  const list = (...addresses: string[]): LookupAddress[] =>
    addresses.map((address) => ({ address, family: isIPv6(address) ? 6 : 4 }));

  it('keeps only those addresses that may be called', async () => {
    const all = ['10.0.0.1', '8.8.8.8', '169.254.169.254', '::1', '2606:4700::1'];
    expect(await lookUp('public', all)).toEqual(list('8.8.8.8', '2606:4700::1'));
    expect(await lookUp('private', all)).toEqual(list('10.0.0.1', '8.8.8.8', '::1', '2606:4700::1'));
    expect(await lookUp('public', all, false)).toEqual({ address: '8.8.8.8', family: 4 });
  });

  it('is refused when none is left, with the reason', async () => {
    await expect(lookUp('public', ['10.0.0.7', '::1'])).rejects.toMatchObject({
      code: 'discovery_failed',
      message: 'refused to call as.example.com: it leads to a private address (10.0.0.7)',
      hint: expect.stringContaining('log in with a URL inside that network'),
    });
    await expect(lookUp('private', ['169.254.169.254'])).rejects.toMatchObject({
      message: 'refused to call as.example.com: it leads to an address nobody may call (169.254.169.254)',
      hint: expect.stringContaining('credentials'),
    });
  });

  it('fails as it always did when it is not known', async () => {
    const { lookup } = nameServer({});
    await expect(ask(guardLookup('public', lookup))).rejects.toMatchObject({ code: 'ENOTFOUND' });
    await expect(lookUp('public', [])).rejects.toMatchObject({ code: 'ENOTFOUND' });
  });
});
