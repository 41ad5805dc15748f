/** A Dockerfile, read as far as our own ones go. */

export interface Instruction {
  name: string;
  text: string;
}

/** What Docker's reference lists (docs.docker.com/reference/dockerfile). */
const KNOWN =
  'FROM RUN CMD LABEL EXPOSE ENV ADD COPY ENTRYPOINT VOLUME USER WORKDIR ARG ONBUILD STOPSIGNAL HEALTHCHECK SHELL';

/** Its stages, each a list of instructions that begins with FROM. Throws for an instruction there is not. */
export function readDockerfile(content: string): Instruction[][] {
  const stages: Instruction[][] = [];
  const lines = content
    .replace(/^#.*\n/gm, '')
    .replace(/\\\n/g, ' ')
    .split('\n');
  for (const line of lines.filter((each) => each.trim() !== '')) {
    const [, name = '', text = ''] = /^([A-Z]+)\s+(.*)$/.exec(line) ?? [];
    if (!KNOWN.split(' ').includes(name)) throw new Error(`no such instruction: ${line}`);
    if (name === 'FROM') stages.push([]);
    const stage = stages.at(-1);
    if (stage === undefined) throw new Error(`before the first FROM: ${line}`);
    stage.push({ name, text: text.replace(/\s+/g, ' ').trim() });
  }
  return stages;
}
