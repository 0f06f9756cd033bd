import { LinkBoard } from '../../src/coordinator/link-board.ts';
import { factsOf, type LinkEnd, type NodeFacts } from '../../src/coordinator/link-hints.ts';
import { connectionNameSchema, linkIdSchema, nodeNameSchema } from '../../src/ike/connection.ts';
import type { DesiredState } from '../../src/ike/desired-state.ts';
import type { IkeSa } from '../../src/ike/sa.ts';
import { childSa, desired, mediatedPeer, medsrv, names } from '../reconcile/builders.ts';
import { ModelNode } from './model-node.ts';

const LINK = 'edge1--remote';
const ENDS = ['edge1', 'remote'] as const;
export type End = (typeof ENDS)[number];
/** Of each end: its connection to the other one. */
const PEER = { edge1: names.peer, remote: connectionNameSchema.parse('cygnet-peer-edge1') } as const;

/** An agent that has changed something looks again soon, and otherwise in this time at the latest. */
const RESYNC_MS = 10_000;
const LOOK_AGAIN_MS = 300;
/** What charon waits for once it knows a pair of endpoints that works. */
const CHECKED_MS = 1000;

/** How the world is in one run; all in ms. */
export interface World {
  /** From one end to the other, and to the mediator. */
  readonly networkMs: number;
  /** From an end's report to the coordinator, and back with new hints. */
  readonly reportMs: number;
  readonly hintMs: number;
  /** By how much the wall clock of `remote` is ahead. */
  readonly skewMs: number;
  /** By how much `remote` boots later. */
  readonly apartMs: number;
}

/** What one end has asked for; the same IKE SA has the same SPI at both ends. */
interface SetUp {
  readonly by: End;
  readonly spi: string;
  readonly atMs: number;
}

/**
 * The two ends of a link, each all of an agent that decides, with a charon of its own, a network between them that takes
 * time, and the coordinator's own election. No time passes but the test's.
 */
export class TwoEnds {
  readonly #world: World;
  readonly #nodes: Readonly<Record<End, ModelNode>>;
  /** Sorted by time; of equal ones the first that was added. */
  readonly #agenda: { readonly atMs: number; readonly happen: () => void }[] = [];
  readonly #facts = new Map<string, NodeFacts>();
  readonly #board = new LinkBoard((node) => this.#facts.get(node));
  readonly #bootMs: Readonly<Record<End, number>>;
  readonly #lookAtMs: Record<End, number>;
  readonly #seenRecords: Record<End, number> = { edge1: 0, remote: 0 };
  /** The SPIs that each charon had after the last look at it. */
  readonly #spis: Record<End, ReadonlySet<string>> = { edge1: new Set(), remote: new Set() };
  #setUps = 0;
  #open: SetUp[] = [];
  #nowMs = 0;
  #downSinceMs: number | undefined;
  #isFailing = false;
  /** Set-ups that were begun while one of the other end was under way, in words. */
  readonly doublings: string[] = [];

