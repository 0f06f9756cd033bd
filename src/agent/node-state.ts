import type { Clock } from '../clock.ts';
import { PROTOCOL_VERSION, type AgentFrame, type CoordinatorFrame, type LinkHint } from '../control/frames.ts';
import { messageOf } from '../errors.ts';
import type { LinkReport, NodeEvent, NodeReport } from '../control/report.ts';
import type { DesiredState } from '../ike/desired-state.ts';
import { localState, type DataPlane, type LocalState } from '../ike/steering.ts';
import type { ObservedState, Step } from '../reconcile/charon.ts';
import type { DatedEvidence } from '../paths/evidence-board.ts';
import type { NatKind } from '../paths/path-cause.ts';
import { takesDirect } from '../paths/traffic.ts';
import { linksInDirect, type Gate, type PathWishes, type RoundResult } from '../reconcile/loop.ts';
import type { DirectPaths, DirectWishes } from './direct-paths.ts';
import { effectiveHints, hintsChangeInMs, mediatedLinks, type HintSource } from './hints.ts';
import type { HeldCrl } from './held-crl.ts';
import type { LinkWatch } from './link-watch.ts';
import { Registrations } from './registrations.ts';
import type { Repairs } from './repairs.ts';
import { heldBy, withSecondRegistrations } from './second-registration.ts';
import { PROBE_PORT } from './probe-packet.ts';
import { connectionReports, linkReports, type ReportInput } from './report.ts';
import { ReportSender } from './report-sender.ts';
import { claimOf, type StateFrame } from './state-acceptance.ts';
import type { StateKeeper } from './state-keeper.ts';
import { StateOutcomes } from './state-outcomes.ts';

/** Before there is a desired state. */
const NO_WISHES: PathWishes = {
  allows: () => false,
  worked: new Set(),
  abandon: new Set(),
  rekey: new Set(),
  takesDirect: new Set(),
  lookInMs: Infinity,
};

/** What was made of a state, for each data plane that was asked about. */
interface Locals {
  readonly of: DesiredState | undefined;
  readonly held: ReadonlySet<string>;
  readonly on: Map<DataPlane, LocalState>;
}

/** A link without the time of its path, which is known here only. */
type UndatedLink = ReturnType<typeof linkReports>[number];

const UNREPORTED_RESOURCES: ReadonlyMap<string, string> = new Map([
  ['credentials', "this node's key and certificates"],
  ['crl', 'the list of revoked certificates'],
]);

export interface NodeDeps {
  readonly clock: Clock;
  readonly agentVersion: string;
  /** The desired state, and which one may come after it. */
  readonly keeper: Pick<StateKeeper, 'held' | 'keys' | 'receive' | 'postponed' | 'introduce'>;
  readonly directPaths: DirectPaths;
  readonly links: Pick<
    LinkWatch,
    'look' | 'reading' | 'isSilent' | 'tellLost' | 'takeOwnSilence' | 'isProven' | 'silentHubs' | 'heardAtMs'
  >;
  readonly repairs: Repairs;
  /** Whether the node has its XFRM interfaces. */
  readonly hasInterfaces: () => boolean;
  /** The machine's own addresses. */
  readonly localAddresses: () => ReadonlySet<string>;
  readonly ownNat: () => NatKind;
  /** What charon's log says about a connection that does not come up. */
  readonly logged: (connection: string) => DatedEvidence | undefined;
  readonly crl: Pick<HeldCrl, 'take'>;
  /** PEM of the IKE certificate that the coordinator has issued; undefined when it has issued none. */
  readonly ikeCertificate: () => string | undefined;
  /** The one that the operator places, where he does. */
  readonly placedIke: () => NodeReport['placedIke'];
  /** What the control channel says of itself. */
  readonly channel: () => Pick<HintSource, 'channelDownMs' | 'hasChannelFailed'>;
  /** Sends on the control channel when it is open. */
  readonly send: (frame: AgentFrame) => boolean;
  readonly onEvent: (event: NodeEvent) => void;
  /** The desired state or the hints have changed. */
  readonly changed: () => void;
}

