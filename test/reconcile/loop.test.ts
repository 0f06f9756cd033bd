import { describe, expect, it } from 'vitest';
import type { DesiredState } from '../../src/ike/desired-state.ts';
import { digestOf } from '../../src/json.ts';
import type { Ledger } from '../../src/reconcile/ledger.ts';
import { Reconciler, type Gate, type RoundResult, type Target } from '../../src/reconcile/loop.ts';
import { initiateKey, LEAVE_MS } from '../../src/reconcile/plan.ts';
import { localState } from '../../src/ike/steering.ts';
import { addressed, child, desired, mediatedPeer, medsrv, names, spoke, wishes } from './builders.ts';
import { ManualClock, MemoryCharon, stepWords } from './memory-charon.ts';

const always: Gate = () => wishes();

function targetOf(state: DesiredState, credentialsDigest = 'credentials-1'): Target {
  return { desired: state, steering: [], credentialsDigest, digestOf };
}

/** A reconciler with its charon, and the words of what the last round asked for. */
class Lab {
  readonly charon = new MemoryCharon();
  readonly clock = new ManualClock();
  readonly saved: Ledger[] = [];
  target: Target | undefined;
  gate: Gate = always;
  isDiskFull = false;
  reconciler: Reconciler;

  constructor(target: Target | undefined = targetOf(desired(spoke()))) {
    this.target = target;
    this.reconciler = this.#start(undefined);
  }

  /** Another agent process, with what the last one left on disk. */
  restartAgent(): void {
    this.reconciler = this.#start(this.saved.at(-1));
  }

  async round(): Promise<RoundResult> {
    this.charon.asked.length = 0;
    return await this.reconciler.round(this.charon, this.target, this.gate, new AbortController().signal);
  }

  async asked(afterMs = 0): Promise<string[]> {
    this.clock.advance(afterMs);
    await this.round();
    return this.charon.asked.map(stepWords);
  }

  #start(ledger: Ledger | undefined): Reconciler {
    const saveLedger = (next: Ledger): boolean => {
      if (!this.isDiskFull) this.saved.push(next);
      return !this.isDiskFull;
    };
    return new Reconciler({ clock: this.clock, random: () => 0.999_999_999, ledger, saveLedger });
  }
}

const loads = ['load-credentials', `load ${names.hub}`];
const initiate = `initiate-child ${names.hub}`;

describe('a new charon', () => {
  it('is loaded, then its SAs are set up, then it is left alone', async () => {
    const lab = new Lab();
    expect(await lab.asked()).toEqual(loads);
    expect(await lab.asked()).toEqual([initiate]);
    expect(await lab.asked(300)).toEqual([]);
    lab.charon.establish(names.hub, 'edge1--remote');
    expect(await lab.asked(60_000)).toEqual([]);
  });

  it('is only looked at while there is no target', async () => {
    const lab = new Lab(undefined);
    lab.target = undefined;
    const result = await lab.round();
    expect(result).toMatchObject({ done: [], notLoaded: [], refusals: [], nextAttemptInMs: Infinity });
    expect(result.observed.charonVersion).toBe('5.9.8');
  });

  it('says what it has, and what not yet', async () => {
    const lab = new Lab();
    lab.charon.refuses.set(names.hub, 'invalid value');
    expect((await lab.round()).notLoaded).toEqual([names.hub]);
    lab.charon.refuses.clear();
    lab.clock.advance(1000);
    expect((await lab.round()).notLoaded).toEqual([]);
  });

  it('that cannot be read in whole is given nothing', async () => {
    const lab = new Lab();
    lab.charon.problem = new Error('half a list');
    await expect(lab.round()).rejects.toThrow('half a list');
    expect(lab.charon.asked).toEqual([]);
  });
});

it('makes the digest of each connection once, however many rounds there are', async () => {
  let made = 0;
  const target = targetOf(desired(spoke(), medsrv()));
  const lab = new Lab({ ...target, digestOf: (connection) => ((made += 1), target.digestOf(connection)) });
  for (let round = 0; round < 5; round += 1) await lab.asked(1000);
  expect(made).toBe(2);
});

