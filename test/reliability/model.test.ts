import { expect, it } from 'vitest';
import { runInterleavings } from './model-property.ts';

/** About twenty seconds. `npm run reliability` runs many more. */
const INTERLEAVINGS = 100;

it(`${INTERLEAVINGS} random interleavings of refreshes, logins, logouts, faults and crashes go as the model says`, {
  timeout: 300_000,
}, async () => {
  const counts = await runInterleavings(INTERLEAVINGS);
  expect(counts.get('interleavings')).toBe(INTERLEAVINGS);
  for (const what of ['refreshes', 'logins', 'crashes', 'faults met'])
    expect(counts.get(what)).toBeGreaterThan(0);
});
