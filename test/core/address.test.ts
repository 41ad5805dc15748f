import { describe, expect, it } from 'vitest';
import { addressOf } from '../../src/core/address.ts';

describe('the address a caller is counted by', () => {
  it.each([
    [undefined, 'unix'],
    ['', 'unix'],
    ['127.0.0.1', '127.0.0.1'],
    ['::1', '::1'],
    ['::ffff:192.0.2.7', '192.0.2.7'],
    ['::FFFF:192.0.2.7', '192.0.2.7'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:0DB8:0001:0002::1', '2001:db8:1:2::/64'],
    ['2001:db8::1', '2001:db8::/64'],
    ['2001:db8:0:7::', '2001:db8:0:7::/64'],
    ['fe80::1%eth0', 'fe80::/64'],
    ['fe80::2%eth1', 'fe80::/64'],
  ])('of %s is %s', (remote, counted) => expect(addressOf(remote)).toBe(counted));

  it('tells networks of 64 bits apart', () => {
    expect(addressOf('2001:db8:1:2::1')).not.toBe(addressOf('2001:db8:1:3::1'));
  });
});
