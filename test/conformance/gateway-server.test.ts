import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { writtenPart } from './document.ts';
import { GATEWAY_REVISIONS, gatewayRow, passedIn, runThroughGateway } from './gateway-runs.ts';

const DOCUMENT = readFileSync(new URL('../../docs/conformance.md', import.meta.url), 'utf8');

describe('the conformance of a server', () => {
  it.each(GATEWAY_REVISIONS)(
    'of %s is the same through the gateway, check by check',
    async (version) => {
      const runs = await runThroughGateway(version);
      const { direct, through } = runs;
      expect(through).toEqual(direct);
      expect(Object.keys(direct).length).toBeGreaterThan(30);
      // Equal verdicts say little where the server itself fails.
      expect(passedIn(direct)).toEqual(Object.keys(direct));
      expect(writtenPart(DOCUMENT, 'gateway')).toContain(gatewayRow(version, runs));
    },
    60_000,
  );
});
