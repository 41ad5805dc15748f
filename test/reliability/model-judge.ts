/**
 * Watches several brokers at work, tells the model what happens to their grant, and says where the two disagree.
 *
 * The model learns what a broker was told from the wire, and in which order it was written from the audit trail: one
 * row for every refresh, login and logout that ended. So it knows what must be in the vault without being told by it.
 */
import type { RecoveryPolicy } from '../../src/core/recovery.ts';
import type { TokenSet } from '../../src/core/token-set.ts';
import { fingerprint } from '../../src/secret.ts';
import type { Step } from '../../src/steps.ts';
import { findConnection, openTokenSet, type StoredConnection } from '../../src/vault/connections.ts';
import { openSpare } from '../../src/vault/spare.ts';
import type { Letter, Peer } from '../support/peer-network.ts';
import type { PeerWorld } from '../support/peer-world.ts';
import {
  after,
  type Grant,
  type GrantEvent,
  type Meaning,
  meaningOf,
  mustGiveUp,
  objection,
  type Pair,
  retryAfterOf,
  type Wish,
} from './model.ts';
import { type Manner, nextManner, watchManners } from './model-manners.ts';

/** What a broker was told, until it has written it down. */
interface Heard {
  peer: Peer;
  life: number;
  /** Of the token shown; 0 for a login. */
  generation: number;
  attempt: number;
  meaning: Meaning;
  pair: Pair | undefined;
  retryAfterMs: number;
  /** How a refresh was asked for, and how it must be next. */
  manner: Manner | undefined;
  another: Manner | undefined;
  /** Whether its sender slept while it was on its way. */
  wasAsleep: boolean;
  /** Whether the server was made to say what it does not mean. */
  isLie: boolean;
  heardAt: number;
}

interface AuditRow {
  rowid: number;
  at: number;
  action: 'refresh' | 'login' | 'logout' | 'rescue';
  outcome: string;
  generation: number;
  attempt: number | null;
  refreshToken: string | null;
}

export interface Judge {
  /** The grant as the model has it. Undefined: logged out. */
  grant(): Grant | undefined;
  life(): number;
  /** Refresh tokens that have left a broker. */
  sent(): number;
  /** Takes in what was written since the last time. */
  catchUp(): void;
  /** Says that something is not as it must be. */
  object(what: string): void;
  /** Throws with everything that is not as it must be. To be asked when nothing moves. */
  check(): Promise<void>;
  /** Whether the token was issued for this connection, and is or was in the vault under this generation. */
  isSaved(accessToken: string, generation: number, sinceLife: number): boolean;
  /** Whether the server would take a refresh token the vault holds. */
  canGoOn(): boolean;
}

/** Counts how often something happened. */
export type Count = (what: string) => void;

/** Time for a second try to save. */
const SAVE_AGAIN_MS = 1000;

const AUDIT = `SELECT rowid, at, action, outcome, json_extract(detail, '$.generation') AS generation,
    json_extract(detail, '$.attempt') AS attempt, json_extract(detail, '$.refresh_token') AS refreshToken
  FROM audit WHERE rowid > ? AND action IN ('refresh', 'login', 'logout', 'rescue') ORDER BY rowid`;

const JOURNAL = `SELECT generation, attempt, refresh_token_fingerprint AS token, finished_at AS finishedAt
  FROM rotations ORDER BY rowid DESC LIMIT 1`;

const OUTCOME = 'SELECT outcome FROM rotations WHERE generation = ? AND attempt = ?';