describe('the ledger', () => {
  /** What the ledger on disk says of connections, before each step of a round. */
  async function savedBeforeSteps(lab: Lab): Promise<readonly (readonly string[])[]> {
    const saved: (readonly string[])[] = [];
    lab.charon.onStep = () => saved.push(Object.values(lab.saved.at(-1)?.connections ?? {}));
    await lab.round();
    return saved;
  }

  it('has what charon does not have at all before it is loaded, by one write for all', async () => {
    const all = [medsrv(), spoke(), mediatedPeer()];
    const lab = new Lab(targetOf(desired(...all)));
    const digests = all.map(digestOf);
    expect(await savedBeforeSteps(lab)).toEqual([digests, digests, digests, digests]);
    // The connections, and the credentials.
    expect(lab.saved).toHaveLength(2);
  });

  it('has what takes the place of another connection after it was loaded, before the next step', async () => {
    const before = [medsrv(), spoke()];
    const after = [medsrv({ virtualIps: ['0.0.0.0'] }), { ...spoke(), virtualIps: ['0.0.0.0'] }];
    const lab = new Lab(targetOf(desired(...before)));
    await lab.round();
    lab.target = targetOf(desired(...after));
    expect((await savedBeforeSteps(lab)).slice(0, 2)).toEqual([
      before.map(digestOf),
      [digestOf(after[0]!), digestOf(before[1]!)],
    ]);
    expect(Object.values(lab.saved.at(-1)!.connections)).toEqual(after.map(digestOf));
  });

  it('is right for a new agent, whichever step of a round the last one died at', async () => {
    const all = [medsrv(), spoke(), mediatedPeer()];
    for (let died = 1; died <= 4; died += 1) {
      const lab = new Lab(targetOf(desired(...all)));
      let steps = 0;
      lab.charon.onStep = () => {
        steps += 1;
        if (steps === died) throw new Error('the agent has died');
      };
      await expect(lab.round()).rejects.toThrow('has died');
      lab.charon.onStep = () => undefined;
      const loaded = [...lab.charon.connections];
      lab.restartAgent();
      const { done } = await lab.round();
      const again = done.flatMap((step) => (step.kind === 'load-conn' ? [step.connection.name] : []));
      expect([...loaded, ...again].toSorted(), `at step ${died}`).toEqual(all.map(({ name }) => name).toSorted());
    }
  });

  it('does not have what charon has refused', async () => {
    const lab = new Lab(targetOf(desired(medsrv(), spoke())));
    lab.charon.refuses.set(names.hub, 'invalid value');
    await lab.round();
    expect(Object.keys(lab.saved.at(-1)!.connections)).toEqual([names.medsrv]);
    lab.charon.refuses.clear();
    lab.restartAgent();
    expect(await lab.asked()).toContain(`load ${names.hub}`);
  });

  it('keeps a new agent from loading anything twice', async () => {
    const lab = new Lab();
    await lab.round();
    lab.restartAgent();
    expect(await lab.asked()).toEqual([initiate]);
  });

  it('that the disk does not take is remembered, and written as soon as that is possible', async () => {
    const lab = new Lab();
    lab.isDiskFull = true;
    expect(await lab.asked()).toEqual(loads);
    expect(await lab.asked()).toEqual([initiate]);
    lab.isDiskFull = false;
    expect(await lab.asked()).toEqual([]);
    expect(lab.saved).toMatchObject([
      { credentials: 'credentials-1', connections: { [names.hub]: digestOf(spoke()) } },
    ]);
    await lab.round();
    expect(lab.saved).toHaveLength(1);
  });

  it('counts for nothing after a restart of charon', async () => {
    const lab = new Lab();
    await lab.round();
    await lab.round();
    lab.charon.restart();
    expect(await lab.asked()).toEqual(loads);
    expect(await lab.asked()).toEqual([initiate]);
  });

  it('is corrected when another program unloads what we loaded', async () => {
    const lab = new Lab();
    await lab.round();
    lab.charon.connections.clear();
    expect(await lab.asked()).toEqual([`load ${names.hub}`]);
  });

  it('tells new credentials from the old', async () => {
    const lab = new Lab();
    await lab.round();
    lab.target = targetOf(desired(spoke()), 'credentials-2');
    expect(await lab.asked()).toContain('load-credentials');
  });
});

