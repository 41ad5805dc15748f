/**
 * Which addresses we may connect to: the guard against servers that lead us to places they should not (SSRF).
 *
 * What is not known to be on the public internet is private. An IPv6 address that carries an IPv4 address is judged
 * by the one it carries, because that is where its packets arrive. The answer that was judged is the answer that is
 * connected to; a name is never looked up a second time, so a name server cannot say one thing to the check and
 * another to the connection (DNS rebinding).
 */
import type { LookupAddress } from 'node:dns';
import { BlockList, isIP, isIPv4, type LookupFunction } from 'node:net';
import type { Network } from '../core/server-settings.ts';
import { BrokerError, printable } from '../errors.ts';

/** `forbidden`: the metadata service of a cloud, which hands out credentials to whoever asks. */
export type AddressKind = 'public' | 'private' | 'forbidden';

/** Metadata and credential services of clouds, and Azure's host agent. */
const FORBIDDEN = [
  ...['169.254.169.254', '169.254.170.2', '169.254.170.23', '169.254.0.23', '169.254.42.42'],
  ...['100.100.100.200', '192.0.0.192', '168.63.129.16'],
  ...['fd00:ec2::254', 'fd00:ec2::23', 'fd20:ce::254', 'fd00:c1::a9fe:a9fe', 'fd00:42::42'],
  ...['fd00:a9fe:a9fe::1', 'fe80::a9fe:a9fe'],
];

/** @see https://www.iana.org/assignments/iana-ipv4-special-registry */
const PRIVATE_IPV4 = [
  ...['0.0.0.0/8', '10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8', '169.254.0.0/16', '172.16.0.0/12'],
  ...['192.0.0.0/24', '192.0.2.0/24', '192.88.99.0/24', '192.168.0.0/16', '198.18.0.0/15'],
  ...['198.51.100.0/24', '203.0.113.0/24', '224.0.0.0/4', '240.0.0.0/4'],
];

/** All that is handed out for use on the internet, and what of it is not. @see RFC 4291 §2.4, RFC 6890, RFC 9637 */
const GLOBAL_IPV6 = ['2000::/3'];
const PRIVATE_IPV6 = ['2001::/23', '2001:db8::/32', '3fff::/20'];

/** Last four bytes of an IPv6 address. */
const END = [12, 13, 14, 15];

interface Carrier {
  range: string;
  /** Where the four bytes stand; several places when only one network knows which. */
  places: number[][];
  /** Whether packets to it arrive at the IPv4 address. Else it is private at best. */
  isRouted: boolean;
  isInverted?: boolean;
}

/** Ranges whose addresses carry an IPv4 address. */
const CARRIERS = [
  // Mapped, RFC 4291 §2.5.5.2: the same connection, written otherwise.
  { range: '::ffff:0:0/96', places: [END], isRouted: true },
  // NAT64, RFC 6052 §2.1: how networks without IPv4 see all of the IPv4 internet.
  { range: '64:ff9b::/96', places: [END], isRouted: true },
  // 6to4, RFC 3056 §2.
  { range: '2002::/16', places: [[2, 3, 4, 5]], isRouted: true },
  // Compatible, RFC 4291 §2.5.5.1, and translated, RFC 2765 §2.1: out of use.
  { range: '::/96', places: [END], isRouted: false },
  { range: '::ffff:0:0:0/96', places: [END], isRouted: false },
  // NAT64 of one network, RFC 8215: the length of its prefix decides the places, RFC 6052 §2.2.
  {
    range: '64:ff9b:1::/48',
    places: [[6, 7, 9, 10], [7, 9, 10, 11], [9, 10, 11, 12], END],
    isRouted: false,
  },
  // Teredo, RFC 4380 §4: out of use.
  { range: '2001::/32', places: [END], isRouted: false, isInverted: true },
].map((carrier: Carrier) => ({ ...carrier, list: listOf([carrier.range]) }));

const forbidden = listOf(FORBIDDEN.map((address) => `${address}/${isIPv4(address) ? 32 : 128}`));
const privateIPv4 = listOf(PRIVATE_IPV4);
const globalIPv6 = listOf(GLOBAL_IPV6);
const privateIPv6 = listOf(PRIVATE_IPV6);

/** Where an IP address belongs. `forbidden` also for what is no IP address. A zone (`fe80::1%eth0`) is ignored. */
export function kindOf(address: string): AddressKind {
  const [plain = ''] = address.split('%');
  switch (isIP(plain)) {
    case 4:
      return kindOfIPv4(plain);
    case 6:
      return kindOfIPv6(plain);
    default:
      return 'forbidden';
  }
}

