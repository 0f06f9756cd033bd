import { acceptState, type HeldState, type StateFrame } from '../../src/agent/state-acceptance.ts';
import type { StateTrust } from '../../src/agent/state-trust.ts';
import { epochNumber, nextEpoch, type Epoch } from '../../src/control/epoch.ts';
import type { CoordinatorFrame } from '../../src/control/frames.ts';
import { generateSigningKey, signingKeyOf } from '../../src/control/signing-key.ts';
import type { Signed } from '../../src/control/statement.ts';
import { IssuedStates } from '../../src/coordinator/issued-states.ts';
import type { StateVersion, VersionedState } from '../../src/coordinator/mesh-store.ts';
import { NodeRegistry } from '../../src/coordinator/node-registry.ts';
import type { IssuedState } from '../../src/coordinator/signing-store.ts';
import { StateDelivery } from '../../src/coordinator/state-delivery.ts';
import { nodeNameSchema } from '../../src/ike/connection.ts';
import { desiredStateSchema, type DesiredState } from '../../src/ike/desired-state.ts';
import { massRemovalOf } from '../../src/ike/mass-removal.ts';
import { canonicalJson, digestOfText } from '../../src/json.ts';
import { createLogger } from '../../src/log.ts';

/**
 * One node, and coordinators that come and go (restored with a new epoch, put back by hand without one, two at once), with a
 * channel between that loses, repeats, reorders, alters and breaks. Only the pure halves of both ends are at work here, so
 * that ten thousand lives take a minute.
 */

const MESH = 'mesh';
const NODE = nodeNameSchema.parse('edge1');
const KEY = signingKeyOf(generateSigningKey());
const STRANGER = signingKeyOf(generateSigningKey());
const NOW_MS = 1_700_000_000_000;
const STEPS = 40;
const SETTLING_STEPS = 12;
const HUBS = 8;

/** Reproducible random numbers from 0 to 1 (mulberry32). */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** A state with a tunnel to each of these hubs; `variant` changes the tunnels without their names. */
function stateOf(hubs: readonly number[], variant: number): DesiredState {
  const ike = { proposals: [], keyingTries: 1, mobike: false, encap: true, dpdDelaySeconds: 10 };
  return desiredStateSchema.parse({
    version: 1,
    mesh: MESH,
    node: NODE,
    connections: hubs.map((hub) => ({
      kind: 'spoke',
      name: `cygnet-hub-${hub}`,
      localId: 'edge1.mesh',
      remoteId: `hub${hub}.mesh`,
      ike: { ...ike, lifetimeSeconds: 3600 + (hub % 2) * variant, marginSeconds: 180 },
      peer: `hub${hub}`,
      remoteAddresses: ['203.0.113.10'],
      virtualIps: [],
      children: [],
    })),
    links: [],
  });
}

/** What a coordinator has on disk. */
interface Stored {
  epoch: Epoch;
  isHeldBack: boolean;
  revision: number;
  wanted: VersionedState | undefined;
  issued: IssuedState | undefined;
}

/** The coordinator's half of the stream, on a store in memory. */
class ModelCoordinator {
  readonly stored: Stored;
  readonly delivery: StateDelivery;
  readonly #issued: IssuedStates;
  readonly #registry = new NodeRegistry(new Map());

  constructor(stored: Stored, send: (frame: CoordinatorFrame) => void) {
    this.stored = stored;
    const keys = { current: KEY.publicKey, signer: KEY, introductionsFor: () => [] };
    const unused = (): never => {
      throw new TypeError('no key is changed here');
    };
    this.#issued = new IssuedStates({ mesh: MESH, states: this.#states(), store: this.#store(), keys });
    this.delivery = new StateDelivery({
      mesh: MESH,
      issued: this.#issued,
      keys: { ...keys, introduce: unused, rotate: unused },
      registry: this.#registry,
      revision: () => stored.revision,
      clock: { nowMs: () => NOW_MS, monotonicMs: () => 0 },
      random: () => 0,
      logger: createLogger('model', 'silent'),
      note: () => undefined,
    });
    this.#registry.open({ node: NODE, key: '', remote: 'model', send, close: () => undefined }, NOW_MS);
    this.delivery.issue();
  }

  get issuedDigest(): string | undefined {
    return this.#issued.statementFor(NODE)?.digest;
  }