describe('new credentials', () => {
  const former = 'key of credentials-1';

  async function settled(): Promise<Lab> {
    const lab = new Lab();
    await lab.round();
    lab.charon.establish(names.hub, 'edge1--remote');
    lab.charon.keyIds.add('of another program');
    expect(await lab.asked()).toEqual([]);
    lab.target = targetOf(desired(spoke()), 'credentials-2');
    return lab;
  }

  it('are loaded beside the former ones, whose key goes when charon was seen with the new one', async () => {
    const lab = await settled();
    expect(await lab.asked()).toEqual(['load-credentials']);
    expect(lab.charon.keyIds).toContain(former);
    expect(await lab.asked()).toEqual([`unload-key ${former}`]);
    expect(await lab.asked()).toEqual([]);
    expect([...lab.charon.keyIds].sort()).toEqual(['key of credentials-2', 'of another program']);
  });

  it('that charon refuses leave the former key where it is', async () => {
    const lab = await settled();
    lab.charon.refuses.set('credentials', 'parsing failed');
    expect(await lab.asked()).toEqual(['load-credentials']);
    expect(await lab.asked()).toEqual([]);
    expect(lab.charon.keyIds).toContain(former);
  });

  it('are not forgotten to have had a former key by an agent that ends in between', async () => {
    const lab = await settled();
    await lab.round();
    lab.restartAgent();
    expect(await lab.asked()).toEqual([`unload-key ${former}`]);
    lab.restartAgent();
    expect(await lab.asked()).toEqual([]);
  });

  it('with the key of before keep it', async () => {
    const lab = await settled();
    await lab.round();
    lab.target = targetOf(desired(spoke()), 'credentials-1');
    expect(await lab.asked()).toEqual(['load-credentials']);
    expect(await lab.asked()).toEqual(['unload-key key of credentials-2']);
    expect(lab.charon.keyIds).toContain(former);
  });
});

describe('a refused load', () => {
  it('does not keep the others, and is not tried again at once', async () => {
    const lab = new Lab(targetOf(desired(medsrv(), spoke())));
    lab.charon.refuses.set(names.medsrv, 'unknown option: x, config discarded');
    expect(await lab.asked()).toEqual(['load-credentials', `load ${names.medsrv}`, `load ${names.hub}`]);
    const { refusals, nextAttemptInMs } = await lab.round();
    expect(lab.charon.asked.map(stepWords)).toEqual([initiate]);
    expect(refusals).toEqual([
      { resource: names.medsrv, step: 'load', message: 'unknown option: x, config discarded' },
    ]);
    expect(nextAttemptInMs).toBe(1000);
  });

  it('is tried again after longer and longer waits', async () => {
    const lab = new Lab();
    lab.charon.refuses.set(names.hub, 'no');
    await lab.round();
    expect(await lab.asked(999)).toEqual([]);
    expect(await lab.asked(1)).toEqual([`load ${names.hub}`]);
    expect(await lab.asked(1999)).toEqual([]);
    expect(await lab.asked(1)).toEqual([`load ${names.hub}`]);
  });

  it('is tried at once when the connection has changed', async () => {
    const lab = new Lab();
    lab.charon.refuses.set(names.hub, 'no');
    await lab.round();
    lab.charon.refuses.clear();
    lab.target = targetOf(desired(spoke([child('edge1--remote', { priority: 1999 })])));
    expect(await lab.asked()).toEqual([`load ${names.hub}`]);
    expect((await lab.round()).refusals).toEqual([]);
  });

  it('is forgotten with the connection, and with the charon', async () => {
    const lab = new Lab();
    lab.charon.refuses.set(names.hub, 'no');
    await lab.round();
    lab.charon.restart();
    expect(await lab.asked()).toEqual(loads);
    lab.target = targetOf(desired());
    expect((await lab.round()).refusals).toEqual([]);
  });

  it('of the credentials is told as such', async () => {
    const lab = new Lab();
    lab.charon.refuses.set('credentials', 'parsing failed');
    expect((await lab.round()).refusals).toEqual([
      { resource: 'credentials', step: 'load', message: 'parsing failed' },
    ]);
  });

  it('is no refusal when charon is gone: then the round ends', async () => {
    const lab = new Lab(targetOf(desired(medsrv(), spoke())));
    lab.charon.onStep = ({ kind }) => {
      if (kind === 'load-conn') throw new Error('hung up');
    };
    await expect(lab.round()).rejects.toThrow('hung up');
    expect(lab.charon.asked.map(stepWords)).toEqual(['load-credentials', `load ${names.medsrv}`]);
  });
});

