/** A log whose lines a test reads in this process, made as the real one is. */
import { createLog, type Log, type LogFormat, type LogLevel } from '../../src/log.ts';

export interface LogLines {
  log: Log;
  /** What was written so far. */
  text(): string;
  /** The same, a parsed object for each line. Only of JSON. */
  lines(): Record<string, unknown>[];
  /** Forgets what was written. */
  clear(): void;
}

export function readableLog(level: LogLevel = 'info', format: LogFormat = 'json'): LogLines {
  let written = '';
  const write = (text: string) => {
    written += text;
  };
  return {
    log: createLog(level, { format, destination: { write } }),
    text: () => written,
    lines: () =>
      written
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as Record<string, unknown>),
    clear() {
      written = '';
    },
  };
}
