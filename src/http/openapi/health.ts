/** How the daemon itself is doing, and this document. */
import type { Readiness } from '../../broker/health.ts';
import { FOR_ANYBODY, json, type Paths, WITH_AGENT_KEY, words } from './parts.ts';
import { ALWAYS, answers, KEYED } from './problems.ts';
import { oneOf, type StringSchema } from './schema.ts';

const MISSING = oneOf<Exclude<Readiness['status'], 'ready'>>('What is missing.', {
  vault_unavailable: 'the vault does not answer',
  save_failed: 'a new token waits to be saved',
  scheduler_stuck: 'nothing is refreshed any more',
});

/** The words as lines. */
function lineOf(schema: StringSchema): StringSchema {
  return { ...schema, enum: (schema.enum ?? []).map((word) => `${word}\n`) };
}

/** The routes that are not about a connection. */
export const HEALTH_PATHS: Paths = {
  '/healthz': {
    get: {
      operationId: 'isAlive',
      tags: ['Operations'],
      security: FOR_ANYBODY,
      summary: 'Ask whether the process lives',
      description: 'Looks at nothing.',
      responses: answers(
        {
          200: words('It lives.', 'text/plain', { type: 'string', const: 'ok\n', description: 'One word.' }),
        },
        ALWAYS,
      ),
    },
  },
  '/readyz': {
    get: {
      operationId: 'isReady',
      tags: ['Operations'],
      security: FOR_ANYBODY,
      summary: 'Ask whether the daemon can do its work',
      description: 'The vault opens, no new token waits to be saved, and the scheduler turns.',
      responses: answers(
        {
          200: words('It can.', 'text/plain', { type: 'string', const: 'ready\n', description: 'One word.' }),
          503: words('It cannot.', 'text/plain', lineOf(MISSING)),
        },
        ALWAYS,
      ),
    },
  },
  '/metrics': {
    get: {
      operationId: 'getMetrics',
      tags: ['Operations'],
      security: WITH_AGENT_KEY,
      summary: 'Get the numbers for Prometheus',
      description: 'For agents with the admin right.',
      responses: answers(
        {
          200: words('The numbers.', 'text/plain', {
            type: 'string',
            description: 'The text format of Prometheus, version 0.0.4.',
          }),
        },
        KEYED,
      ),
    },
  },
  '/openapi.json': {
    get: {
      operationId: 'getOpenApi',
      tags: ['Operations'],
      security: FOR_ANYBODY,
      summary: 'Get this document',
      description: 'OpenAPI 3.1. The server in it is the base URL of the daemon.',
      responses: answers(
        {
          200: json('This document.', {
            type: 'object',
            description: 'See https://spec.openapis.org/oas/v3.1.1.html.',
            properties: { openapi: { type: 'string', const: '3.1.1', description: 'The version.' } },
            required: ['openapi'],
            additionalProperties: true,
          }),
        },
        ALWAYS,
      ),
    },
  },
};