describe('a repair', () => {
  const isUp = async (): Promise<Lab> => {
    const lab = new Lab();
    await lab.round();
    lab.charon.establish(names.hub, 'edge1--remote', 600);
    await lab.round();
    return lab;
  };
  const ikeSaId = 1;

  it('is carried out, and what it ended is set up anew in the next round', async () => {
    const lab = await isUp();
    lab.gate = () => wishes({ abandon: new Set([ikeSaId]) });
    expect(await lab.asked()).toEqual([`abandon-ike ${names.hub}`]);
    lab.gate = always;
    expect(await lab.asked()).toEqual([initiate]);
  });

  it.each([
    ['abandon-ike', { abandon: new Set([ikeSaId]) }],
    ['rekey-child', { rekey: new Set([1]) }],
  ])('that charon refuses is asked for again in the next round: %s', async (kind, wanted) => {
    const lab = await isUp();
    lab.charon.refuses.set(names.hub, 'no');
    lab.gate = () => wishes(wanted);
    for (let round = 0; round < 5; round += 1) expect(await lab.asked()).toEqual([`${kind} ${names.hub}`]);
    const { refusals, nextAttemptInMs, done } = await lab.round();
    expect([refusals, nextAttemptInMs, done]).toEqual([[], Infinity, []]);
    lab.charon.refuses.clear();
    expect((await lab.round()).done).toMatchObject([{ kind }]);
  });
});

describe('the next round', () => {
  it('is wanted when the paths want it, or sooner for a set-up that waits', async () => {
    const lab = new Lab();
    lab.gate = () => wishes({ lookInMs: 1500 });
    expect((await lab.round()).nextAttemptInMs).toBe(1500);
    lab.charon.refuses.set(names.hub, 'no');
    lab.target = targetOf(desired(spoke([child('edge1--remote', { priority: 1999 })])));
    expect((await lab.round()).nextAttemptInMs).toBe(1000);
    lab.gate = () => wishes({ lookInMs: 300 });
    expect((await lab.round()).nextAttemptInMs).toBe(300);
  });
});

