/** `undici`, loaded when the first request is sent: it takes longer than most commands, and many call nobody. */
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
let loaded: typeof import('undici') | undefined;

export function undici(): typeof import('undici') {
  loaded ??= require('undici') as typeof import('undici');
  return loaded;
}
