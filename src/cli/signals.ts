/**
 * Ctrl-C and SIGTERM.
 *
 * A refresh that was sent must be brought to its end, or the new token is lost with the process. So the first
 * signal asks for an end in good order, and further ones change nothing: a terminal and a launcher may both
 * deliver the same Ctrl-C. What is waited for is bounded; SIGKILL remains.
 */
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** Calls `handler` at the first signal. The result takes the handlers away again. */
export function onStop(handler: (signal: NodeJS.Signals) => void): () => void {
  let isStopping = false;
  const listener = (signal: NodeJS.Signals) => {
    if (isStopping) return;
    isStopping = true;
    handler(signal);
  };
  for (const signal of SIGNALS) process.on(signal, listener);
  return () => {
    for (const signal of SIGNALS) process.off(signal, listener);
  };
}
