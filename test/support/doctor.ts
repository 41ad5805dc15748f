/** A doctor's visit in a world of its own. */
import { afterEach, expect } from 'vitest';
import { OPERATOR } from '../../src/broker/context.ts';
import { diagnose } from '../../src/broker/doctor.ts';
import type { Broker } from '../../src/broker/index.ts';
import type { Settings } from '../../src/config.ts';
import { type Diagnosis, diagnosisCode, type Step, type StepName } from '../../src/core/diagnosis.ts';
import type { Fault } from './fault.ts';
import type { RecordedRequest } from './recorded-request.ts';
import { type SignInOptions, signIn } from './sign-in.ts';
import { startWorld, type World, type WorldOptions } from './world.ts';

/** One diagnosis, step by step. */
export interface Visit {
  names: StepName[];
  verdicts: Record<string, string>;
  step(name: StepName): Step | undefined;
}

export interface Practice {
  world(): World;
  broker(): Broker;
  /** A world whose clock stands at the real time: servers keep it, and are compared with ours. */
  start(options?: WorldOptions): Promise<void>;
  /** The same, with `demo` signed in. */
  startConnected(options?: WorldOptions, login?: SignInOptions): Promise<void>;
  signIn(login?: SignInOptions): Promise<void>;
  examine(target?: string, settings?: Partial<Settings>): Promise<Diagnosis[]>;
  /** The only diagnosis, and the exit code it comes to. */
  examineOne(target?: string, settings?: Partial<Settings>): Promise<Visit & { code: number }>;
  /** Requests to the authorization server. */
  requestsTo(path: string): RecordedRequest[];
  /** What the authorization server answered to the registration. */
  registered(): Record<string, string>;
  fail(applies: (request: RecordedRequest) => boolean, fault: Fault): void;
  redirectUri(): Promise<string>;
}

/** For one test file. Each test has a world of its own, closed after it. */
export function openPractice(): Practice {
  let world: World;
  let broker: Broker;
  afterEach(() => world.close());

  const practice: Practice = {
    world: () => world,
    broker: () => broker,
    async start(options) {
      world = await startWorld(options);
      world.clock.jump(Date.now() - world.clock.now());
    },
    async startConnected(options, login) {
      await practice.start(options);
      await practice.signIn(login);
    },
    async signIn(login) {
      broker = await world.openBroker();
      await signIn(broker, world.authorizationServer, world.mcp.url, login);
    },
    examine: (target, settings = {}) =>
      diagnose({ settings: { ...world.settings, ...settings }, clock: world.clock }, target),
    async examineOne(target = 'demo', settings = {}) {
      const diagnoses = await practice.examine(target, settings);
      expect(diagnoses).toHaveLength(1);
      return { code: diagnosisCode(diagnoses), ...byStep(diagnoses[0] as Diagnosis) };
    },
    requestsTo: (path) =>
      world.authorizationServer.requests.filter((request) => request.path.startsWith(path)),
    registered: () => Object(practice.requestsTo('/reg')[0]?.answer) as Record<string, string>,
    fail: (applies, fault) =>
      world.authorizationServer.fail((request) => (applies(request) ? fault : undefined)),
    redirectUri: async () => (await broker.show(OPERATOR, 'demo')).redirect_uri as string,
  };
  return practice;
}

/** The steps by name. */
export function byStep({ steps }: Diagnosis): Visit {
  return {
    names: steps.map(({ step }) => step),
    verdicts: Object.fromEntries(steps.map(({ step, verdict }) => [step, verdict])),
    step: (name) => steps.find(({ step }) => step === name),
  };
}