  constructor(world: World, isCoordinatorThere: boolean) {
    this.#world = world;
    this.#nodes = { edge1: new ModelNode(edge1, 'kernel'), remote: new ModelNode(remote, 'kernel') };
    this.#nodes.remote.clock.advance(world.skewMs);
    this.#bootMs = { edge1: 0, remote: world.apartMs };
    this.#lookAtMs = { ...this.#bootMs };
    this.#board.use([
      {
        id: linkIdSchema.parse(LINK),
        ends: [linkEnd('edge1'), linkEnd('remote')],
        mediators: [nodeNameSchema.parse('master1')],
      },
    ]);
    if (!isCoordinatorThere) this.#downSinceMs = 0;
  }

  /** Of the link's direct tunnel, established, at each end. */
  get tunnels(): readonly (readonly IkeSa[])[] {
    return ENDS.map((each) => this.#peerSas(each).filter(({ state }) => state === 'ESTABLISHED'));
  }

  async pass(ms: number): Promise<void> {
    const untilMs = this.#nowMs + ms;
    for (;;) {
      const next = Math.min(this.#agenda[0]?.atMs ?? Infinity, this.#lookAtMs.edge1, this.#lookAtMs.remote);
      if (next > untilMs) break;
      this.#advanceTo(next);
      while ((this.#agenda[0]?.atMs ?? Infinity) <= next) this.#agenda.shift()?.happen();
      for (const each of ENDS) if (this.#lookAtMs[each] <= next) await this.#round(each);
    }
    this.#advanceTo(untilMs);
  }

  /** The tunnel is gone at one end at once, and at the other so much later. */
  lose(first: End, laterMs: number): void {
    const lost = this.#peerSas(first).filter(({ state }) => state === 'ESTABLISHED');
    for (const { initiatorSpi } of lost) {
      this.#endAt(first, initiatorSpi);
      this.#after(laterMs, () => this.#endAt(other(first), initiatorSpi));
    }
  }

  /** Both ends lose their registrations, and register again. */
  loseMediator(): void {
    for (const each of ENDS) {
      this.#nodes[each].charon.lose(names.medsrv);
      this.#touch(each);
    }
  }

  /** Whether mediations come to nothing from now on, at the end that begins them: the checks hang. */
  set failing(is: boolean) {
    this.#isFailing = is;
  }

  coordinatorGone(): void {
    this.#downSinceMs ??= this.#nowMs;
  }

  coordinatorBack(): void {
    if (this.#downSinceMs === undefined) return;
    this.#downSinceMs = undefined;
    this.#facts.clear();
    for (const each of ENDS) {
      this.#nodes[each].channelDownMs = 0;
      this.#nodes[each].channelOpened();
      this.#touch(each);
    }
  }

  #advanceTo(ms: number): void {
    for (const each of ENDS) this.#nodes[each].clock.advance(ms - this.#nowMs);
    this.#nowMs = ms;
  }

  #after(ms: number, happen: () => void): void {
    const atMs = this.#nowMs + ms;
    const index = this.#agenda.findLastIndex((each) => each.atMs <= atMs) + 1;
    this.#agenda.splice(index, 0, { atMs, happen });
  }

  #touch(at: End): void {
    this.#lookAtMs[at] = Math.min(this.#lookAtMs[at], Math.max(this.#nowMs, this.#bootMs[at]));
  }

  async #round(at: End): Promise<void> {
    const node = this.#nodes[at];
    if (this.#downSinceMs !== undefined)
      node.channelDownMs = this.#nowMs - Math.max(this.#downSinceMs, this.#bootMs[at]) + 1;
    const { done, nextAttemptInMs } = await node.round();
    const lookInMs = done.length > 0 ? LOOK_AGAIN_MS : Math.min(RESYNC_MS, Math.max(LOOK_AGAIN_MS, nextAttemptInMs));
    this.#lookAtMs[at] = this.#nowMs + lookInMs;
    this.#takeIn(at);
    this.#report(at);
  }

  /** What the agent has asked its charon for. */
  #takeIn(at: End): void {
    const { records } = this.#nodes[at].charon;
    for (const record of records.slice(this.#seenRecords[at])) {
      if (record.type !== 'asked' || record.command !== 'initiate') continue;
      if (record.request['ike'] === names.medsrv) this.#register(at);
      if (record.request['ike'] === PEER[at]) this.#begin(at);
    }
    this.#seenRecords[at] = records.length;
    this.#mourn(at);
  }

  #register(at: End): void {
    this.#after(4 * this.#world.networkMs, () => {
      this.#nodes[at].charon.establish(names.medsrv, undefined);
      this.#touch(at);
    });
  }

  #begin(by: End): void {
    this.#setUps += 1;
    const setUp = { by, spi: this.#setUps.toString(16).padStart(16, 'a'), atMs: this.#nowMs };
    this.#change(by, (sa) =>
      sa.name === PEER[by] && !sa.initiatorSpi.startsWith('a') ? { ...sa, initiatorSpi: setUp.spi } : sa,
    );
    this.#open = this.#open.filter((each) => this.#isUnderWay(each));
    const others = this.#open.filter((each) => each.by !== by);
    this.doublings.push(...others.map(({ atMs }) => `${by} at ${this.#nowMs}, while the other end does since ${atMs}`));
    this.#open.push(setUp);
    this.#after(2 * this.#world.networkMs, () => this.#arrive(setUp));
  }

  /** Whether a set-up may still come to an IKE SA. */
  #isUnderWay({ spi, by, atMs }: SetUp): boolean {
    const isPending = this.#peerSas(by).some(({ initiatorSpi, state }) => initiatorSpi === spi && state === 'CREATED');
    return isPending && this.#nowMs - atMs < CHECKED_MS + 6 * this.#world.networkMs;
  }

  /** At a node that is not registered it is lost. */
  #arrive(setUp: SetUp): void {
    const at = other(setUp.by);
    const { charon } = this.#nodes[at];
    const isRegistered = charon.ikeSas.some(({ name, state }) => name === names.medsrv && state === 'ESTABLISHED');
    if (!isRegistered) return;
    charon.addSa(PEER[at], { state: 'CREATED', initiator: false, initiatorSpi: setUp.spi });
    this.#spis[at] = this.#spisAt(at);
    if (this.#isFailing) return;
    this.#after(CHECKED_MS + 2 * this.#world.networkMs, () => this.#establish(at, setUp));
    this.#after(CHECKED_MS + 3 * this.#world.networkMs, () => this.#establish(setUp.by, setUp));
  }

  #establish(at: End, { spi }: SetUp): void {
    const up = { state: 'ESTABLISHED', establishedSeconds: 1, childSas: [childSa(LINK)] };
    this.#change(at, (sa) => (sa.initiatorSpi === spi ? { ...sa, ...up } : sa));
    this.#touch(at);
  }

  /** What the agent has ended the other end hears of. */
  #mourn(at: End): void {
    const now = this.#spisAt(at);
    const gone = [...this.#spis[at]].filter((spi) => !now.has(spi));
    this.#spis[at] = now;
    for (const spi of gone) this.#after(this.#world.networkMs, () => this.#endAt(other(at), spi));
  }

  #spisAt(at: End): ReadonlySet<string> {
    return new Set(this.#peerSas(at).map(({ initiatorSpi }) => initiatorSpi));
  }

  #endAt(at: End, spi: string): void {
    this.#change(at, (sa) => (sa.initiatorSpi === spi && sa.state === 'ESTABLISHED' ? undefined : sa));
    this.#touch(at);
  }

  #peerSas(at: End): readonly IkeSa[] {
    return this.#nodes[at].charon.ikeSas.filter(({ name }) => name === PEER[at]);
  }

  #change(at: End, change: (sa: IkeSa) => IkeSa | undefined): void {
    const { charon } = this.#nodes[at];
    charon.ikeSas = charon.ikeSas.flatMap((sa) => change(sa) ?? []);
    this.#spis[at] = this.#spisAt(at);
  }

  #report(from: End): void {
    if (this.#downSinceMs !== undefined) return;
    const facts = factsOf(this.#nodes[from].report());
    this.#after(this.#world.reportMs, () => {
      if (this.#downSinceMs !== undefined) return;
      this.#facts.set(from, facts);
      for (const node of this.#board.changed(nodeNameSchema.parse(from)))
        this.#hint(node === 'remote' ? 'remote' : 'edge1');
    });
  }

  #hint(to: End): void {
    const hints = [...this.#board.hintsFor(nodeNameSchema.parse(to))];
    this.#after(this.#world.hintMs, () => {
      if (this.#downSinceMs !== undefined) return;
      this.#nodes[to].hint(hints);
      this.#touch(to);
    });
  }
}

const edge1 = desired(medsrv(), mediatedPeer());

const remote: DesiredState = {
  ...edge1,
  node: nodeNameSchema.parse('remote'),
  connections: [
    medsrv({ localId: 'O=mesh, CN=remote' }),
    mediatedPeer({
      name: PEER.remote,
      localId: 'O=mesh, CN=remote',
      remoteId: 'O=mesh, CN=edge1',
      peer: nodeNameSchema.parse('edge1'),
      mediationPeer: 'O=mesh, CN=edge1',
    }),
  ],
  links: edge1.links.map((link) => ({
    ...link,
    peer: nodeNameSchema.parse('edge1'),
    direct: link.direct.map((ref) => ({ ...ref, connection: PEER.remote })),
  })),
};

function linkEnd(node: End): LinkEnd {
  return { node: nodeNameSchema.parse(node), mediationId: `O=mesh, CN=${node}` };
}

function other(at: End): End {
  return at === 'edge1' ? 'remote' : 'edge1';
}
