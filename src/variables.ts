/**
 * The variables of the environment that are read, besides the `BROKER_…` of each option. `config.ts` alone reads them,
 * and can read no other: its type is made from this list, and so are docs/configuration.md and the manual page.
 */

/** What each is for, in a few words, starting with a small letter. */
export const VARIABLES = {
  BROKER_MASTER_KEY: 'the key that opens the vault, base64url of 32 bytes; no child process inherits it',
  BROKER_MASTER_KEY_COMMAND: 'a command that prints that key: any KMS or secret store',
  CREDENTIALS_DIRECTORY: 'where systemd puts credentials; one named broker-master-key opens the vault',
  BROKER_AGENT_KEY: 'makes token, exec, push, config and check ask the daemon as that agent',
  BROKER_AGENT_KEY_FILE: 'a file with that key',
  BROKER_URL: 'where the daemon is: http://host:port or unix:/path (default: http://127.0.0.1:8787)',
  STATE_DIRECTORY: 'where systemd keeps the data of a service: the home, if --home does not name one',
  CONFIGURATION_DIRECTORY: 'where systemd keeps its configuration: config file and key file',
  RUNTIME_DIRECTORY: 'where systemd keeps what lives as long as it runs: second place for rescue files',
  NOTIFY_SOCKET: 'where systemd waits to hear that serve is ready; no child process inherits it',
  XDG_DATA_HOME: 'base of the home (default: ~/.local/share)',
  XDG_CONFIG_HOME: 'base of the configuration directory (default: ~/.config)',
  XDG_RUNTIME_DIR: 'third place for rescue files',
  HOME: 'the home of the user',
  PATH: 'where programs are looked for by name',
  HTTPS_PROXY: 'proxy for https, also in small letters',
  https_proxy: 'the same, and it counts before the other',
  HTTP_PROXY: 'proxy for http, also in small letters',
  http_proxy: 'the same, and it counts before the other',
  NO_PROXY: 'hosts reached without a proxy, separated by commas, also in small letters',
  no_proxy: 'the same, and it counts before the other',
  SSH_CONNECTION: 'tells a login that the browser is elsewhere, and from where you came',
  SSH_TTY: 'the same',
  SUDO_USER: 'whom the SSH command of a login names',
  USER: 'the same, without sudo',
  LOGNAME: 'the same',
  DISPLAY: 'tells a login that there is a screen for a browser',
  WAYLAND_DISPLAY: 'the same',
} as const;

export type VariableName = keyof typeof VARIABLES;

/** What the environment says. Absent: nothing. */
export type Variables = Partial<Record<VariableName, string | undefined>>;
