/** The files of `deploy/`, and the tools of the machine that judge them. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CHECKOUT } from './packed-package.ts';

export const deployPath = (path: string): string => join(CHECKOUT, 'deploy', path);

export const readDeploy = (path: string): string => readFileSync(deployPath(path), 'utf8');

/** A unit of systemd: the values of each key, in their order, whatever section they are in. */
export function readUnit(name: string): Map<string, string[]> {
  const unit = new Map<string, string[]>();
  for (const [, key = '', value = ''] of readDeploy(`systemd/${name}`).matchAll(/^(\w+)=(.*)$/gm))
    unit.set(key, [...(unit.get(key) ?? []), value]);
  return unit;
}

/** Whether the machine has a program. */
export const hasProgram = (name: string): boolean =>
  spawnSync('sh', ['-c', `command -v ${name}`]).status === 0;

/** The lines of the ```sh blocks of a document, without those that are only a comment. */
export function commandLines(document: string): string[] {
  const text = readFileSync(join(CHECKOUT, document), 'utf8');
  return [...text.matchAll(/^```sh\n(.*?)^```$/gms)].flatMap(([, block = '']) =>
    block.split('\n').filter((line) => line !== '' && !line.startsWith('#')),
  );
}