/** Begins to watch a world in which nobody has signed in yet. */
export function createJudge(world: PeerWorld, recovery: RecoveryPolicy, count: Count): Judge {
  const { server, network, eyes } = world;
  const audit = world.database.prepare(AUDIT);
  const journal = world.database.prepare(JOURNAL);
  const outcomeOf = world.database.prepare(OUTCOME);
  const journalLength = world.database.prepare('SELECT COUNT(*) AS rows FROM rotations');
  const objections: string[] = [];
  const heard = new Set<Heard>();
  /** Access tokens by life and generation. */
  const saved = new Map<string, string>();
  const shown = new WeakMap<Letter, { life: number; generation: number; attempt: number }>();
  /** Refresh tokens the server has called dead for good. */
  const buried = new Set<string>();
  const object = (what: string) => void objections.push(what);
  const manners = watchManners(network.inFlight, object, count);
  let grant: Grant | undefined;
  let newest: Pair | undefined;
  let hasLied = false;
  let [life, lastRow, sent, rows, lifeLoggedOut] = [0, 0, 0, 0, 0];

  function apply(event: GrantEvent): void {
    const before = grant;
    grant = after(before, event);
    if (grant && grant.generation !== before?.generation) {
      saved.set(`${grant.life}:${grant.generation}`, grant.current.accessToken);
      hasLied = false;
    }
    const isFinal =
      event.kind === 'answered' && event.meaning === 'final' && event.generation === before?.generation;
    if (isFinal && grant?.state !== 'degraded') buried.add(before?.current.refreshToken ?? '');
    const pair = event.kind === 'answered' || event.kind === 'login' ? event.pair : undefined;
    if (event.kind === 'logout' || event.kind === 'login') manners.mayForget();
    if (event.kind === 'logout') [newest, rows] = [undefined, 0];
    else if (pair) newest = pair;
    if (grant?.spare && grant.spare !== before?.spare) count('late pairs');
    if (grant && before?.spare && !grant.spare) count('spares promoted');
    if (grant && grant.state !== before?.state) count(`state ${grant.state}`);
  }

  function take(wanted: (each: Heard) => boolean, row: AuditRow): Heard | undefined {
    const found = [...heard].find(wanted);
    if (found) heard.delete(found);
    else object(`the audit trail tells of a ${row.action} (${row.outcome}) that nobody heard of`);
    return found;
  }

  /** Without rotation two pairs have one refresh token: then the journal tells which is meant. */
  function journaled({ life: itsLife, generation, attempt }: Heard): string | undefined {
    // A logout erased the journal of its time.
    if (itsLife !== life) return undefined;
    const entry = outcomeOf.get(generation, attempt) as { outcome: string } | undefined;
    return entry?.outcome;
  }

  function read(row: AuditRow): void {
    switch (row.action) {
      case 'logout':
        // One that began before another logout and a new login is about what that one erased.
        if (lifeLoggedOut === life) apply({ kind: 'logout' });
        break;
      case 'login':
        readLogin(row);
        break;
      case 'refresh':
        if (row.outcome !== 'unanswered') readAnswer(row);
        else if (!grant || !mustGiveUp(grant)) object('a login was given up without need');
        else apply({ kind: 'given up' });
        break;
      default:
        object(`unexpected: ${row.action}`);
    }
  }

  function readLogin(row: AuditRow): void {
    const isIt = ({ generation, pair }: Heard) => generation === 0 && pair?.refreshToken === row.refreshToken;
    const login = take(isIt, row);
    if (!login?.pair) return;
    if (!grant) life += 1;
    apply({ kind: 'login', life, recovery, pair: login.pair });
  }

  function readAnswer(row: AuditRow): void {
    const { outcome, generation, attempt, refreshToken, at } = row;
    const isSuccess = attempt === null;
    const answer = take(
      (each) =>
        isSuccess
          ? each.generation === generation - 1 &&
            each.pair?.refreshToken === refreshToken &&
            [undefined, outcome === 'ok' ? 'success' : outcome].includes(journaled(each))
          : // After a logout and a new login, two of different lives may have the same numbers.
            each.generation === generation && each.attempt === attempt && each.pair === undefined,
      row,
    );
    if (!answer) return;
    const before = grant;
    const { peer, manner, another, wasAsleep } = answer;
    apply({ kind: 'answered', ...answer, isMisasked: another !== undefined, at });
    if (another) manners.refused(peer, another, wasAsleep);
    if (isSuccess && manner) manners.worked(peer, manner);
    if (answer.isLie && before?.generation === answer.generation) hasLied = true;
    const isLate = isSuccess && (grant?.life !== answer.life || before?.generation !== answer.generation);
    if (isSuccess && outcome !== (isLate ? 'late' : 'ok')) object(`a pair was recorded as ${outcome}`);
  }

  function catchUp(): void {
    for (const row of audit.all(lastRow) as unknown as AuditRow[]) {
      lastRow = row.rowid;
      read(row);
    }
  }

  function onStep(step: Step, peer: Peer, tag: string | undefined): void {
    if (step === 'logout.erased') lifeLoggedOut = Number(tag?.split(' ')[1]);
    if (step === 'logout.erased' || step === 'refresh.journaled') catchUp();
    if (step === 'refresh.journaled') onJournaled(peer, tag);
  }

  function onJournaled(peer: Peer, tag: string | undefined): void {
    const entry = journal.get() as { generation: number; attempt: number; token: string } | undefined;
    if (!grant || entry?.generation !== grant.generation || entry.token !== grant.current.refreshToken) {
      object('the journal is about another token than the current one');
      return;
    }
    const isNow = tag === 'refresh' || manners.isFollowing(peer);
    const wish: Wish = isNow ? 'now' : tag === undefined ? 'on schedule' : 'for a caller';
    const why = objection(grant, wish, world.now());
    if (why !== undefined) object(`a refresh token is shown ${wish}: ${why}`);
    apply({ kind: 'shown', attempt: entry.attempt, at: world.now() });
  }

  function onSend(letter: Letter): void {
    const { token } = letter;
    if (letter.kind !== 'refresh' || !token) return;
    sent += 1;
    count('refreshes');
    const entry = journal.get() as
      | { generation: number; attempt: number; token: string; finishedAt: number | null }
      | undefined;
    if (entry?.token !== token.fingerprint || entry.finishedAt !== null) {
      object('a refresh token leaves without being in the journal');
      return;
    }
    if (entry.attempt !== grant?.showings.length)
      object('a presentation is without its own row in the journal');
    for (const other of network.inFlight) {
      if (other === letter || other.token?.fingerprint !== token.fingerprint) continue;
      if (!other.wasAsleep) object('two presentations of one refresh token at a time');
    }
    manners.onSend(letter);
    shown.set(letter, { life, generation: entry.generation, attempt: entry.attempt });
  }

  function onEnd(letter: Letter): void {
    const { peer, kind, body, served, fault, manner, wasAsleep } = letter;
    if (fault !== undefined) count('faults met');
    const pair = letter.end === 'answered' ? readPair(body, letter, world.now()) : undefined;
    if (kind === 'code' && pair) {
      const login = { life: 0, generation: 0, attempt: 0, meaning: 'success', retryAfterMs: 0 } as const;
      const asked = { manner: undefined, another: undefined, wasAsleep: false };
      heard.add({ ...login, ...asked, peer, pair, isLie: false, heardAt: world.now() });
    }
    const what = shown.get(letter);
    if (!what) return;
    const meaning = meaningOf(fault, served?.presentation?.outcome, letter.end === 'timed out');
    const now = world.now();
    const heardFault = letter.end === 'answered' ? fault : undefined;
    const retryAfterMs = retryAfterOf(heardFault, served?.presentation?.at ?? now, now);
    const isLie = meaning === 'final' && served?.presentation?.outcome === 'unseen';
    const another = manner && meaning === 'config error' ? nextManner(manner, body.error) : undefined;
    const news = { ...what, peer, meaning, retryAfterMs, manner, another, wasAsleep, isLie, heardAt: now };
    heard.add({ ...news, pair: meaning === 'success' ? pair : undefined });
  }

  async function check(): Promise<void> {
    catchUp();
    manners.check();
    for (const { peer, generation, meaning, heardAt } of heard) {
      // A login that was overtaken while it was being saved tries again after a moment.
      const hasTime = generation === 0 && world.now() - heardAt < SAVE_AGAIN_MS;
      if (peer.condition === 'awake' && !hasTime)
        object(`an answer was heard and not written down: ${meaning}`);
    }
    const stored = await eyes.run(() => findConnection('demo'));
    if (stored && grant) await compare(stored, grant);
    else if (stored || grant)
      object(stored ? 'a connection that was logged out is there' : 'the connection is gone');
    const length = (journalLength.get() as { rows: number }).rows;
    if (length < rows) object('the journal lost rows');
    rows = length;
    if (objections.length > 0) throw new Error(objections.splice(0).join('\n'));
  }

  async function compare(
    stored: StoredConnection,
    { state, generation, failures, next, current, spare }: Grant,
  ) {
    const same = (what: string, is: unknown, must: unknown) => {
      if (is !== must) object(`${what} is ${is}, and must be ${must}`);
    };
    same('the state', stored.state, state);
    same('the generation', stored.generation, generation);
    same('the number of failures', stored.failures, failures);
    const at = stored.nextAttemptAt;
    if ((at === null) !== (next === null))
      object(`the next attempt is at ${at}, and must be at ${next?.earliest}`);
    if (at !== null && next !== null) {
      if (at < next.earliest || at > next.latest) {
        object(
          `the next attempt is ${at - next.earliest} ms after its earliest, of ${next.latest - next.earliest}`,
        );
      }
      grant = grant && { ...grant, next: { earliest: at, latest: at } };
    }
    const held = await openTokenSet(eyes.sealer, stored);
    const heldSpare = (await openSpare(eyes.sealer, stored))?.tokens;
    same('the access token', held.accessToken.fingerprint(), current.accessToken);
    same('the end of the access token', held.accessExpiresAt ?? null, current.expiresAt);
    same('the refresh token', printOf(held), current.refreshToken);
    same('the spare', printOf(heldSpare), spare?.refreshToken);
    const lost = newest && server.isAlive(newest.refreshToken) && !buried.has(newest.refreshToken);
    if (lost && ![printOf(held), printOf(heldSpare)].includes(newest?.refreshToken)) {
      object('the newest refresh token is lost, and the server would take it');
    }
    const isSurely = grant?.recovery !== 'needs-login' && !hasLied;
    if (stored.state === 'login_required' && isSurely && server.isAlive(printOf(held) ?? '')) {
      object('a login is called dead, and the server would take it');
    }
  }

  Object.assign(network, { onSend, onEnd });
  world.onStep = onStep;
  return {
    ...{ grant: () => grant, life: () => life, sent: () => sent, catchUp, object, check },
    isSaved(accessToken, generation, sinceLife) {
      catchUp();
      const lives = Array.from({ length: life - sinceLife + 1 }, (_, index) => sinceLife + index);
      return lives.some((each) => saved.get(`${each}:${generation}`) === fingerprint(accessToken));
    },
    canGoOn: () =>
      [grant?.current, grant?.spare].some((pair) => pair !== undefined && server.isAlive(pair.refreshToken)),
  };
}

const printOf = (tokens: TokenSet | undefined) => tokens?.refreshToken?.fingerprint();

/** What the answer holds, if it is a pair. A refresh token that is not told is the one that was shown. */
function readPair(body: Record<string, unknown>, { token }: Letter, now: number): Pair | undefined {
  const { access_token, refresh_token, expires_in, token_type = 'Bearer' } = body;
  if (typeof access_token !== 'string') return undefined;
  const seconds = Number(expires_in);
  return {
    accessToken: fingerprint(access_token),
    refreshToken: typeof refresh_token === 'string' ? fingerprint(refresh_token) : (token?.fingerprint ?? ''),
    receivedAt: now,
    expiresAt: seconds > 0 ? now + seconds * 1000 : null,
    isBearer: String(token_type).toLowerCase() === 'bearer',
  };
}
