import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { DirectPaths } from '../../src/agent/direct-paths.ts';
import type { HeldCrl, NodeCrl } from '../../src/agent/held-crl.ts';
import { NodeState, type NodeDeps } from '../../src/agent/node-state.ts';
import type { ProbeReading } from '../../src/agent/prober.ts';
import { Repairs } from '../../src/agent/repairs.ts';
import { StateKeeper } from '../../src/agent/state-keeper.ts';
import type { StateTrust } from '../../src/agent/state-trust.ts';
import { storedIn, type Stored, type StoredState } from '../../src/agent/stored.ts';
import { encodeFrame } from '../../src/control/codec.ts';
import { PROTOCOL_VERSION, type AgentFrame } from '../../src/control/frames.ts';
import type { StateStatement } from '../../src/control/statement.ts';
import { nodeReportSchema, type NodeEvent, type NodeReport } from '../../src/control/report.ts';
import type { DesiredLink, DesiredState } from '../../src/ike/desired-state.ts';
import type { IkeSa } from '../../src/ike/sa.ts';
import { diffStates } from '../../src/ike/state-delta.ts';
import type { DatedEvidence } from '../../src/paths/evidence-board.ts';
import { canonicalJson, digestOf } from '../../src/json.ts';
import type { Step } from '../../src/reconcile/charon.ts';
import type { RoundResult } from '../../src/reconcile/loop.ts';
import { EPOCH, LATER_EPOCH, MESH_KEY, nextKey, OTHER_KEY, signedState } from '../control/statements.ts';
import { evidence } from '../paths/evidence-builder.ts';
import { childSa, desired, ikeSa, mediatedPeer, medsrv, names, observed, spoke } from '../reconcile/builders.ts';
import { ManualClock } from '../reconcile/memory-charon.ts';
import { repairDeps } from './hub-knocks.ts';
import { hint, linkedTo } from './links.ts';
import { temporaryFolder } from './temporary-folder.ts';

const mesh = desired(medsrv(), spoke(), mediatedPeer());
/** The same with mesh addresses. */
const addressed: DesiredState = {
  ...mesh,
  addresses: { mesh: '100.96.0.4', relay: '100.96.0.5' },
  links: mesh.links.map((link) => ({ ...link, peerAddresses: { mesh: '100.96.0.6', relay: '100.96.0.7' } })),
};
const trust: StateTrust = { mesh: 'mesh', node: 'edge1', keys: [MESH_KEY.publicKey], retired: null, latest: null };

/** What the probes would show, and what they were asked. */
class FakeLinks implements FakedLinks {
  readonly looks: DesiredState[] = [];
  readonly toldLost: string[] = [];
  readonly readings = new Map<string, ProbeReading>();
  readonly silent = new Set<string>();
  silentHub: number | undefined;
  readonly heardAtMs = undefined;
  hasOwnSilence = false;

  look(state: DesiredState): void {
    this.looks.push(state);
  }

  reading(link: string, path: 'direct' | 'relay'): ProbeReading | undefined {
    return this.readings.get(`${link} ${path}`);
  }

  isSilent({ id }: DesiredLink): boolean {
    return this.silent.has(id);
  }

  tellLost(_own: unknown, { id }: DesiredLink, ikeSas: readonly IkeSa[]): void {
    this.toldLost.push(...ikeSas.map(({ initiatorSpi }) => `${id} ${initiatorSpi}`));
  }

  isProven(): boolean {
    return true;
  }

  silentHubs(): ReturnType<NodeDeps['links']['silentHubs']> {
    const silent = { peers: 2, ask: () => undefined, lostSince: () => 4 };
    return new Map(this.silentHub === undefined ? [] : [[this.silentHub, silent]]);
  }

  takeOwnSilence(): boolean {
    const { hasOwnSilence } = this;
    this.hasOwnSilence = false;
    return hasOwnSilence;
  }
}
type FakedLinks = NodeDeps['links'];

/** Knows the lists `new` and `old`. */
class FakeCrls implements Pick<HeldCrl, 'take'> {
  take(der: string): NodeCrl | undefined {
    if (der !== 'new' && der !== 'old') throw new Error('not signed');
    return der === 'new' ? { number: 7, der: Buffer.of(1), digest: 'd' } : undefined;
  }
}

