import { expect, it } from 'vitest';
import type { Command, Conditions } from './model-commands.ts';
import { live, runInterleavings } from './model-property.ts';

/** About twenty seconds. `npm run reliability` runs many more. */
const INTERLEAVINGS = 100;

const STRICT: Conditions = {
  ...{ graceMs: 0, rotate: true, accessTokenSeconds: 3600, recovery: 'retry' },
  ...{ hasDaemon: false, order: 0 },
};

const refresh = (at: number, steps?: number): Command => ({ do: 'refresh', at, steps });
const misasked = (times: number): Command => ({
  ...{ do: 'fault', name: 'dead token called invalid_request', times },
});

it(`${INTERLEAVINGS} random interleavings of refreshes, logins, logouts, faults and crashes go as the model says`, {
  timeout: 300_000,
}, async () => {
  const counts = await runInterleavings(INTERLEAVINGS);
  expect(counts.get('interleavings')).toBe(INTERLEAVINGS);
  for (const what of ['refreshes', 'logins', 'crashes', 'faults met'])
    expect(counts.get(what)).toBeGreaterThan(0);
});

it.each<[string, number, Command[]]>([
  ['asks in another manner, and in that one from then on', 1, [misasked(1), refresh(0), refresh(1)]],
  ['asks in another manner each time, to the last', 2, [misasked(2), refresh(0)]],
  ['asks in each manner once', 4, [misasked(5), refresh(0), refresh(1)]],
  [
    'does not ask on after it slept for longer than its lease',
    0,
    [misasked(1), { do: 'oversleep', at: 0 }, refresh(1), { do: 'wake', at: 0 }, refresh(0)],
  ],
  [
    'asks anew after another has asked in vain',
    3,
    [misasked(4), refresh(0), { do: 'pass to the next attempt' }, refresh(1)],
  ],
])('a broker whose manner of asking is refused %s, as the model says', async (_, times, commands) => {
  let others = 0;
  await live(STRICT, commands, (what) => {
    if (what === 'refreshes in another manner') others += 1;
  });
  expect(others).toBe(times);
});

it('a refresh that is asked for while a login is being saved goes as the model says', async () => {
  const login: Command[] = [
    { do: 'begin login', at: 0, isNewClient: false },
    { do: 'finish login', steps: 0 },
  ];
  await live(STRICT, [{ do: 'logout', at: 0, steps: undefined }, ...login, refresh(0)]);
});
