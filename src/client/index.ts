/**
 * Fresh credentials for agents, from the broker daemon on this host. No dependencies; Node 20 or newer.
 *
 * This room stands alone: it is what agents install, and knows the broker only by its HTTP API.
 */
export { type BrokerAuth, brokerAuth } from './broker-auth.ts';
export { brokerFetch } from './broker-fetch.ts';
export { BrokerClientError, type BrokerClientErrorCode, type BrokerClientErrorDetails } from './errors.ts';
export type { BrokerOptions } from './options.ts';
