import { readdirSync, readFileSync } from 'node:fs';
import { posix } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../src/', import.meta.url));

/** One file of `src/`, as far as the rules about the house are concerned. */
export interface SourceFile {
  /** Relative to `src/`, such as `core/names.ts`. */
  path: string;
  lineCount: number;
  /** The text without its comments. */
  code: string;
  /** What it imports, re-exports or loads: a path like `path` for our own files, else the specifier as written. */
  imports: string[];
}

/** Reads every TypeScript file of `src/`. */
export function readSourceFiles(): SourceFile[] {
  return readdirSync(ROOT, { recursive: true, encoding: 'utf8' })
    .map((path) => path.replaceAll('\\', '/'))
    .filter((path) => path.endsWith('.ts'))
    .sort()
    .map((path) => describeSource(path, readFileSync(`${ROOT}${path}`, 'utf8')));
}

/** The same for a text that need not exist on disk. */
export function describeSource(path: string, text: string): SourceFile {
  const code = withoutComments(text);
  const imports = specifiersIn(code).map((specifier) =>
    specifier.startsWith('.') ? posix.join(posix.dirname(path), specifier) : specifier,
  );
  return { path, lineCount: text.split('\n').length - 1, code, imports };
}

/** Static imports and re-exports, type-only ones included; side-effect imports; dynamic imports and types. */
function specifiersIn(code: string): string[] {
  const forms = [
    /^\s*(?:import|export)\b[^;'"]*?\bfrom\s*['"]([^'"]+)['"]/gm,
    /^\s*import\s*['"]([^'"]+)['"]/gm,
    /\bimport\s*\(\s*['"`]([^'"`]+)['"`]/g,
  ];
  return [
    ...new Set(forms.flatMap((form) => [...code.matchAll(form)].map(([, specifier]) => specifier ?? ''))),
  ];
}

/** `//` inside a string always follows a colon or a quote here, so a comment is one behind a space or a line's start. */
function withoutComments(text: string): string {
  return text.replace(/^\s*\/\*[\s\S]*?\*\//gm, '').replace(/(^|\s)\/\/.*$/gm, '$1');
}
