import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { CHECKS_MAX_MS } from '../../src/ike/mediation.ts';
import { digestOf } from '../../src/json.ts';
import type { Step } from '../../src/reconcile/charon.ts';
import { Reconciler } from '../../src/reconcile/loop.ts';
import { child, desired, mediatedPeer, medsrv, names, spoke, wishes } from './builders.ts';
import { ManualClock, MemoryCharon } from './memory-charon.ts';

/** What may happen to a charon between two rounds. */
const happenings = fc.oneof(
  fc.record({ what: fc.constant('time' as const), ms: fc.nat({ max: 90_000 }) }),
  fc.record({
    what: fc.constant('established' as const),
    name: fc.constantFrom(...Object.values(names)),
    child: fc.boolean(),
  }),
  fc.record({ what: fc.constant('lost' as const), name: fc.constantFrom(...Object.values(names)) }),
  fc.record({ what: fc.constant('responder' as const), name: fc.constantFrom(names.peer, names.hub) }),
  fc.record({ what: fc.constant('restart' as const) }),
  fc.record({ what: fc.constant('unloaded' as const), name: fc.constantFrom(...Object.values(names)) }),
  fc.record({ what: fc.constant('refusing' as const), name: fc.constantFrom(...Object.values(names), 'credentials') }),
  fc.record({ what: fc.constant('accepting' as const) }),
  fc.record({ what: fc.constant('workers' as const), idle: fc.constantFrom(0, 2, 3, 12) }),
  fc.record({
    what: fc.constant('doubted' as const),
    abandon: fc.array(fc.integer({ min: 1, max: 12 }), { maxLength: 6 }),
    rekey: fc.array(fc.integer({ min: 1, max: 12 }), { maxLength: 6 }),
  }),
  fc.record({ what: fc.constant('changed' as const), priority: fc.constantFrom(1000, 1001) }),
  fc.record({ what: fc.constant('renewed' as const), credentials: fc.constantFrom('first', 'second', 'third') }),
);
type Happening = typeof happenings extends fc.Arbitrary<infer H> ? H : never;

function must(holds: boolean, otherwise: string): void {
  if (!holds) throw new Error(otherwise);
}

/** Keeps its own books of what charon was given, and fails at the first step that must not be. */
class Witness {
  readonly clock = new ManualClock();
  readonly charon = new MemoryCharon();
  readonly #loaded = new Map<string, string>();
  readonly #firstSeenMs = new Map<number, number>();
  readonly #reconciler: Reconciler;
  #priority = 1000;
  #credentials = 'first';
  /** What the paths want of the next round. */
  #wishes = wishes();

  constructor() {
    const { clock, charon } = this;
    this.#reconciler = new Reconciler({ clock, random: () => 0.5, ledger: undefined, saveLedger: () => true });
    charon.onStep = (step) => this.#check(step);
  }