function kindOfIPv4(address: string): AddressKind {
  if (forbidden.check(address, 'ipv4')) return 'forbidden';
  return privateIPv4.check(address, 'ipv4') ? 'private' : 'public';
}

function kindOfIPv6(address: string): AddressKind {
  if (forbidden.check(address, 'ipv6')) return 'forbidden';
  const carrier = CARRIERS.find(({ list }) => list.check(address, 'ipv6'));
  if (carrier) {
    const kinds = carriedBy(address, carrier).map(kindOfIPv4);
    if (kinds.includes('forbidden')) return 'forbidden';
    return carrier.isRouted && !kinds.includes('private') ? 'public' : 'private';
  }
  const isGlobal = globalIPv6.check(address, 'ipv6') && !privateIPv6.check(address, 'ipv6');
  return isGlobal ? 'public' : 'private';
}

/** The IPv4 addresses that may be meant. */
function carriedBy(address: string, { places, isInverted }: Carrier): string[] {
  const bytes = bytesOf(address).map((byte) => (isInverted ? 255 - byte : byte));
  return places.map((place) => place.map((each) => bytes[each]).join('.'));
}

/** The 16 bytes of an IPv6 address, in whatever form it is written. */
function bytesOf(address: string): number[] {
  const [head = '', tail = ''] = new URL(`http://[${address}]`).hostname.slice(1, -1).split('::');
  const [left, right] = [head, tail].map((part) => part.split(':').filter(Boolean)) as [string[], string[]];
  const zeros = new Array<string>(8 - left.length - right.length).fill('0');
  return [...left, ...zeros, ...right].flatMap((group) => {
    const number = Number.parseInt(group, 16);
    return [number >> 8, number & 0xff];
  });
}

/** A list of ranges in CIDR notation, of one or both families. */
function listOf(ranges: string[]): BlockList {
  const list = new BlockList();
  for (const range of ranges) {
    const [address = '', prefix] = range.split('/');
    list.addSubnet(address, Number(prefix), isIPv4(address) ? 'ipv4' : 'ipv6');
  }
  return list;
}

/**
 * Refuses a host that is written as an IP address of the wrong kind, in whatever notation (`http://0x7f.1/`); names
 * pass. Throws `discovery_failed`.
 */
export function requireAllowedHost(url: string, network?: Network): void {
  const host = new URL(url).hostname.replace(/^\[|\]$/g, '');
  if (isIP(host) !== 0 && !isAllowed(host, network)) throw refusal(host, host);
}

/**
 * A lookup that gives only addresses we may connect to. A name that has none fails with `discovery_failed`.
 *
 * @param lookup as `dns.lookup`
 */
export function guardLookup(network: Network | undefined, lookup: LookupFunction): LookupFunction {
  return (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, (error, answer) => {
      if (error) return callback(error, []);
      const addresses = answer as LookupAddress[];
      const allowed = addresses.filter(({ address }) => isAllowed(address, network));
      const [first] = allowed;
      if (first === undefined) return callback(refuseAll(hostname, addresses), []);
      if (options.all) callback(null, allowed);
      else callback(null, first.address, first.family);
    });
  };
}

function isAllowed(address: string, network: Network = 'private'): boolean {
  const kind = kindOf(address);
  return kind === 'public' || (kind === 'private' && network === 'private');
}

function refuseAll(host: string, [first]: LookupAddress[]): Error {
  return first ? refusal(host, first.address) : Object.assign(new Error('no address'), { code: 'ENOTFOUND' });
}

/** Its cause tells `readNetworkFailure` that nothing was sent. */
function refusal(host: string, address: string): BrokerError {
  const isPrivate = kindOf(address) === 'private';
  const place = isPrivate ? 'a private address' : 'an address nobody may call';
  return new BrokerError(
    'discovery_failed',
    `refused to call ${printable(host)}: it leads to ${place} (${printable(address)})`,
    {
      hint: isPrivate
        ? 'a server on the internet must not send us into the private network\n' +
          'if that server is really yours, log in with a URL inside that network'
        : 'a cloud hands out its own credentials there; if you did not mean to go there, the server is not to be trusted',
      cause: addressRefused(),
    },
  );
}

/** What made us refuse to send anything, in the form of a system error. */
export function addressRefused(): Error {
  return Object.assign(new Error('address refused'), { code: 'ADDRESS_REFUSED' });
}
