/** Whose address it is, for limits and the audit trail. */

/**
 * The address one party is counted by. Of IPv6 the network of 64 bits, since whoever has one address there has them
 * all; of an IPv4 address in IPv6's clothes the IPv4 address (RFC 4291 §2.5.5.2).
 *
 * @param remoteAddress as Node tells it of a socket; undefined: a Unix socket, whose caller has none
 */
export function addressOf(remoteAddress: string | undefined): string {
  if (remoteAddress === undefined || remoteAddress === '') return 'unix';
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(remoteAddress)?.[1];
  const [address = ''] = (mapped ?? remoteAddress).split('%');
  if (!address.includes(':') || address === '::1') return address;
  const [head = '', tail] = address.split('::');
  const before = groupsOf(head);
  const after = tail === undefined ? [] : groupsOf(tail);
  const gap = Math.max(0, GROUPS - before.length - after.length);
  const network = [...before, ...Array<string>(gap).fill('0'), ...after].slice(0, GROUPS / 2);
  while (network.at(-1) === '0') network.pop();
  return `${network.join(':')}::/64`;
}

/** Of 16 bits each. */
const GROUPS = 8;

/** Without leading zeros, so that one network is written in one way. */
function groupsOf(text: string): string[] {
  return text === '' ? [] : text.split(':').map((group) => group.toLowerCase().replace(/^0+(?=.)/, ''));
}
