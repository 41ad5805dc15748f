/** `npm run docs`: writes the documents that are made from the code. */
import { writeFileSync } from 'node:fs';
import { configurationPage } from './configuration.ts';

const PAGES = { 'docs/configuration.md': configurationPage };

for (const [path, make] of Object.entries(PAGES)) {
  writeFileSync(new URL(`../../${path}`, import.meta.url), make());
  process.stdout.write(`${path} written\n`);
}
