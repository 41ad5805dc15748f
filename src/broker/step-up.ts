/** A server said that the login's rights do not suffice: what somebody has to do about it. */
import { type StepUp, stepUpFor } from '../core/step-up.ts';
import { findFor } from './access.ts';
import { actorOf, type Caller, type Context } from './context.ts';

/** What a server answered to a call with the connection's token. */
export interface UpstreamRefusal {
  status: number;
  /** Undefined: there was none. */
  wwwAuthenticate?: string | undefined;
}

/**
 * The login that would give the missing rights, put on record for the operator. Undefined when the refusal is about
 * something else. Throws `not_found`.
 */
export async function stepUp(
  context: Context,
  caller: Caller,
  name: string,
  { status, wwwAuthenticate }: UpstreamRefusal,
): Promise<StepUp | undefined> {
  const { vault } = context;
  const stored = await findFor(context, caller, name);
  const needed = stepUpFor(stored, status, wwwAuthenticate);
  if (!needed) return undefined;
  const { generation, scope } = stored;
  const detail = { generation, granted: scope, wanted: needed.scopes.join(' ') };
  await vault.transaction(() =>
    vault.audit.append({
      actor: actorOf(caller),
      action: 'step_up',
      connection: name,
      outcome: 'login_needed',
      detail,
    }),
  );
  return needed;
}
