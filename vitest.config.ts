import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    // Campaigns take longer and are run by `npm run reliability`.
    include: ['test/**/*.test.ts', ...(process.env.CAMPAIGNS ? ['test/**/*.campaign.ts'] : [])],
    testTimeout: 30_000,
    hookTimeout: 30_000,
    maxWorkers: 2,
    // Our modules keep no state of their own, so files can share a process: half the time goes into loading them.
    isolate: false,
  },
});
