import { Command } from 'commander';
import { BrokerError } from '../../errors.ts';
import { collect, port, readSecretFile } from '../arguments.ts';
import { resultJson, say } from '../terminal.ts';

/** Port of the printed document when none is chosen: as good as any, and the same each time. */
const DEFAULT_PORT = 41_733;

interface Options {
  clientMetadataUrl?: string;
  callbackPort?: number;
  redirectUri?: string[];
  clientKeyFile?: string;
}

/** `broker client-metadata`: prints the document that describes us to servers that read one. */
export function clientMetadataCommand(): Command {
  return new Command('client-metadata')
    .description(
      'print the client metadata document to host, for servers that take one instead of a registration',
    )
    .option('--client-metadata-url <url>', 'where you will host it')
    .option('--callback-port <port>', `port the browser comes back to (default: ${DEFAULT_PORT})`, port)
    .option('--redirect-uri <uri>', 'list this redirect URI instead (repeatable)', collect)
    .option('--client-key-file <file>', 'private key of the client; its public half is put in')
    .addHelpText('after', EXAMPLES)
    .action(run);
}

const EXAMPLES = `
Example:
  broker client-metadata --client-metadata-url https://example.com/broker.json > broker.json
  (host the file there, then)
  broker login https://mcp.example.com/mcp --client-metadata-url https://example.com/broker.json`;

async function run({
  clientMetadataUrl: url,
  callbackPort = DEFAULT_PORT,
  redirectUri,
  clientKeyFile,
}: Options) {
  if (url === undefined) {
    throw new BrokerError('usage', 'the document must name the URL it is hosted at', {
      hint: 'broker client-metadata --client-metadata-url https://example.com/broker.json',
    });
  }
  const { clientDocument } = await import('../../broker/client-document.ts');
  const clientKey =
    clientKeyFile === undefined ? undefined : readSecretFile(clientKeyFile, '--client-key-file');
  const usual = ['127.0.0.1', 'localhost'].map((host) => `http://${host}:${callbackPort}/callback`);
  resultJson(clientDocument({ url, redirectUris: redirectUri ?? usual, clientKey }));
  say(
    `host this at ${url}, reachable for the authorization servers, then sign in with --client-metadata-url`,
  );
}