/** What this node knows: the desired state it holds, what charon showed last, and what it tells the coordinator. */
export class NodeState {
  readonly #deps: NodeDeps;
  readonly #outcomes: StateOutcomes;
  readonly #reports: ReportSender;
  readonly #registrations: Registrations;
  #hints: readonly LinkHint[] | undefined;
  #isUntold = true;
  #round: RoundResult | undefined;
  #dataPlane: DataPlane = 'kernel';
  /** Mediated connections that this charon begins nothing for any more, by name. */
  #held: ReadonlySet<string> = new Set();
  #locals: Locals = { of: undefined, held: this.#held, on: new Map() };
  #charonProblem: string | null = 'not connected to charon yet';
  /** What peers are told when the round under way is done. */
  #lost: DirectWishes['lost'] = [];
  #paths = new Map<string, Pick<LinkReport, 'path' | 'sinceMs'>>();

  constructor(deps: NodeDeps) {
    this.#deps = deps;
    this.#outcomes = new StateOutcomes(deps);
    this.#reports = new ReportSender(deps);
    this.#registrations = new Registrations(deps.clock);
  }

  get desired(): DesiredState | undefined {
    return this.local?.desired;
  }

  /** The same object as long as nothing changes. */
  get local(): LocalState | undefined {
    return this.#localOn(
      this.#dataPlane === 'kernel' && this.#deps.hasInterfaces() ? 'xfrm-interfaces' : this.#dataPlane,
    );
  }

  /** Whether the node has links whose traffic it would move by XFRM interfaces. */
  get wantsInterfaces(): boolean {
    if (this.#dataPlane !== 'kernel') return false;
    return (this.#localOn('xfrm-interfaces')?.steering ?? []).length > 0;
  }

  #localOn(dataPlane: DataPlane): LocalState | undefined {
    const of = this.#deps.keeper.held?.state;
    if (of === undefined) return undefined;
    const held = this.#held;
    if (this.#locals.of !== of || this.#locals.held !== held) this.#locals = { of, held, on: new Map() };
    const local =
      this.#locals.on.get(dataPlane) ?? localState(withSecondRegistrations(of, held), dataPlane, PROBE_PORT);
    this.#locals.on.set(dataPlane, local);
    return local;
  }

  /** False until charon was seen, and again when it is lost. */
  get isCharonThere(): boolean {
    return this.#round !== undefined;
  }

  get generations(): { readonly generation: number | null; readonly applied: number | null } {
    return { generation: this.#deps.keeper.held?.statement.generation ?? null, applied: this.#outcomes.applied };
  }

  /** What charon refuses that no connection's report can tell, in words. */
  get problems(): readonly string[] {
    return (this.#round?.refusals ?? []).flatMap(({ resource, message }) => {
      const what = UNREPORTED_RESOURCES.get(resource);
      return what === undefined ? [] : [`charon refuses ${what}: ${message}; it is tried again`];
    });
  }

  /** Which set-ups the paths want, given what charon shows. Mediated children wait for their turn; others need none. */
  readonly gate: Gate = (observed: ObservedState) => {
    const { desired } = this;
    if (desired === undefined) return NO_WISHES;
    const { directPaths, links, repairs } = this.#deps;
    const { ikeSas } = observed;
    const hintSource = this.#hintSource(this.#registrations.look(desired, ikeSas));
    const direct = directPaths.observed({
      desired,
      ikeSas,
      hints: effectiveHints(desired, hintSource),
      isSilent: (link, own) => links.isSilent(link, own),
      isProven: (link, own) => links.isProven(link, own),
      ownNat: this.#deps.ownNat(),
      logged: this.#deps.logged,
    });
    this.#lost = direct.lost;
    this.#noteHeld(direct.held);
    if (links.takeOwnSilence()) repairs.suspectAddress();
    const repair = repairs.decide({
      desired,
      ikeSas,
      localAddresses: this.#deps.localAddresses(),
      trying: direct.trying,
      outliveCharon: this.#dataPlane === 'kernel',
      silentHubs: links.silentHubs(desired, ikeSas),
      heardAtMs: links.heardAtMs,
    });
    const mediated = new Set<string>(
      mediatedLinks(desired).flatMap(({ ways }) => ways.map(({ connection }) => connection)),
    );
    const isMediated = (key: string): boolean =>
      key.startsWith('initiate ') && mediated.has(key.slice('initiate '.length).split('/')[0] ?? '');
    return {
      allows: (key) => (isMediated(key) ? direct.turns.has(key) && !repair.renews : true),
      worked: direct.worked,
      abandon: new Set([...direct.abandon, ...repair.abandon]),
      rekey: repair.rekey,
      takesDirect: this.#takingDirect(observed),
      lookInMs: Math.min(direct.changesInMs, repair.lookInMs, hintsChangeInMs(hintSource)),
    };
  };

  #hintSource(registrations: HintSource['registrations']): HintSource {
    const { channel, clock } = this.#deps;
    return { hints: this.#hints, isUntold: this.#isUntold, ...channel(), registrations, nowMs: clock.nowMs() };
  }

  /** Before the first round with a charon, which has these connections of ours. */
  charonFound(dataPlane: DataPlane, loaded: ReadonlySet<string>): void {
    this.#dataPlane = dataPlane;
    this.#held = heldBy(loaded);
  }

  #noteHeld(held: ReadonlySet<string>): void {
    const isNews = [...held].some((name) => !this.#held.has(name));
    if (!isNews) return;
    this.#held = new Set([...this.#held, ...held]);
    this.#deps.changed();
  }

  /** Links whose traffic belongs in their direct tunnel, among those whose traffic this node moves. */
  #takingDirect(observed: ObservedState): ReadonlySet<string> {
    const { directPaths, links } = this.#deps;
    const steering = this.local?.steering ?? [];
    const inDirect = linksInDirect(steering, observed);
    const taking = steering.filter(({ link }) => {
      const path = directPaths.paths.get(link);
      const isDirect = inDirect.has(link);
      const relay = links.reading(link, 'relay')?.health;
      return path !== undefined && takesDirect({ path, isDirect, relay });
    });
    return new Set(taking.map(({ link }) => link));
  }

  /** Takes in a finished round and tells the coordinator what is new. */
  roundDone(round: RoundResult): void {
    this.#round = round;
    this.#charonProblem = null;
    if (this.desired !== undefined) this.#deps.links.look(this.desired, round.observed.ikeSas);
    this.#tellLost();
    for (const step of round.done) this.#noteStep(step);
    const links = this.#linkReports();
    this.#notePaths(links);
    this.#outcomes.take(round, this.desired);
    this.#reports.send(this.#report(links));
    this.#takePostponed();
  }

  charonLost(problem: string): void {
    if (this.#charonProblem !== problem) this.#event('charon', problem);
    this.#charonProblem = problem;
    this.#round = undefined;
    this.#reports.send(this.report());
    this.#takePostponed();
  }

  hello(): AgentFrame {
    const { keeper, agentVersion } = this.#deps;
    const { epoch = null, generation = 0, digest = null } = keeper.held?.statement ?? {};
    const ikeCertificate = this.#deps.ikeCertificate();
    return {
      type: 'hello',
      protocol: PROTOCOL_VERSION,
      agentVersion,
      epoch,
      generation,
      digest,
      keys: [...keeper.keys],
      ...(ikeCertificate !== undefined && { ikeCertificate }),
    };
  }

  /** After each hello: the coordinator starts from nothing. */
  channelOpened(): void {
    this.#hints = undefined;
    this.#outcomes.forget();
    this.#reports.forget();
    if (this.#round !== undefined) this.#outcomes.take(this.#round, this.desired);
    this.#reports.send(this.report());
  }

  received(frame: CoordinatorFrame): void {
    switch (frame.type) {
      case 'links':
        this.#hints = frame.hints;
        this.#isUntold = false;
        return this.#deps.changed();
      case 'keys':
        return this.#introduce(frame);
      case 'unchanged':
      case 'delta':
      case 'snapshot':
        return this.#take(frame);
      case 'crl':
        return this.#takeCrl(frame.der);
    }
  }

  report(): NodeReport {
    return this.#report(this.#linkReports());
  }

  #report(links: readonly UndatedLink[]): NodeReport {
    const { clock, agentVersion } = this.#deps;
    const input = this.#reportInput();
    const observed = this.#round?.observed;
    const placedIke = this.#deps.placedIke();
    return {
      agentVersion,
      atMs: clock.nowMs(),
      charon: {
        connected: observed !== undefined,
        version: observed?.charonVersion ?? null,
        sinceMs: observed?.charonSinceMs ?? null,
        idleWorkers: observed?.idleWorkers ?? null,
        problem: this.#charonProblem,
      },
      generation: this.#outcomes.applied,
      nat: this.#deps.ownNat(),
      ...(placedIke !== undefined && { placedIke }),
      connections: input === undefined ? [] : connectionReports(input),
      links: links.map((link) => ({ ...link, sinceMs: this.#paths.get(link.id)?.sinceMs ?? null })),
    };
  }

  /** Not before the steps of the round: a peer ends what it is told of, and this end must have stopped using it. */
  #tellLost(): void {
    for (const { link, ikeSas } of this.#lost) this.#deps.links.tellLost(this.desired?.addresses, link, ikeSas);
    this.#lost = [];
  }

  #takeCrl(der: string): void {
    try {
      const taken = this.#deps.crl.take(der);
      if (taken === undefined) return;
      this.#event('crl', `list ${taken.number} of revoked certificates received`);
    } catch (error) {
      this.#event('crl', `list of revoked certificates: ${messageOf(error).slice(0, 900)}`);
    }
    this.#deps.changed();
  }

  /** A state that is refused changes nothing, and both ends are told why. */
  #take(frame: StateFrame): void {
    const receipt = this.#deps.keeper.receive(frame);
    const { epoch, generation } = claimOf(frame.signed);
    switch (receipt.kind) {
      case 'changed':
        return this.#taken(frame);
      case 'confirmed':
        // Under another generation it is another one to be confirmed, too.
        if (this.#round !== undefined) this.#outcomes.take(this.#round, this.desired);
        return;
      case 'resend':
        this.#deps.send({ type: 'resend', reason: receipt.message });
        return;
      case 'refused': {
        const { message } = receipt;
        this.#event('channel', `desired state ${generation} refused: ${message}`);
        const outcomes = [{ resource: 'state', ok: false, message }];
        this.#deps.send({ type: 'nack', epoch, generation, outcomes });
        return;
      }
    }
  }

  #taken(frame: StateFrame): void {
    this.#outcomes.begin();
    this.#event('channel', `desired state ${claimOf(frame.signed).generation} received`);
    this.#deps.changed();
  }

  /** A disk that was full may have room again, and a clock may be right again. The coordinator has sent the state, and does not do so a second time. */
  #takePostponed(): void {
    const frame = this.#deps.keeper.postponed;
    if (frame !== undefined && this.#deps.keeper.receive(frame).kind === 'changed') this.#taken(frame);
  }

  #introduce(frame: Extract<CoordinatorFrame, { type: 'keys' }>): void {
    const before = this.#deps.keeper.keys[0];
    const problem = this.#deps.keeper.introduce(frame);
    if (problem !== undefined) this.#event('channel', `new signing key refused: ${problem}`);
    else if (this.#deps.keeper.keys[0] !== before) this.#event('channel', 'the mesh has a new signing key');
  }

  #noteStep(step: Step): void {
    if (step.kind === 'initiate-child') {
      const link = this.desired?.links.find(({ direct }) =>
        direct.some(({ connection, child }) => connection === step.connection && child === step.child),
      );
      if (link !== undefined && this.#deps.directPaths.paths.has(link.id)) this.#deps.directPaths.initiated(link.id);
    }
    const connection = step.kind === 'load-conn' ? step.connection.name : 'connection' in step ? step.connection : null;
    const child = 'child' in step ? step.child : null;
    this.#deps.onEvent({ atMs: this.#deps.clock.nowMs(), kind: 'step', connection, child, message: step.kind });
  }

  #linkReports(): readonly UndatedLink[] {
    const input = this.#reportInput();
    return input === undefined ? [] : linkReports(input);
  }

  #notePaths(links: readonly UndatedLink[]): void {
    const before = this.#paths;
    this.#paths = new Map(
      links.map(({ id, peer, path }) => {
        const last = before.get(id);
        if (last?.path === path) return [id, last];
        if (last !== undefined || path !== 'none') this.#event('path', `${peer}: ${last?.path ?? 'none'} -> ${path}`);
        return [id, { path, sinceMs: this.#deps.clock.nowMs() }];
      }),
    );
  }

  #reportInput(): ReportInput | undefined {
    const { desired } = this;
    if (desired === undefined) return undefined;
    return {
      desired,
      ikeSas: this.#round?.observed.ikeSas,
      refusals: new Map(this.#round?.refusals.map(({ resource, message }) => [resource, message])),
      directPaths: this.#deps.directPaths.paths,
      takesDirect: this.#takesDirect(),
      causeOf: (link) => this.#deps.directPaths.causeOf(link),
      reading: (link, path) => this.#deps.links.reading(link, path),
      evidenceOf: (connection) => this.#deps.logged(connection)?.evidence,
    };
  }

  /** Of a link: where this node has its traffic go; undefined where charon decides by itself. */
  #takesDirect(): ReportInput['takesDirect'] {
    const steered = new Set<string>(this.local?.steering.map(({ link }) => link));
    return (link) => (steered.has(link) ? this.#round?.direct.has(link) : undefined);
  }

  #event(kind: string, message: string): void {
    this.#deps.onEvent({ atMs: this.#deps.clock.nowMs(), kind, connection: null, child: null, message });
  }
}