/** edge1's knowledge, on a real folder, with all that it says. */
class Node {
  readonly clock = new ManualClock();
  readonly links = new FakeLinks();
  readonly crls = new FakeCrls();
  readonly localAddresses = new Set(['192.168.1.2']);
  readonly sent: AgentFrame[] = [];
  readonly events: NodeEvent[] = [];
  readonly folder: string;
  readonly state: NodeState;
  readonly keeper: StateKeeper;
  readonly stored: Stored;
  readonly unusable: string[] = [];
  placedIke: NodeReport['placedIke'];
  hasInterfaces = false;
  logged: DatedEvidence | undefined;
  isChannelOpen = true;
  channelDownMs = 0;
  hasChannelFailed = false;
  changes = 0;

  constructor(folder = temporaryFolder()) {
    this.folder = folder;
    this.stored = storedIn(folder);
    if (this.stored.trust.read() === undefined) this.stored.trust.write(trust);
    this.keeper = new StateKeeper({
      clock: this.clock,
      desiredFile: this.stored.desired,
      trustFile: this.stored.trust,
      self: trust,
      onUnusable: (error) => this.unusable.push(error.message),
    });
    this.state = new NodeState({
      clock: this.clock,
      agentVersion: '1.2.3',
      keeper: this.keeper,
      directPaths: new DirectPaths({ clock: this.clock, random: () => 0.999_999 }),
      links: this.links,
      repairs: new Repairs(repairDeps(this.clock)),
      hasInterfaces: () => this.hasInterfaces,
      localAddresses: () => this.localAddresses,
      ownNat: () => 'cone',
      logged: () => this.logged,
      crl: this.crls,
      ikeCertificate: () => 'PEM',
      placedIke: () => this.placedIke,
      channel: () => ({ channelDownMs: this.channelDownMs, hasChannelFailed: this.hasChannelFailed }),
      send: (frame) => {
        if (this.isChannelOpen) this.sent.push(frame);
        return this.isChannelOpen;
      },
      onEvent: (event) => this.events.push(event),
      changed: () => (this.changes += 1),
    });
  }

  receive(state: unknown, change: Partial<StateStatement> = {}, key = MESH_KEY): void {
    const text = canonicalJson(state);
    this.state.received({ type: 'snapshot', signed: signedState(text, change, key), state: text });
  }

  round(change: Partial<RoundResult> = {}): void {
    const { desired } = this.state;
    const result: RoundResult = {
      target: desired && { desired, steering: [], credentialsDigest: '', digestOf: () => '' },
      observed: observed(),
      done: [],
      direct: new Set(),
      refusals: [],
      notLoaded: [],
      nextAttemptInMs: Infinity,
    };
    this.state.roundDone({ ...result, ...change });
  }

  /** What was sent since the last call. */
  take(type?: AgentFrame['type']): AgentFrame[] {
    const frames = this.sent.splice(0);
    return type === undefined ? frames : frames.filter((frame) => frame.type === type);
  }

  get heldOnDisk(): StoredState | undefined {
    return storedIn(this.folder).desired.read();
  }
}

describe('a list of revoked certificates', () => {
  it.each([
    ['that is new is looked at by charon’s loop', 'new', ['list 7 of revoked certificates received'], 1],
    ['that is known changes nothing', 'old', [], 0],
    ['that is not the CA’s is told of', 'bad', ['list of revoked certificates: not signed'], 1],
  ])('%s', (_what, der, told, changes) => {
    const node = new Node();
    node.state.received({ type: 'crl', der });
    expect(node.events.map(({ message }) => message)).toEqual(told);
    expect(node.changes).toBe(changes);
  });
});

