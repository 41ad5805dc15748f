/**
 * The oidc-provider library, imported without its notice about the runtime: it prints a warning on import under
 * any Node.js release that is not (yet) a long-term one, and that would end up in every test report.
 */

const { warn } = console;
console.warn = () => undefined;

/** oidc-provider's `Provider` class and its `errors`. */
export const { Provider, errors } = await import('oidc-provider');

console.warn = warn;