  async round(): Promise<void> {
    for (const { uniqueId } of this.charon.ikeSas) {
      if (!this.#firstSeenMs.has(uniqueId)) this.#firstSeenMs.set(uniqueId, this.clock.monotonicMs());
    }
    const peer = mediatedPeer({ children: [child('edge1--remote', { priority: this.#priority })] });
    const target = {
      desired: desired(medsrv(), spoke(), peer),
      steering: [],
      credentialsDigest: this.#credentials,
      digestOf,
    };
    await this.#reconciler.round(this.charon, target, () => this.#wishes, new AbortController().signal);
    this.#wishes = wishes();
  }

  happen(happening: Happening): void {
    const { charon } = this;
    switch (happening.what) {
      case 'time':
        return this.clock.advance(happening.ms);
      case 'established':
        return charon.establish(happening.name, happening.child ? 'edge1--remote' : undefined);
      case 'lost':
        charon.ikeSas = charon.ikeSas.filter(({ name }) => name !== happening.name);
        return undefined;
      case 'responder':
        return charon.addSa(happening.name, { state: 'CREATED', initiator: false, establishedSeconds: undefined });
      case 'restart':
        charon.restart();
        this.#loaded.clear();
        return this.#firstSeenMs.clear();
      case 'unloaded':
        charon.connections.delete(happening.name);
        this.#loaded.delete(happening.name);
        return undefined;
      case 'refusing':
        charon.refuses.set(happening.name, 'no');
        return undefined;
      case 'accepting':
        return charon.refuses.clear();
      case 'workers':
        charon.idleWorkers = happening.idle;
        return undefined;
      case 'doubted':
        this.#wishes = wishes({ abandon: new Set(happening.abandon), rekey: new Set(happening.rekey) });
        return undefined;
      case 'changed':
        this.#priority = happening.priority;
        return undefined;
      case 'renewed':
        this.#credentials = happening.credentials;
        return undefined;
    }
  }

  #check(step: Step): void {
    switch (step.kind) {
      case 'load-conn':
        must(this.#loaded.get(step.connection.name) !== step.digest, 'loaded again unchanged');
        if (!this.charon.refuses.has(step.connection.name)) this.#loaded.set(step.connection.name, step.digest);
        return;
      case 'initiate-ike':
      case 'initiate-child':
        must(this.#loaded.has(step.connection), 'initiated, but not loaded');
        must(this.charon.idleWorkers >= 3, 'initiated with the last workers');
        must(!this.#statesOf(step.connection).includes('CREATED'), 'initiated beside a set-up');
        return;
      case 'terminate-ike':
        return this.#checkTerminate(step.ikeSaId);
      case 'abandon-ike': {
        const abandoned = this.charon.ikeSas.find(({ uniqueId }) => uniqueId === step.ikeSaId);
        return must(abandoned?.state === 'ESTABLISHED', 'abandoned, and not established');
      }
      case 'rekey-child': {
        const childSas = this.charon.ikeSas.flatMap((ikeSa) => (ikeSa.state === 'ESTABLISHED' ? ikeSa.childSas : []));
        const rekeyed = childSas.find(({ uniqueId }) => uniqueId === step.childSaId);
        return must(rekeyed?.state === 'INSTALLED', 'rekeyed, and not installed');
      }
      case 'install-trap':
        return must(this.#loaded.has(step.connection), 'installed, but not loaded');
      case 'load-credentials':
      case 'load-crl':
      case 'unload-conn':
      case 'uninstall-trap':
      case 'set-routes':
      case 'divert-routes':
      case 'remove-routes':
      case 'terminate-child':
        return;
      case 'unload-key':
        must(step.keyId !== `key of ${this.#credentials}`, 'unloaded, and in use');
        return must(this.charon.keyIds.has(`key of ${this.#credentials}`), 'unloaded before its successor is there');
    }
  }

  #checkTerminate(ikeSaId: number): void {
    const ikeSa = this.charon.ikeSas.find(({ uniqueId }) => uniqueId === ikeSaId);
    if (ikeSa?.state !== 'CREATED') return;
    const knownForMs = this.clock.monotonicMs() - (this.#firstSeenMs.get(ikeSaId) ?? Number.POSITIVE_INFINITY);
    must(knownForMs > CHECKS_MAX_MS, 'terminated while its checks may run');
  }

  #statesOf(connection: string): readonly string[] {
    return this.charon.ikeSas.filter(({ name }) => name === connection).map(({ state }) => state);
  }
}

it('is never driven into what charon does not survive, whatever happens to it', () =>
  fc.assert(
    fc.asyncProperty(fc.array(happenings, { maxLength: 40 }), async (history) => {
      const witness = new Witness();
      for (const happening of history) {
        witness.happen(happening);
        await witness.round();
      }
    }),
    { numRuns: 300 },
  ));

it('gets there: once nothing more goes wrong, all is loaded and set up', () =>
  fc.assert(
    fc.asyncProperty(fc.array(happenings, { maxLength: 30 }), async (history) => {
      const witness = new Witness();
      for (const happening of history) {
        witness.happen(happening);
        await witness.round();
      }
      witness.happen({ what: 'accepting' });
      witness.happen({ what: 'workers', idle: 12 });
      for (let round = 0; round < 8; round += 1) {
        await witness.round();
        for (const { name, state } of witness.charon.ikeSas) {
          if (state === 'CREATED') witness.charon.establish(name, name === names.medsrv ? undefined : 'edge1--remote');
        }
        witness.happen({ what: 'time', ms: 30_000 });
      }
      const { connections, ikeSas } = witness.charon;
      expect(connections).toEqual(new Set(Object.values(names)));
      expect(ikeSas).toHaveLength(connections.size);
      expect(new Set(ikeSas.map(({ name }) => name))).toEqual(connections);
      expect(new Set(ikeSas.map(({ state }) => state))).toEqual(new Set(['ESTABLISHED']));
    }),
    { numRuns: 100 },
  ));