describe('a snapshot', () => {
  const text = canonicalJson(mesh);

  it('is on disk, in force and in the next hello', () => {
    const node = new Node();
    node.receive(mesh);
    expect(node.heldOnDisk).toEqual({ signed: signedState(text), state: text });
    expect(node.state.desired).toEqual(mesh);
    expect(node.changes).toBe(1);
    const hello = {
      type: 'hello',
      protocol: PROTOCOL_VERSION,
      agentVersion: '1.2.3',
      epoch: EPOCH,
      generation: 5,
      digest: digestOf(mesh),
      keys: [MESH_KEY.publicKey],
      ikeCertificate: 'PEM',
    };
    expect(node.state.hello()).toEqual(hello);
    expect(new Node(node.folder).state.hello()).toEqual(hello);
  });

  it('is what the first hello has none of', () =>
    expect(new Node().state.hello()).toMatchObject({ epoch: null, generation: 0, digest: null }));

  it('that is refused changes nothing, here or on disk, and both ends are told', () => {
    const node = new Node();
    node.receive(mesh);
    node.take();
    node.receive({ ...desired(), updown: '/bin/sh' }, { generation: 6, allowMassRemoval: true });
    const message = expect.stringMatching(/updown/) as string;
    const outcomes = [{ resource: 'state', ok: false, message }];
    expect(node.take()).toEqual([{ type: 'nack', epoch: EPOCH, generation: 6, outcomes }]);
    expect(node.events.at(-1)).toMatchObject({ kind: 'channel', message });
    expect(node.keeper.problems).toEqual([message]);
    expect(node.heldOnDisk).toEqual({ signed: signedState(text), state: text });
    expect(node.state.desired).toEqual(mesh);
    expect(node.changes).toBe(1);
    node.receive(mesh);
    expect(node.keeper.problems).toEqual([]);
  });

  it('that says nothing of itself is refused, too', () => {
    const node = new Node();
    node.state.received({ type: 'snapshot', signed: { ...signedState(text), text: '[' }, state: text });
    expect(node.take()).toMatchObject([{ type: 'nack', epoch: null, generation: 0 }]);
  });

  it('that the disk does not take does not count', () => {
    const node = new Node();
    const { desired: file } = storedIn(join(node.folder, 'desired.json.new', 'x'));
    file.write({ signed: signedState(text), state: text });
    node.receive(mesh);
    expect(node.take()).toMatchObject([{ type: 'nack', outcomes: [{ resource: 'state', ok: false }] }]);
    expect(node.state.desired).toBeUndefined();
  });

  it('that the disk did not take counts as soon as it does, and is told of once', () => {
    const node = new Node();
    const { desired: file } = storedIn(join(node.folder, 'desired.json.new', 'x'));
    file.write({ signed: signedState(text), state: text });
    node.receive(mesh);
    node.take();
    node.round({ observed: observed() });
    expect(node.take('nack')).toEqual([]);
    expect(node.state.desired).toBeUndefined();
    rmSync(join(node.folder, 'desired.json.new'), { recursive: true });
    node.round({ observed: observed() });
    expect(node.state.desired).toEqual(mesh);
    expect(storedIn(node.folder).desired.read()).toMatchObject({ state: text });
  });

  it('that is over by the node’s clock counts as soon as the clock is right, and nothing else does', () => {
    const node = new Node();
    const hoursMs = 10 * 3_600_000;
    node.clock.advance(hoursMs);
    node.receive(mesh, { notAfterMs: 2_000_000 });
    expect(node.take('nack')).toHaveLength(1);
    expect(node.keeper.problems).toEqual([expect.stringContaining('check the clock')]);
    node.round();
    expect(node.state.desired).toBeUndefined();
    node.clock.advance(-hoursMs);
    node.round();
    expect(node.state.desired).toEqual(mesh);
    expect([node.keeper.postponed, node.keeper.problems, node.take('nack')]).toEqual([undefined, [], []]);
  });

  it('that does not come as it should is asked for', () => {
    const node = new Node();
    node.state.received({ type: 'unchanged', signed: signedState(text) });
    const delta = diffStates({ ...desired() }, { ...mesh });
    node.state.received({ type: 'delta', signed: signedState(text), base: digestOf(desired()), delta });
    expect(node.take()).toEqual([
      { type: 'resend', reason: expect.stringContaining('not the state that this node holds') as string },
      { type: 'resend', reason: expect.stringContaining('does not hold') as string },
    ]);
  });

  it('may come as the difference from the one before', () => {
    const node = new Node();
    node.receive(desired());
    const delta = diffStates({ ...desired() }, { ...mesh });
    const signed = signedState(text, { generation: 6 });
    node.state.received({ type: 'delta', signed, base: digestOf(desired()), delta });
    expect(node.state.desired).toEqual(mesh);
    expect(node.heldOnDisk).toEqual({ signed, state: text });
  });

  it('that is held under another generation is confirmed under that one', () => {
    const node = new Node();
    node.receive(mesh);
    node.round();
    node.take();
    node.state.received({ type: 'unchanged', signed: signedState(text, { epoch: LATER_EPOCH, generation: 1 }) });
    expect(node.take()).toMatchObject([{ type: 'ack', epoch: LATER_EPOCH, generation: 1 }]);
    expect(node.state.hello()).toMatchObject({ epoch: LATER_EPOCH, generation: 1 });
    expect(node.changes).toBe(1);
  });
});