  /** The operator's apply; refused when it takes most of what was wanted before, without consent. */
  apply(state: DesiredState, allowMassRemoval: boolean): void {
    const { stored } = this;
    const text = canonicalJson(state);
    const before = stored.wanted === undefined ? undefined : (JSON.parse(stored.wanted.text) as DesiredState);
    if (!allowMassRemoval && before !== undefined && massRemovalOf(before, state) !== undefined) return;
    const isNew = digestOfText(text) !== stored.wanted?.digest;
    if (isNew) stored.revision += 1;
    const generation = isNew ? stored.revision : (stored.wanted?.generation ?? stored.revision);
    const isAllowed = allowMassRemoval || (!isNew && stored.wanted?.allowMassRemoval === true);
    stored.wanted = { generation, digest: digestOfText(text), allowMassRemoval: isAllowed, text };
    this.stored.isHeldBack = false;
    this.#issued.released();
    this.delivery.issue();
  }

  #states(): ConstructorParameters<typeof IssuedStates>[0]['states'] {
    const { stored } = this;
    return {
      versions: () => new Map<typeof NODE, StateVersion>(stored.wanted === undefined ? [] : [[NODE, stored.wanted]]),
      state: () => stored.wanted,
    };
  }

  #store(): ConstructorParameters<typeof IssuedStates>[0]['store'] {
    const { stored } = this;
    return {
      get epoch() {
        return stored.epoch;
      },
      get isHeldBack() {
        return stored.isHeldBack;
      },
      statements: () => new Map(stored.issued === undefined ? [] : [[NODE, stored.issued.signed]]),
      issued: () => stored.issued,
      issue: (states) => {
        for (const [, state] of states) stored.issued = state;
      },
    };
  }
}

/** A whole life. */
class Life {
  readonly #random: () => number;
  /** Statements that a coordinator has made, as they were signed. */
  readonly #signed = new Set<string>();
  readonly #backups: Stored[] = [];
  #clockMs = NOW_MS;
  #coordinator: ModelCoordinator;
  #channel: CoordinatorFrame[] = [];
  #trust: StateTrust = { mesh: MESH, node: NODE, keys: [KEY.publicKey], retired: null, latest: null };
  #held: HeldState | undefined;
  problem: string | undefined;

