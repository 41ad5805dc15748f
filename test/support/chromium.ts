import { existsSync } from 'node:fs';
import { type Browser, chromium } from 'playwright-core';

const CHROMIUM_PATH = '/usr/bin/chromium';

/** Runs as root in a container, and never calls home. */
const ARGUMENTS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** Where the system's Chromium is; undefined when there is none. Tests that need it are skipped then. */
export function chromiumPath(): string | undefined {
  return existsSync(CHROMIUM_PATH) ? CHROMIUM_PATH : undefined;
}

/**
 * Starts a headless Chromium with an empty profile. The caller closes it.
 *
 * @throws Error when Chromium is not installed
 */
export async function openChromium(): Promise<Browser> {
  const executablePath = chromiumPath();
  if (executablePath === undefined) throw new Error(`no Chromium at ${CHROMIUM_PATH}`);
  return chromium.launch({ executablePath, headless: true, args: ARGUMENTS });
}