describe('a new signing key', () => {
  it('is told of', () => {
    const node = new Node();
    node.state.received({ type: 'keys', introductions: [nextKey(MESH_KEY, OTHER_KEY)] });
    expect(node.state.hello()).toMatchObject({ keys: [OTHER_KEY.publicKey, MESH_KEY.publicKey] });
    node.state.received({ type: 'keys', introductions: [nextKey(MESH_KEY, MESH_KEY)] });
    expect(node.events.map(({ message }) => message)).toEqual(['the mesh has a new signing key']);
    node.state.received({ type: 'keys', introductions: [{ ...nextKey(OTHER_KEY, MESH_KEY), signature: 'x' }] });
    expect(node.events.at(-1)).toMatchObject({ message: expect.stringContaining('refused') as string });
    expect(node.state.hello()).toMatchObject({ keys: [OTHER_KEY.publicKey, MESH_KEY.publicKey] });
  });
});

describe('an outcome', () => {
  const resources = ['credentials', names.medsrv, names.hub, names.peer];
  const ack = {
    type: 'ack',
    epoch: EPOCH,
    generation: 5,
    outcomes: resources.map((resource) => ({ resource, ok: true, message: null })),
  };
  const withState = (): Node => {
    const node = new Node();
    node.receive(mesh);
    return node;
  };

  it('is sent once when everything is loaded', () => {
    const node = withState();
    node.round();
    expect(node.take('ack')).toEqual([ack]);
    expect(node.state.generations).toEqual({ generation: 5, applied: 5 });
    node.round();
    expect(node.take('ack')).toEqual([]);
  });

  it('is sent again after each hello, for the coordinator may have forgotten', () => {
    const node = withState();
    node.round();
    node.take();
    node.state.channelOpened();
    expect(node.take().map(({ type }) => type)).toEqual(['ack', 'report']);
  });

  it('that could not be sent is sent later', () => {
    const node = withState();
    node.isChannelOpen = false;
    node.round();
    node.isChannelOpen = true;
    node.round();
    expect(node.take('ack')).toEqual([ack]);
  });

  it('has charon’s words, and changes with them', () => {
    const node = withState();
    const refusal = { resource: names.hub, step: 'load', message: 'invalid value for: id' } as const;
    node.round({ refusals: [refusal], notLoaded: [names.hub] });
    expect(node.take('nack')).toMatchObject([
      {
        generation: 5,
        outcomes: [
          { ok: true },
          { ok: true },
          { resource: names.hub, ok: false, message: refusal.message },
          { ok: true },
        ],
      },
    ]);
    node.round({ refusals: [refusal], notLoaded: [names.hub] });
    expect(node.take('nack')).toEqual([]);
    expect(node.state.generations.applied).toBeNull();
    node.round();
    expect(node.take('ack')).toHaveLength(1);
  });

  it('waits while loads are merely under way', () => {
    const node = withState();
    node.round({ notLoaded: [names.hub] });
    expect(node.take().filter(({ type }) => type === 'ack' || type === 'nack')).toEqual([]);
  });

  it('is none of a round that began before the state came', () => {
    const node = withState();
    const target = { desired: node.state.desired!, steering: [], credentialsDigest: '', digestOf: () => '' };
    node.receive(desired(spoke()), { generation: 6 });
    node.round({ target });
    expect(node.take().map(({ type }) => type)).toEqual(['report']);
    expect(node.state.generations).toEqual({ generation: 6, applied: null });
    node.round();
    expect(node.take('ack')).toMatchObject([{ generation: 6 }]);
  });

  it('is no nack when only a set-up is refused', () => {
    const node = withState();
    node.round({ refusals: [{ resource: names.hub, step: 'initiate', message: 'no' }] });
    expect(node.take('ack')).toHaveLength(1);
  });

  it('is none before there is a desired state', () => {
    const node = new Node();
    node.round();
    expect(node.take().map(({ type }) => type)).toEqual(['report']);
  });
});

