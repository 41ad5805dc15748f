/** `npm run bench -- <name>`: runs one benchmark of this directory on the built program. */
const BENCHMARKS = ['gateway'];

const [name = ''] = process.argv.slice(2);
if (BENCHMARKS.includes(name)) {
  await import(`./${name}.ts`);
} else {
  process.stderr.write(`name a benchmark: npm run bench -- ${BENCHMARKS.join('|')}\n`);
  process.exitCode = 64;
}
