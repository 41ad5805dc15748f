import { networkInterfaces } from 'node:os';

/** Whether this machine has ::1. Containers often have not; tests that need it say so in the report. */
export const hasIpv6 = Object.values(networkInterfaces()).some((each) =>
  each?.some(({ address }) => address === '::1'),
);