describe('what charon refuses', () => {
  it('is told in words when no connection can tell it, and not any more when it is taken', () => {
    const node = new Node();
    node.receive(mesh);
    const refusals = ['credentials', 'crl', names.hub].map(
      (resource) => ({ resource, step: 'load', message: 'no' }) as const,
    );
    node.round({ refusals, notLoaded: ['credentials', names.hub] });
    expect(node.state.problems).toEqual([
      "charon refuses this node's key and certificates: no; it is tried again",
      'charon refuses the list of revoked certificates: no; it is tried again',
    ]);
    expect(node.state.report().connections.find(({ name }) => name === names.hub)).toMatchObject({
      status: 'refused',
      problem: 'no',
    });
    node.round();
    expect(node.state.problems).toEqual([]);
  });
});

describe('a report', () => {
  const up = observed({ ikeSas: [ikeSa(names.hub, { childSas: [childSa('edge1--remote')] })] });
  const later = observed({
    ikeSas: [
      ikeSa(names.hub, {
        establishedSeconds: 9,
        rekeyInSeconds: 2996,
        childSas: [childSa('edge1--remote', { bytesIn: 5, installedSeconds: 9 })],
      }),
    ],
  });

  it('is one that the coordinator accepts', () => {
    const node = new Node();
    node.receive(mesh);
    node.round({ observed: up });
    const [frame] = node.take('report');
    expect(frame).toHaveProperty('report');
    expect(nodeReportSchema.safeParse(node.state.report()).success).toBe(true);
    expect(node.state.report()).toMatchObject({
      charon: { connected: true, version: '5.9.8', idleWorkers: 12, problem: null },
      generation: 5,
      links: [{ id: 'edge1--remote', path: 'relay', sinceMs: 1_000_000 }],
    });
  });

  it('is sent when something is new, not when only counters are', () => {
    const node = new Node();
    node.receive(mesh);
    node.round({ observed: up });
    expect(node.take('report')).toHaveLength(1);
    node.clock.advance(5000);
    node.round({ observed: later });
    expect(node.take('report')).toEqual([]);
    node.round();
    expect(node.take('report')).toHaveLength(1);
  });

  it('is sent when a path lives or dies, not when its round trip is another', () => {
    const node = new Node();
    node.receive(mesh);
    const alive: ProbeReading = {
      health: 'alive',
      sas: '2',
      silentMs: 0,
      answeredAtMs: 0,
      isOutdone: false,
      rttMs: 24,
      loss: 0,
    };
    node.links.readings.set('edge1--remote relay', alive);
    node.round({ observed: up });
    node.take();
    node.links.readings.set('edge1--remote relay', { ...alive, rttMs: 25, loss: 0.05 });
    node.round({ observed: up });
    expect(node.take('report')).toEqual([]);
    node.links.readings.set('edge1--remote relay', { ...alive, health: 'dead' });
    node.round({ observed: up });
    expect(node.take('report')).toMatchObject([{ report: { links: [{ path: 'none', relay: { health: 'dead' } }] } }]);
  });

  it('says whether the operator places the IKE certificate, and when that ends', () => {
    const node = new Node();
    expect(node.state.report()).not.toHaveProperty('placedIke');
    node.placedIke = { notAfterMs: 7 };
    expect(nodeReportSchema.parse(node.state.report())).toMatchObject({ placedIke: { notAfterMs: 7 } });
  });

  it('says what kind of NAT this node has', () => expect(new Node().state.report()).toMatchObject({ nat: 'cone' }));

  it('has its paths probed after each round, by what charon showed', () => {
    const node = new Node();
    node.round({ observed: up });
    expect(node.links.looks).toEqual([]);
    node.receive(mesh);
    node.round({ observed: up });
    expect(node.links.looks).toEqual([mesh]);
  });

  it('is sent every half minute all the same', () => {
    const node = new Node();
    node.receive(mesh);
    node.round({ observed: up });
    node.take();
    node.clock.advance(29_999);
    node.round({ observed: later });
    expect(node.take('report')).toEqual([]);
    node.clock.advance(1);
    node.round({ observed: later });
    expect(node.take('report')).toHaveLength(1);
  });

  it('that was large is not followed by the next one at once', () => {
    const node = new Node();
    node.receive(mesh);
    const childSas = Array.from({ length: 500 }, (_, index) => childSa(`left-over-${index}`));
    const large = (count: number): RoundResult['observed'] =>
      observed({ ikeSas: [ikeSa(names.hub, { childSas: childSas.slice(0, count) })] });
    node.round({ observed: large(500) });
    expect(node.take('report')).toHaveLength(1);
    node.round({ observed: large(499) });
    expect(node.take('report')).toEqual([]);
    node.clock.advance(5000);
    node.round({ observed: large(499) });
    expect(node.take('report')).toHaveLength(1);
  });

  it('that would be too large for a frame goes without CHILD SAs, and says so', () => {
    const node = new Node();
    node.receive(mesh);
    const localTs = Array.from({ length: 40 }, (_, index) => `10.0.${index}.0/24`);
    const childSas = Array.from({ length: 2000 }, (_, index) => childSa(`left-over-${index}`, { localTs }));
    node.round({
      observed: observed({ ikeSas: [ikeSa(names.hub, { childSas: [childSa('edge1--remote'), ...childSas] })] }),
    });
    const [frame] = node.take('report');
    expect(() => encodeFrame(frame!)).not.toThrow();
    expect(frame).toMatchObject({
      report: {
        charon: { connected: true, problem: expect.stringContaining('too many CHILD SAs') as string },
        connections: expect.arrayContaining([
          expect.objectContaining({
            name: names.hub,
            ikeSas: [expect.objectContaining({ uniqueId: 1, childSas: [] })],
          }),
        ]) as unknown,
        links: [{ id: 'edge1--remote', path: 'relay' }],
      },
    });
  });

  it('says since when a link takes its path', () => {
    const node = new Node();
    node.receive(mesh);
    node.round({ observed: up });
    node.clock.advance(60_000);
    node.round({ observed: up });
    expect(node.state.report().links[0]?.sinceMs).toBe(1_000_000);
    node.round();
    expect(node.state.report().links[0]).toMatchObject({ path: 'none', sinceMs: 1_060_000 });
    expect(node.events.filter(({ kind }) => kind === 'path').map(({ message }) => message)).toEqual([
      'remote: none -> relay',
      'remote: relay -> none',
    ]);
  });
});

