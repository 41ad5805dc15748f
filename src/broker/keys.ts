/**
 * Replacing keys: the data key that seals, and the master key that wraps it. Nothing is ever out of reach on the way:
 * old and new both open until the old one is retired, and that is refused while anything or anybody needs it.
 */
import { BrokerError } from '../errors.ts';
import { reached } from '../steps.ts';
import type { Steps } from '../vault/database.ts';
import { type MasterKey, readOrCreateMasterKeyFile } from '../vault/keyring.ts';
import { deleteKeys, insertWrapped, listKeys, loadKeys, newestDataKey, nextDataKey } from '../vault/keys.ts';
import { countByKey, nextToReseal, resealed } from '../vault/reseal.ts';
import { timestamp } from './connections.ts';
import { actorOf, type Context, OPERATOR } from './context.ts';
import { listPresent, type Present, whoIsPresent } from './presence.ts';

export interface KeyStatusView {
  master_keys: { id: string; opened_this: boolean; processes: number[] }[];
  data_keys: { id: string; created_at: string; seals_now: boolean; values: number }[];
  audit_key: string;
}

export interface RotateOptions {
  /** Makes a new data key and seals everything under it. */
  data: boolean;
  /** File of the master key to come; made when it is not there. */
  newMasterKeyFile?: string | undefined;
}

export interface RotationView {
  /** The new data key. Absent: none was made. */
  data_key?: string;
  /** The data key an earlier, interrupted rotation had made; this one has finished its work. */
  finished_data_key?: string;
  /** Values sealed again. */
  resealed?: number;
  new_master_key?: string;
  old_master_key?: string;
}

/** All keys, what they are needed for, and by whom. */
export async function keyStatus(context: Context): Promise<KeyStatusView> {
  const { vault } = context;
  const present = await whoIsPresent(context);
  const { keys, counts, newest } = await vault.run(function* () {
    return {
      keys: yield* listKeys(),
      counts: yield* countByKey(),
      newest: yield* newestDataKey(vault.masterKey.id),
    };
  });
  const ours = keys.filter(({ masterKeyId }) => masterKeyId === vault.masterKey.id);
  return {
    master_keys: [...new Set(keys.map(({ masterKeyId }) => masterKeyId))].map((id) => ({
      id,
      opened_this: id === vault.masterKey.id,
      processes: others(present, id).map(({ process }) => process),
    })),
    data_keys: ours
      .filter(({ purpose }) => purpose === 'data')
      .map(({ id, createdAt }) => ({
        id,
        created_at: timestamp(createdAt),
        seals_now: id === newest,
        values: counts.get(id) ?? 0,
      })),
    audit_key: ours.find(({ purpose }) => purpose === 'audit')?.id ?? '',
  };
}

/**
 * Makes new keys. Interrupted, it is given again.
 *
 * Throws `usage` when the new master key is the present one, or another change of it is not finished.
 */
export async function rotateKeys(
  context: Context,
  { data, newMasterKeyFile }: RotateOptions,
): Promise<RotationView> {
  const next = newMasterKeyFile === undefined ? undefined : nextMasterKey(context, newMasterKeyFile);
  await requireNoOtherMasterKey(context, next);
  return {
    ...(next && (await wrapAgain(context, next))),
    ...(data && (await renewDataKey(context, next))),
  };
}

function nextMasterKey({ vault }: Context, file: string): MasterKey {
  const next = readOrCreateMasterKeyFile(file);
  if (next.id !== vault.masterKey.id) return next;
  throw new BrokerError('usage', `the key in ${file} is the master key already`, {
    hint: 'name another file; one that is not there yet is made',
  });
}

/** A new data key must be wrapped under every master key, so there must be none that we have not got. */
async function requireNoOtherMasterKey({ vault }: Context, next: MasterKey | undefined): Promise<void> {
  const keys = await vault.run(() => listKeys());
  const other = keys.find(({ masterKeyId }) => ![vault.masterKey.id, next?.id].includes(masterKeyId));
  if (!other) return;
  throw new BrokerError('usage', 'an earlier change of the master key is not finished yet', {
    hint: 'start every broker process with the new key, then: broker key retire <old key>\nbroker key status shows which is which',
  });
}