  constructor(seed: number) {
    this.#random = randomFrom(seed);
    const epoch = nextEpoch(undefined, this.#clockMs);
    this.#coordinator = this.#start({ epoch, isHeldBack: false, revision: 0, wanted: undefined, issued: undefined });
  }

  /** Undefined when everything held. */
  run(): string | undefined {
    for (let step = 0; step < STEPS && this.problem === undefined; step += 1) this.#step();
    this.#settle();
    return this.problem;
  }

  #step(): void {
    const steps: readonly (() => void)[] = [
      () => this.#apply(),
      () => this.#deliver(),
      () => this.#deliver(),
      () => this.#deliver(),
      () => this.#channel.shift(),
      () => this.#channel.unshift(...this.#channel.slice(0, 1)),
      () => this.#channel.push(...this.#channel.splice(0, 1)),
      () => this.#alter(),
      () => this.#reconnect(),
      () => this.#backups.push(structuredClone(this.#coordinator.stored)),
      () => this.#restore(),
      () => this.#loseDisk(),
    ];
    steps[Math.floor(this.#random() * steps.length)]?.();
  }

  #apply(): void {
    const hubs = Array.from({ length: HUBS }, (_, hub) => hub).filter(() => this.#random() < 0.6);
    this.#coordinator.apply(stateOf(hubs, Math.floor(this.#random() * 3)), this.#random() < 0.3);
  }

  #reconnect(): void {
    this.#channel = [];
    const { epoch = null, generation = 0, digest = null } = this.#held?.statement ?? {};
    const hello = { protocol: 2, agentVersion: '1.2.3', epoch, generation, digest, keys: [...this.#trust.keys] };
    this.#coordinator.delivery.greet(NODE, { type: 'hello', ...hello });
  }

  /** A backup in the place of the store: as it should be, or by hand; the other one's frames may still be under way. */
  #restore(): void {
    const backup = this.#backups[Math.floor(this.#random() * this.#backups.length)];
    if (backup === undefined) return;
    const stored = structuredClone(backup);
    this.#clockMs += this.#random() < 0.8 ? 60_000 : 0;
    if (this.#random() < 0.7) this.#beginEpoch(stored);
    this.#coordinator = this.#start(stored);
    if (this.#random() < 0.5) this.#reconnect();
  }

  #beginEpoch(stored: Stored): void {
    stored.epoch = nextEpoch(stored.epoch, this.#clockMs);
    stored.isHeldBack = true;
    stored.issued = undefined;
  }

  /** The node's disk loses its state, or that and the note of it; never the keys. */
  #loseDisk(): void {
    if (this.#random() < 0.7) return;
    this.#held = undefined;
    this.#reconnect();
  }

  /** Somebody without the key changes what is under way. */
  #alter(): void {
    const frame = this.#channel.shift();
    if (frame === undefined || !('signed' in frame)) return;
    const { signed } = frame;
    const changes: readonly Partial<Signed>[] = [
      { text: signed.text.replace(/"generation":\d+/, '"generation":999') },
      { text: signed.text.replace('"allowMassRemoval":false', '"allowMassRemoval":true') },
      { text: signed.text.replace('edge1', 'edge2') },
      { signature: '' },
      { signature: signed.signature.replace(/^./, (first) => (first === 'A' ? 'B' : 'A')) },
      { key: STRANGER.publicKey },
    ];
    const isSigned = this.#random() < 0.5;
    const change = isSigned ? {} : changes[Math.floor(this.#random() * changes.length)];
    const body = frame.type === 'snapshot' ? { state: canonicalJson(stateOf([1, 2, 3], 7)) } : {};
    const delta = frame.type === 'delta' ? { delta: '{"fields":[["connections",{"set":[]}]]}' } : {};
    const altered = { ...frame, signed: { ...signed, ...change }, ...(isSigned && { ...body, ...delta }) };
    this.#channel.unshift(altered);
  }

  #deliver(): void {
    const frame = this.#channel.shift();
    if (frame === undefined || !('signed' in frame)) return;
    this.#take(frame);
  }

  #take(frame: StateFrame): void {
    const accepted = acceptState(frame, { trust: this.#trust, held: this.#held }, this.#clockMs);
    if (accepted.kind === 'resend') return this.#coordinator.delivery.resend(NODE, accepted.message);
    if (accepted.kind === 'refused') return undefined;
    this.#check(accepted.held, accepted.kind);
    this.#held = accepted.held;
    this.#trust = accepted.trust;
  }

  #check({ statement, signed, text, state }: HeldState, kind: string): void {
    const { latest } = this.#trust;
    const before = this.#held;
    const wrong = (what: string): void => {
      this.problem ??= `${kind} generation ${statement.generation} of ${statement.epoch}: ${what}`;
    };
    if (!this.#signed.has(signed.text)) wrong('nobody has signed that');
    if (digestOfText(text) !== statement.digest || canonicalJson(state) !== text) wrong('it is not what was signed');
    if (latest !== null) {
      const [now, then] = [epochNumber(statement.epoch), epochNumber(latest.epoch)];
      if (now < then || (now === then && statement.generation < latest.generation)) wrong('it went back');
      if (now === then && statement.epoch !== latest.epoch) wrong('it changed over to the twin of its epoch');
      const isSamePlace = statement.epoch === latest.epoch && statement.generation === latest.generation;
      if (isSamePlace && statement.digest !== latest.digest) wrong('one place, two states');
    }
    const loss = before === undefined ? undefined : massRemovalOf(before.state, state);
    if (loss !== undefined && !statement.allowMassRemoval) wrong(`it took ${loss} without consent`);
  }

  /** The channel is good from now on, and the operator does what the node's refusals ask for. */
  #settle(): void {
    this.#clockMs += 3_600_000;
    const { stored } = this.#coordinator;
    this.#beginEpoch(stored);
    // A restore by hand may have left the node in a later epoch than this store knows of.
    const latest = this.#trust.latest?.epoch;
    if (latest !== undefined && epochNumber(latest) >= epochNumber(stored.epoch)) stored.epoch = nextEpoch(latest, 0);
    this.#coordinator = this.#start(stored);
    this.#reconnect();
    this.#coordinator.apply(stateOf([0, 1], 5), true);
    for (let step = 0; step < SETTLING_STEPS; step += 1) this.#deliver();
    const { issuedDigest } = this.#coordinator;
    if (issuedDigest === undefined || this.#held?.statement.digest !== issuedDigest)
      this.problem ??= 'it does not converge';
  }

  #start(stored: Stored): ModelCoordinator {
    return new ModelCoordinator(stored, (frame) => {
      if ('signed' in frame) this.#signed.add(frame.signed.text);
      this.#channel.push(frame);
    });
  }
}

/** Lives one life. Returns what went wrong, undefined when nothing did. */
export function runStateStream(seed: number): string | undefined {
  return new Life(seed).run();
}