describe('a lost charon', () => {
  it('is reported at once, and told of once', () => {
    const node = new Node();
    node.receive(mesh);
    node.round();
    node.take();
    node.state.charonLost('charon does not run');
    node.state.charonLost('charon does not run');
    expect(node.take('report')).toMatchObject([
      { report: { charon: { connected: false, version: null, problem: 'charon does not run' } } },
    ]);
    expect(node.events.filter(({ kind }) => kind === 'charon')).toHaveLength(1);
    expect(node.state.isCharonThere).toBe(false);
  });
});

describe('the gate', () => {
  const registered = observed({ ikeSas: [ikeSa(names.medsrv)] });
  const direct = `initiate ${names.peer}/edge1--remote`;

  it('is shut before there is a desired state', () =>
    expect(new Node().state.gate(registered).allows('load anything')).toBe(false));

  it('holds back mediated children only, until it is their turn', () => {
    const node = new Node();
    node.receive(mesh);
    const { allows: isOpen } = node.state.gate(registered);
    expect(isOpen(`load ${names.peer}`)).toBe(true);
    expect(isOpen(`initiate ${names.medsrv}`)).toBe(true);
    expect(isOpen(`initiate ${names.hub}/edge1--remote`)).toBe(true);
    expect(isOpen(direct)).toBe(false);
    node.state.received({ type: 'links', hints: [hint('remote')] });
    expect(node.changes).toBe(2);
    expect(node.state.gate(registered).allows(direct)).toBe(true);
  });

  it('goes by the node’s own rule when the coordinator is away', () => {
    const node = new Node();
    node.receive(mesh);
    node.channelDownMs = 20_000;
    const first = node.state.gate(registered);
    expect([first.allows(direct), first.lookInMs]).toEqual([false, 1000]);
    node.clock.advance(1000);
    expect(node.state.gate(registered).allows(direct)).toBe(true);
  });

  it('does so a second after its start when the coordinator cannot be reached, and looks again by itself', () => {
    const node = new Node();
    node.receive(mesh);
    node.channelDownMs = 400;
    node.hasChannelFailed = true;
    const early = node.state.gate(registered);
    expect([early.allows(direct), early.lookInMs]).toEqual([false, 600]);
    node.channelDownMs = 1000;
    node.clock.advance(1000);
    expect(node.state.gate(registered).allows(direct)).toBe(true);
  });

  it('waits as ever when the coordinator goes that has told it hints', () => {
    const node = new Node();
    node.receive(mesh);
    node.state.received({ type: 'links', hints: [hint('remote', { initiate: false })] });
    node.channelDownMs = 1000;
    node.hasChannelFailed = true;
    expect(node.state.gate(registered).allows(direct)).toBe(false);
  });

  it('forgets the hints with the channel that brought them', () => {
    const node = new Node();
    node.receive(mesh);
    node.state.received({ type: 'links', hints: [hint('remote')] });
    node.state.channelOpened();
    expect(node.state.gate(registered).allows(direct)).toBe(false);
  });

  const up = observed({
    ikeSas: [
      ikeSa(names.medsrv, { uniqueId: 1 }),
      ikeSa(names.hub, { uniqueId: 2, childSas: [childSa('edge1--remote', { uniqueId: 20 })] }),
      ikeSa(names.peer, { uniqueId: 3, initiatorSpi: 'aa', childSas: [childSa('edge1--remote', { uniqueId: 30 })] }),
    ],
  });

  it('wants no repair while all is well, and no haste', () => {
    const node = new Node();
    node.receive(mesh);
    expect(node.state.gate(up)).toMatchObject({ abandon: new Set(), rekey: new Set(), lookInMs: Infinity });
    expect(node.links.toldLost).toEqual([]);
  });

  it('wants traffic in a direct tunnel that packets pass, where charon carries it itself', () => {
    const node = new Node();
    node.receive(addressed);
    const reading = {
      health: 'alive',
      sas: '3',
      silentMs: 0,
      answeredAtMs: 0,
      rttMs: 1,
      loss: 0,
      isOutdone: false,
    } as const;
    for (const path of ['direct', 'relay']) node.links.readings.set(`edge1--remote ${path}`, reading);
    expect(node.state.gate(up).takesDirect).toEqual(new Set());

    node.state.charonFound('libipsec', new Set());
    expect(node.state.gate(up).takesDirect).toEqual(new Set(['edge1--remote']));
    node.links.silent.add('edge1--remote');
    expect(node.state.gate(up).takesDirect).toEqual(new Set());
  });

  it('moves traffic by its XFRM interfaces when it has them, and wants them where the kernel carries it', () => {
    const node = new Node();
    expect(node.state.wantsInterfaces).toBe(false);
    node.receive(addressed);
    expect(node.state.wantsInterfaces).toBe(true);
    expect(node.state.local?.steering).toEqual([]);
    node.hasInterfaces = true;
    const { local } = node.state;
    expect(local?.steering).toMatchObject([{ destinations: ['7.7.8.0/24', '100.96.0.6/32'] }]);
    expect(node.state.local, 'the same object as long as nothing changes').toBe(local);
    node.state.charonFound('libipsec', new Set());
    expect(node.state.wantsInterfaces).toBe(false);
    expect(node.state.local?.steering).toMatchObject([{ direct: { name: 'direct' } }]);
    node.state.charonFound('kernel', new Set());
    node.receive(mesh, { generation: 9 });
    expect(node.state.wantsInterfaces, 'in a mesh without mesh addresses').toBe(false);
  });

  it('registers a second time for a peer that charon is held up with, as long as that charon runs', () => {
    const node = new Node();
    node.receive(mesh);
    const names = (): string[] => (node.state.desired?.connections ?? []).map(({ name }) => name);
    expect(names()).not.toContain('cygnet-peer-remote.again');
    const changes = node.changes;
    const atMs = node.clock.monotonicMs();
    node.logged = { evidence: evidence('stuck-in-charon'), sinceMs: atMs, atMs };
    node.state.gate(observed());
    expect(names()).toEqual(expect.arrayContaining(['cygnet-medsrv-master1.again', 'cygnet-peer-remote.again']));
    expect(node.changes).toBe(changes + 1);
    node.logged = undefined;
    node.state.gate(observed());
    expect([names().filter((name) => name.endsWith('.again')).length, node.changes]).toEqual([2, changes + 1]);

    node.state.charonFound('kernel', new Set(['cygnet-peer-remote', 'cygnet-peer-remote.again']));
    expect(names()).toContain('cygnet-peer-remote.again');
    node.state.charonFound('kernel', new Set());
    expect(names()).not.toContain('cygnet-peer-remote.again');
  });

  it('has the report say where the traps lead, as they are after the round', () => {
    const node = new Node();
    node.receive(addressed);
    node.state.charonFound('libipsec', new Set());
    node.round({ observed: up });
    expect(node.state.report().links).toMatchObject([{ path: 'relay' }]);
    node.round({ observed: up, direct: new Set(['edge1--remote']) });
    expect(node.state.report().links).toMatchObject([{ path: 'direct' }]);
  });

  it('gives up a direct tunnel that is silent, and leaves its registration and its hub in peace', () => {
    const node = new Node();
    node.receive(mesh);
    node.state.received({ type: 'links', hints: [hint('remote')] });
    node.state.gate(up);
    // By its own probes or by the peer's word: neither says that this node is elsewhere now.
    node.links.silent.add('edge1--remote');
    expect(node.state.gate(up)).toMatchObject({ abandon: new Set([3]), rekey: new Set() });
    expect(node.state.gate(up)).toMatchObject({ abandon: new Set([3]), rekey: new Set() });
  });

  it('tells the peer of a tunnel that is given up when the steps of the round are done, as long as it is there', () => {
    const node = new Node();
    node.receive(mesh);
    node.links.silent.add('edge1--remote');
    const told = (): string[] => node.links.toldLost.splice(0);
    for (let round = 1; round <= 2; round += 1) {
      node.state.gate(up);
      expect(told(), 'this end may still use it').toEqual([]);
      node.round({ observed: up });
      expect(told()).toEqual(['edge1--remote aa']);
    }
    node.state.gate(registered);
    node.round({ observed: registered });
    expect(told()).toEqual([]);
  });

  it('has others look where this node is when nothing comes back on any path, once', () => {
    const node = new Node();
    node.receive(mesh);
    node.state.received({ type: 'links', hints: [hint('remote')] });
    node.links.hasOwnSilence = true;
    const withoutPeer = observed({ ikeSas: up.ikeSas.slice(0, 2) });
    const wishes = node.state.gate(withoutPeer);
    expect(wishes).toMatchObject({ abandon: new Set([1]), rekey: new Set([20]) });
    expect(wishes.allows(direct), 'through a registration that is made anew').toBe(false);
    const next = node.state.gate(withoutPeer);
    expect(next).toMatchObject({ abandon: new Set(), rekey: new Set() });
    expect(next.allows(direct)).toBe(true);
  });

  it('asks a hub through which nothing comes any more, also while something else does', () => {
    const node = new Node();
    node.receive(mesh);
    node.links.silentHub = 2;
    expect(node.state.gate(up)).toMatchObject({ abandon: new Set(), rekey: new Set([20]) });
    expect(node.state.gate(up).rekey).toEqual(new Set());
  });

  it('gives up what is bound to an address that this machine has lost for three seconds', () => {
    const node = new Node();
    node.receive(mesh);
    node.state.gate(up);
    node.localAddresses.clear();
    expect(node.state.gate(up)).toMatchObject({ abandon: new Set(), lookInMs: 3000 });
    node.clock.advance(3000);
    expect(node.state.gate(up).abandon).toEqual(new Set([1, 2, 3]));
  });

  it('wants another look when a rest is over', () => {
    const node = new Node();
    node.receive(mesh);
    node.state.gate(up);
    node.state.gate(registered);
    expect(node.state.gate(registered).lookInMs).toBe(1500);
    node.clock.advance(1000);
    expect(node.state.gate(registered).lookInMs).toBe(500);
  });

  it('is shut again for a path that was just initiated', () => {
    const node = new Node();
    node.receive(linkedTo('remote'));
    node.state.received({ type: 'links', hints: [hint('remote')] });
    node.state.gate(registered);
    const step: Step = {
      kind: 'initiate-child',
      connection: names.peer,
      child: mediatedPeer().children[0]!.name,
    };
    node.round({ observed: registered, done: [step] });
    expect(node.state.gate(registered).allows(direct)).toBe(false);
    expect(node.events).toContainEqual(
      expect.objectContaining({ kind: 'step', connection: names.peer, child: 'edge1--remote' }),
    );
  });
});