describe('a set-up', () => {
  /** Ms until the hub tunnel's child is initiated; stops looking after a minute. */
  async function waitOf(lab: Lab): Promise<number> {
    let waitedMs = 0;
    while (waitedMs < 60_000 && !(await lab.asked()).includes(initiate)) {
      lab.clock.advance(500);
      waitedMs += 500;
    }
    return waitedMs;
  }

  /** The hub tunnel is loaded, and comes up and goes down at once `times` times; resolves to the waits between. */
  async function waitsOf(lab: Lab, times: number, secondsUp: number): Promise<number[]> {
    const waits: number[] = [];
    for (let time = 0; time < times; time += 1) {
      waits.push(await waitOf(lab));
      lab.charon.establish(names.hub, 'edge1--remote', secondsUp);
      await lab.round();
      lab.charon.ikeSas = [];
    }
    return waits;
  }

  it('that is lost at once again and again is begun more and more rarely', async () => {
    const lab = new Lab();
    await lab.round();
    expect(await waitsOf(lab, 7, 0)).toEqual([0, 1000, 2000, 4000, 8000, 16_000, 30_000]);
  });

  it('whose tunnel packets have come through is begun as if it had never been lost', async () => {
    const lab = new Lab();
    await lab.round();
    await waitsOf(lab, 4, 0);
    lab.gate = () => wishes({ worked: new Set([initiateKey(names.hub, 'edge1--remote')]), allows: () => false });
    await lab.round();
    lab.gate = always;
    expect(await waitsOf(lab, 3, 0)).toEqual([0, 1000, 2000]);
  });

  it('that held for ten seconds is begun again at once', async () => {
    const lab = new Lab();
    await lab.round();
    expect(await waitsOf(lab, 3, 10)).toEqual([0, 0, 0]);
  });

  it('of a CHILD SA that does not last keeps its back-off, however stable the IKE SA', async () => {
    const lab = new Lab();
    await lab.round();
    lab.charon.establish(names.hub, undefined, 600);
    expect(await lab.asked()).toEqual([initiate]);
    lab.charon.establish(names.hub, 'edge1--remote', 1);
    await lab.charon.observe();
    lab.charon.ikeSas = lab.charon.ikeSas.map((sa) => ({ ...sa, establishedSeconds: 600 }));
    await lab.round();
    lab.charon.establish(names.hub, undefined, 601);
    expect(await lab.asked()).toEqual([]);
    expect(await lab.asked(1000)).toEqual([initiate]);
  });

  it('in the place of a lasting CHILD SA with other selectors is begun more and more rarely', async () => {
    const lab = new Lab();
    await lab.round();
    lab.charon.establish(names.hub, 'edge1--remote', 600);
    lab.charon.ikeSas = lab.charon.ikeSas.map((sa) => ({
      ...sa,
      childSas: sa.childSas.map((other) => ({ ...other, remoteTs: ['9.9.9.0/24'] })),
    }));
    const waits: number[] = [];
    for (let time = 0; time < 5; time += 1) waits.push(await waitOf(lab));
    expect(waits).toEqual([0, 1000, 2000, 4000, 8000]);
  });

  it('in the place of a CHILD SA whose selectors were changed waits a second for the other end', async () => {
    const lab = new Lab();
    await lab.round();
    lab.charon.establish(names.hub, 'edge1--remote', 600);
    lab.target = targetOf(desired(spoke([child('edge1--remote', { remoteSubnets: ['9.9.9.0/24'] })])));
    expect(await lab.asked()).toEqual([`load ${names.hub}`]);
    expect(await lab.asked(999)).toEqual([]);
    expect(await lab.asked(1)).toEqual([initiate]);
  });

  it('waits for the gate', async () => {
    const lab = new Lab();
    lab.gate = () => wishes({ allows: (key) => !key.startsWith('initiate') });
    await lab.round();
    expect(await lab.asked(60_000)).toEqual([]);
    lab.gate = always;
    expect(await lab.asked()).toEqual([initiate]);
  });

  it('that charon refuses is told, and is no longer told once the SA is there', async () => {
    const lab = new Lab();
    await lab.round();
    lab.charon.refuses.set(names.hub, 'no config named so');
    expect((await lab.round()).refusals).toMatchObject([{ resource: names.hub, step: 'initiate' }]);
    lab.charon.establish(names.hub, 'edge1--remote', 10);
    expect((await lab.round()).refusals).toEqual([]);
  });

  it('that got stuck is ended only when its checks are over', async () => {
    const lab = new Lab(targetOf(desired(medsrv({ start: 'add' }), mediatedPeer())));
    await lab.round();
    expect(await lab.asked()).toEqual([`initiate-child ${names.peer}`]);
    await lab.round();
    expect(await lab.asked(75_000)).toEqual([]);
    expect(await lab.asked(1)).toEqual([`terminate-ike ${names.peer}`]);
  });

  it('that is not wanted any more is ended when the other end has had time to leave it', async () => {
    const registers = medsrv({ start: 'add' });
    const state = addressed(desired(registers, mediatedPeer()));
    const { steering } = localState(state, 'libipsec', 7447);
    const lab = new Lab({ ...targetOf(state), steering });
    await lab.round();
    lab.charon.establish(names.peer, 'edge1--remote', 600);
    lab.target = { ...targetOf(desired(registers)), steering };
    expect(await lab.asked()).not.toContain(`terminate-ike ${names.peer}`);
    expect((await lab.round()).nextAttemptInMs).toBe(LEAVE_MS);
    expect(await lab.asked(LEAVE_MS - 1)).not.toContain(`terminate-ike ${names.peer}`);
    expect(await lab.asked(1)).toContain(`terminate-ike ${names.peer}`);
  });

  it('of a new charon is not taken for the old one’s of the same number', async () => {
    const lab = new Lab(targetOf(desired(medsrv({ start: 'add' }), mediatedPeer())));
    await lab.round();
    lab.charon.addSa(names.peer, { state: 'CREATED', establishedSeconds: undefined });
    await lab.round();
    lab.charon.restart();
    lab.charon.addSa(names.peer, { state: 'CREATED', establishedSeconds: undefined });
    expect(await lab.asked(80_000)).not.toContain(`terminate-ike ${names.peer}`);
    expect(await lab.asked(75_001)).toEqual([`terminate-ike ${names.peer}`]);
  });
});