async function wrapAgain({ vault }: Context, next: MasterKey): Promise<RotationView> {
  const old = vault.masterKey.id;
  const insert = await insertWrapped(await loadKeys(vault, vault.masterKey), [next]);
  await vault.transaction(function* () {
    yield* insert();
    yield* record(vault, 'key.rotate', { new_master_key: next.id, old_master_key: old });
  });
  reached('master-key.wrapped');
  return { new_master_key: next.id, old_master_key: old };
}

async function renewDataKey(context: Context, next: MasterKey | undefined): Promise<RotationView> {
  const { vault, clock } = context;
  const unfinished = await reseal(context);
  if (unfinished.resealed > 0) return { finished_data_key: unfinished.key, resealed: unfinished.resealed };
  const key = nextDataKey(await loadKeys(vault, vault.masterKey), clock.now());
  const insert = await insertWrapped([key], next ? [vault.masterKey, next] : [vault.masterKey]);
  await vault.transaction(function* () {
    yield* insert();
    yield* record(vault, 'key.rotate', { data_key: key.id });
  });
  reached('data-key.made');
  const { resealed: count } = await reseal(context);
  return { data_key: key.id, resealed: count };
}

/** Seals everything under the newest data key that is not yet. */
async function reseal({ vault }: Context): Promise<{ key: string; resealed: number }> {
  const key = (await vault.run(() => newestDataKey(vault.masterKey.id))) ?? '';
  for (let count = 0; ; ) {
    const values = await vault.run(() => nextToReseal(key));
    if (values.length === 0) return { key, resealed: count };
    const replace = await resealed(vault.sealer, values);
    await vault.transaction(replace);
    count += values.length;
    reached('data-key.resealed');
  }
}

/**
 * Forgets a key nobody needs any more.
 *
 * Throws `not_found`, and `usage` while it is needed.
 */
export async function retireKey(context: Context, id: string): Promise<void> {
  const { vault } = context;
  await whoIsPresent(context);
  await vault.transaction(function* () {
    const keys = yield* listKeys();
    const present = yield* listPresent(context);
    const purpose = keys.find((key) => key.id === id)?.purpose;
    if (purpose === 'audit') throw needed(id, 'it signs the audit trail');
    if (purpose === 'data') {
      yield* requireUnusedDataKey(vault, id, present);
      yield* deleteKeys('id', id);
    } else if (keys.some(({ masterKeyId }) => masterKeyId === id)) {
      requireUnusedMasterKey(vault, id, present);
      yield* deleteKeys('master_key_id', id);
    } else {
      throw new BrokerError('not_found', `there is no key ${id}`, { hint: 'broker key status shows all' });
    }
    yield* record(vault, 'key.retire', { key: id });
  });
  reached('key.retired');
}

function* requireUnusedDataKey(vault: Context['vault'], id: string, present: Present[]): Steps<void> {
  if (id === (yield* newestDataKey(vault.masterKey.id))) {
    throw needed(id, 'it seals what is stored', 'make a new one first: broker key rotate --data');
  }
  const values = (yield* countByKey()).get(id) ?? 0;
  if (values > 0) {
    throw needed(id, `${values} values are sealed under it`, 'seal them again: broker key rotate --data');
  }
  const [other] = others(present);
  if (other)
    throw needed(id, `the broker process ${other.process} may be using it`, 'stop it, then try again');
}

function requireUnusedMasterKey(vault: Context['vault'], id: string, present: Present[]): void {
  if (id === vault.masterKey.id) {
    throw needed(id, 'this very command opened the vault with it', 'run it with the new key');
  }
  const [other] = others(present, id);
  if (other) {
    throw needed(
      id,
      `the broker process ${other.process} uses it`,
      'restart that one with the new key first',
    );
  }
}

function needed(id: string, why: string, hint = 'broker key status shows what each key is for'): BrokerError {
  return new BrokerError('usage', `the key ${id} is still needed: ${why}`, { hint });
}

const others = (present: Present[], masterKeyId?: string) =>
  present.filter((each) => !each.isUs && (masterKeyId === undefined || each.masterKeyId === masterKeyId));

function record(vault: Context['vault'], action: string, detail: Record<string, string>): Steps<void> {
  return vault.audit.append({ actor: actorOf(OPERATOR), action, outcome: 'ok', detail });
}
