import { expect, it } from 'vitest';
import { runInterleavings } from './model-property.ts';

const { MODEL_RUNS = '2000', MODEL_SEED, MODEL_PATH } = process.env;
const INTERLEAVINGS = Number(MODEL_RUNS);

it(`${INTERLEAVINGS} more random interleavings of the same go as the model says`, {
  timeout: 3_600_000,
}, async () => {
  const again = {
    ...(MODEL_SEED === undefined ? {} : { seed: Number(MODEL_SEED) }),
    ...(MODEL_PATH === undefined ? {} : { path: MODEL_PATH }),
  };
  const counts = await runInterleavings(INTERLEAVINGS, again);
  process.stdout.write(`${[...counts].map(([what, times]) => `${times} ${what}`).join(', ')}\n`);
  expect(counts.get('interleavings')).toBeGreaterThanOrEqual(INTERLEAVINGS);
});
