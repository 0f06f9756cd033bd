import { randomBytes } from 'node:crypto';
import { pause, type Clock } from '../clock.ts';
import { messageOf } from '../errors.ts';
import { renew } from '../identity/renew.ts';
import { CERTIFICATE_PURPOSES } from '../identity/renewal.ts';
import type { DesiredLink } from '../ike/desired-state.ts';
import type { Logger } from '../log.ts';
import type { Ledger } from '../reconcile/ledger.ts';
import { EvidenceBoard } from '../paths/evidence-board.ts';
import { Reconciler, type RoundResult, type Target } from '../reconcile/loop.ts';
import type { ViciLogLine } from '../vici/index.ts';
import type {
  AgentStatus,
  CertificateStatus,
  NetCheck,
  PingCommand,
  PingResult,
  ReconnectCommand,
  ReconnectResult,
} from './api.ts';
import { readCharonLog } from './charon-log.ts';
import { CharonLoop } from './charon-loop.ts';
import type { AgentConfig } from './config.ts';
import { DirectPaths } from './direct-paths.ts';
import type { Enrolled } from './enrol.ts';
import { Enrolments } from './enrolments.ts';
import { EventLog } from './event-log.ts';
import { FrozenCharon } from './frozen-charon.ts';
import { LinkWatch } from './link-watch.ts';
import { localAddresses } from './local-addresses.ts';
import { LocalRefusal } from './local-server.ts';
import { openLocalSockets } from './local-sockets.ts';
import { MeshLoopback } from './mesh-loopback.ts';
import { NetworkMonitor } from './network-monitor.ts';
import { hasIke } from './netcheck/ike-question.ts';
import { NodeNetwork } from './netcheck/node-network.ts';
import { systemNetwork } from './netcheck/udp-network.ts';
import { NodeChannel } from './node-channel.ts';
import { NodeCredentials } from './node-credentials.ts';
import { NodeState } from './node-state.ts';
import { PathInterfaces } from './path-interfaces.ts';
import { PathRoutes } from './path-routes.ts';
import { PlacedIkeFiles } from './placed-ike.ts';
import { reconnectRefusal } from './reconnect.ts';
import { Renewals } from './renewals.ts';
import { Repairs } from './repairs.ts';
import { agentStatus } from './status.ts';
import { StateKeeper } from './state-keeper.ts';
import { storedIn, type Stored } from './stored.ts';
import { restartService, SYSTEMCTL } from './systemctl.ts';

export interface AgentDeps {
  readonly clock: Clock;
  /** Ms since the machine booted. */
  readonly bootMs: () => number;
  readonly random: () => number;
  readonly logger: Logger;
  readonly agentVersion: string;
  /** The local sockets answer; whether the coordinator or charon do plays no part. */
  readonly onReady: () => void;
}

/** A status waits this long for a fresh look at charon, and then shows the last one. */
const FRESH_WITHIN_MS = 2000;

/** charon answers from memory: what takes longer is as good as no answer. */
const CHARON_ANSWER_MS = 10_000;

/** One node put together. It never ends a tunnel by ending itself. */
export class Agent {
  readonly #config: AgentConfig;
  readonly #deps: AgentDeps;
  readonly #stored: Stored;
  readonly #events = new EventLog();
  readonly #directPaths: DirectPaths;
  readonly #repairs: Repairs;
  readonly #loopback: MeshLoopback;
  readonly #interfaces: PathInterfaces;
  readonly #routes: PathRoutes;
  readonly #links: LinkWatch;
  readonly #evidence = new EvidenceBoard();
  readonly #keeper: StateKeeper;
  readonly #node: NodeState;
  readonly #reconciler: Reconciler;
  readonly #charonLoop: CharonLoop;
  readonly #network: NodeNetwork;
  readonly #credentials: NodeCredentials;
  readonly #enrolments: Enrolments;
  readonly #renewals: Renewals;
  readonly #channel: NodeChannel;
  #diskProblem: string | null = null;
  /** Aborts when the agent ends. */
  readonly #stop = new AbortController();

  constructor(config: AgentConfig, deps: AgentDeps) {
    this.#config = config;
    this.#deps = deps;
    this.#stored = storedIn(config.stateDir);
    this.#directPaths = new DirectPaths(deps);
    this.#repairs = this.#makeRepairs();
    this.#loopback = new MeshLoopback(() => deps.clock.monotonicMs());
    this.#interfaces = new PathInterfaces(() => deps.clock.monotonicMs());
    this.#routes = this.#makeRoutes();
    this.#links = new LinkWatch({ ...deps, onChange: () => this.#charonLoop.trigger() });
    this.#credentials = this.#makeCredentials();
    this.#keeper = new StateKeeper({
      clock: deps.clock,
      desiredFile: this.#stored.desired,
      trustFile: this.#stored.trust,
      self: this.#credentials.identity,
      onUnusable: (error) => this.#noteUnusable(error),
    });
    this.#node = this.#makeNode();
    this.#evidence.keep(this.#node.desired?.connections ?? []);
    this.#reconciler = new Reconciler({
      ...deps,
      ledger: this.#stored.ledger.readIfUsable((error) => this.#noteUnusable(error)),
      saveLedger: (ledger) => this.#saveLedger(ledger),
    });
    this.#charonLoop = this.#makeCharonLoop();
    this.#network = this.#makeNetwork();
    this.#enrolments = this.#makeEnrolments();
    this.#renewals = this.#makeRenewals();
    this.#channel = this.#makeChannel();
  }

  /** Runs until the signal aborts; rejects only when the local sockets cannot be served. */
  async run(signal: AbortSignal): Promise<void> {
    const api = await openLocalSockets(
      this.#config,
      {
        status: () => this.#status(),
        keptEvents: () => this.#events.kept(),
        followEvents: (stop) => this.#events.follow(stop),
        enroll: (command) => this.#enrolments.enroll(command, signal),
        renew: () => this.#renew(signal),
        ping: (command) => this.#ping(command),
        reconnect: (command) => this.#reconnect(command),
        netCheck: () => this.#netCheck(signal),
      },
      this.#deps.logger,
    );
    const running = AbortSignal.any([signal, this.#stop.signal]);
    const monitor = new NetworkMonitor({
      clock: this.#deps.clock,
      random: this.#deps.random,
      logger: this.#deps.logger.child({ component: 'network' }),
      onChange: () => this.#networkChanged(running),
      onOwnTouched: () => this.#ownNetworkTouched(),
    });
    const loops = [
      this.#charonLoop.run(running),
      this.#channel.run(running),
      this.#renewals.run(running),
      this.#network.run(running),
      monitor.run(running),
      this.#explainByLog(running),
    ];
    try {
      this.#deps.onReady();
      await Promise.all(loops);
    } finally {
      // A loop that failed takes the others along: half an agent is worse than one that systemd starts again.
      this.#stop.abort();
      await Promise.allSettled(loops);
      await this.#links[Symbol.asyncDispose]();
      await api[Symbol.asyncDispose]();
    }
  }

  /** What charon logs explains what does not come up; without it the rest goes on as well. */
  #explainByLog(signal: AbortSignal): Promise<void> {
    const { clock, random, logger } = this.#deps;
    const onLine = (line: ViciLogLine): void => {
      // A try that hangs is given to the other end at once. The rest only explains, and anybody can cause it.
      if (this.#evidence.read(line, clock.monotonicMs())?.code === 'stuck-in-charon') this.#charonLoop.trigger();
    };
    return readCharonLog({ viciSocket: this.#config.viciSocket, random, logger, onLine }, signal);
  }

  /** What cannot be read is asked of the coordinator again, or given to charon again. */
  #noteUnusable(error: Error): void {
    this.#deps.logger.error({ err: error }, 'state file not usable');
  }

  /** Peers are told of the address that this node is registered from, which may be another now. */
  #networkChanged(signal: AbortSignal): void {
    const message = 'the addresses or the default route of this machine have changed';
    this.#events.add({ atMs: this.#deps.clock.nowMs(), kind: 'network', connection: null, child: null, message });
    this.#repairs.networkChanged();
    void this.#network.check(signal).catch(() => undefined);
    this.#directPaths.networkChanged();
    this.#charonLoop.trigger();
  }

  /** Without it a new agent would load everything again: worth a word in the status, but no reason to stop. */
  #saveLedger(ledger: Ledger): boolean {
    try {
      this.#stored.ledger.write(ledger);
      this.#diskProblem = null;
      return true;
    } catch (error) {
      this.#deps.logger.error({ err: error }, 'ledger not written');
      this.#diskProblem = `nothing can be written to disk: ${messageOf(error)}`;
      return false;
    }
  }

  #makeRepairs(): Repairs {
    const { clock, random } = this.#deps;
    return new Repairs({
      clock,
      random,
      knock: (endpoint) => hasIke({ network: systemNetwork, randomBytes, pause }, endpoint, this.#stop.signal),
      onAnswer: () => this.#charonLoop.trigger(),
    });
  }

  #makeNode(): NodeState {
    return new NodeState({
      clock: this.#deps.clock,
      agentVersion: this.#deps.agentVersion,
      keeper: this.#keeper,
      directPaths: this.#directPaths,
      links: this.#links,
      repairs: this.#repairs,
      hasInterfaces: () => this.#interfaces.areThere,
      localAddresses,
      ownNat: () => this.#network.last?.natKind ?? 'unknown',
      logged: (connection) => this.#evidence.latest(connection),
      crl: this.#credentials.crl,
      ikeCertificate: () => this.#credentials.identity?.ike?.certificate,
      placedIke: () => this.#credentials.placedIke,
      channel: () => ({
        channelDownMs: this.#channel.downMs,
        hasChannelFailed: this.#channel.status.problem !== null,
      }),
      send: (frame) => this.#channel.send(frame),
      onEvent: (event) => this.#events.add(event),
      changed: () => {
        this.#evidence.keep(this.#node.desired?.connections ?? []);
        this.#charonLoop.trigger();
        this.#network.desiredChanged();
      },
    });
  }

  #makeCharonLoop(): CharonLoop {
    const { clock, random, bootMs, logger } = this.#deps;
    return new CharonLoop({
      viciSocket: this.#config.viciSocket,
      answerMs: CHARON_ANSWER_MS,
      resyncMs: this.#config.resyncSeconds * 1000,
      clock,
      bootMs,
      random,
      logger: logger.child({ component: 'charon' }),
      reconciler: this.#reconciler,
      target: () => this.#target(),
      material: () => this.#credentials.material,
      routes: this.#routes,
      prepare: () => {
        this.#credentials.lookAtPlaced();
        return this.#holdOwnNetwork();
      },
      gate: (observed) => this.#node.gate(observed),
      onFound: (dataPlane, loaded) => this.#node.charonFound(dataPlane, loaded),
      frozen: this.#makeFrozenCharon(),
      onRound: (round) => this.#roundDone(round),
      onLost: (problem) => this.#node.charonLost(problem),
      onEvent: (event) => this.#events.add(event),
    });
  }

  #makeFrozenCharon(): FrozenCharon {
    const { viciSocket, restartFrozenCharon } = this.#config;
    const { clock, bootMs, logger } = this.#deps;
    return new FrozenCharon({
      viciSocket,
      service: restartFrozenCharon === 'never' ? undefined : restartFrozenCharon,
      restart: (service) => restartService(service, SYSTEMCTL),
      restartFile: this.#stored.charonRestart,
      lastRestart: this.#stored.charonRestart.readIfUsable((error) => this.#noteUnusable(error)),
      bootMs,
      nowMs: () => clock.nowMs(),
      logger: logger.child({ component: 'charon' }),
      onEvent: (event) => this.#events.add(event),
    });
  }

  /**
   * Before charon is told of tunnels that carry the mesh addresses: it wants to find an address of each local selector. And
   * before it is decided how traffic is moved.
   */
  async #holdOwnNetwork(): Promise<void> {
    const { desired } = this.#node;
    if (desired === undefined) return;
    const { addresses } = desired;
    await this.#loopback.hold(addresses === undefined ? [] : [addresses.mesh, addresses.relay]);
    await this.#interfaces.hold(this.#node.wantsInterfaces ? addresses?.mesh : undefined);
  }

  /** Until it is as it was, what is for a peer may leave this machine in clear text. */
  #ownNetworkTouched(): void {
    this.#interfaces.suspect();
    this.#routes.suspect();
    this.#charonLoop.trigger();
  }

  #makeRoutes(): PathRoutes {
    return new PathRoutes({
      monotonicMs: () => this.#deps.clock.monotonicMs(),
      hasInterfaces: () => this.#interfaces.areThere,
      own: () => this.#node.desired?.addresses?.mesh,
      onRefused: () => this.#interfaces.suspect(),
    });
  }

  #makeCredentials(): NodeCredentials {
    const { ike: files } = this.#config;
    const { clock, logger } = this.#deps;
    const localIds = (): string[] => [...new Set(this.#node.desired?.connections.map(({ localId }) => localId))];
    return new NodeCredentials({
      stored: this.#stored,
      placed: files && new PlacedIkeFiles({ files, clock, localIds }),
      onUnusable: (error) => this.#noteUnusable(error),
      logger,
    });
  }

  #makeNetwork(): NodeNetwork {
    const { clock, random, logger } = this.#deps;
    return new NodeNetwork({
      clock,
      random,
      randomBytes,
      network: systemNetwork,
      reflectorPorts: this.#config.reflectorPorts,
      logger: logger.child({ component: 'network' }),
      desired: () => this.#node.desired,
      onEvent: (event) => this.#events.add(event),
    });
  }

  #roundDone(round: RoundResult): void {
    this.#node.roundDone(round);
    const { identity } = this.#credentials;
    const isLoaded = !round.notLoaded.includes('credentials');
    if (identity?.ike !== undefined && isLoaded && this.#credentials.areIn(round.target)) {
      this.#renewals.worked('ike', identity.ike.key);
    }
  }

  #makeEnrolments(): Enrolments {
    return new Enrolments({
      stored: this.#stored,
      keyType: this.#config.keyType,
      isIkePlaced: this.#credentials.placedIke !== undefined,
      clock: this.#deps.clock,
      pinned: (keys) => this.#keeper.pinned(keys),
      onUnusable: (error) => this.#noteUnusable(error),
      identity: () => this.#credentials.identity,
      enrolled: (enrolled) => this.#enrolled(enrolled),
    });
  }

  #enrolled({ identity, trust }: Enrolled): void {
    this.#keeper.enrolled(trust);
    this.#credentials.enrolled(identity);
    this.#renewals.enrolled();
    this.#channel.identityChanged();
    this.#charonLoop.trigger();
  }

  #makeRenewals(): Renewals {
    const { clock, random, logger } = this.#deps;
    return new Renewals({
      clock,
      random,
      logger: logger.child({ component: 'certificates' }),
      keyType: this.#config.keyType,
      purposes: this.#credentials.placedIke === undefined ? CERTIFICATE_PURPOSES : ['channel'],
      identity: () => this.#credentials.identity,
      save: (identity) => this.#credentials.save(identity),
      changed: (purpose) => {
        if (purpose === 'channel') this.#channel.identityChanged();
        // With either the mesh's CA may have been renewed.
        this.#charonLoop.trigger();
      },
      onEvent: (event) => this.#events.add(event),
      renew,
    });
  }

  #makeChannel(): NodeChannel {
    const { clock, random, logger } = this.#deps;
    return new NodeChannel({
      clock,
      random,
      logger: logger.child({ component: 'channel' }),
      identity: () => this.#credentials.identity,
      events: this.#events,
      hello: () => this.#node.hello(),
      opened: ({ channel }) => {
        this.#renewals.worked('channel', channel.key);
        this.#node.channelOpened();
      },
      refused: ({ channel }) => this.#renewals.refused(channel.key),
      received: (frame) => this.#node.received(frame),
    });
  }

  #target(): Target | undefined {
    const { local } = this.#node;
    return local && this.#credentials.targetOf(local);
  }

  async #renew(signal: AbortSignal): Promise<{ readonly certificates: readonly CertificateStatus[] }> {
    if (this.#credentials.identity === undefined)
      throw new LocalRefusal(409, 'not-enrolled', 'this node is not enrolled yet');
    return { certificates: await this.#renewals.renewNow(signal) };
  }

  async #ping({ peer }: PingCommand): Promise<PingResult> {
    return { peer, ...(await this.#links.ping(this.#linkTo(peer).id)) };
  }

  /** Resolves when the direct tunnel is given up: this end sends nothing through it any more, and the peer is told. */
  async #reconnect({ peer }: ReconnectCommand): Promise<ReconnectResult> {
    await this.#lookAtCharon();
    const { id } = this.#linkTo(peer);
    const { atMs: givenUpAtMs, links } = this.#node.report();
    const link = links.find((candidate) => candidate.id === id);
    if (link === undefined) throw new TypeError(`a report has every link of the desired state, and not ${id}`);
    const refusal = reconnectRefusal(link);
    if (refusal !== undefined) throw refusal;
    const message = `${peer}: the direct tunnel is given up, as agentctl reconnect has asked for`;
    this.#events.add({ atMs: givenUpAtMs, kind: 'path', connection: null, child: null, message });
    this.#directPaths.reconnect(id);
    await this.#lookAtCharon();
    return { peer, givenUpAtMs, directSinceMs: link.sinceMs };
  }

  #linkTo(peer: string): DesiredLink {
    const links = this.#node.desired?.links ?? [];
    const link = links.find((candidate) => candidate.peer === peer);
    if (link !== undefined) return link;
    const known =
      links.length === 0 ? 'it has no links' : `its links lead to ${links.map((each) => each.peer).join(', ')}`;
    throw new LocalRefusal(404, 'no-such-link', `this node has no link to "${peer}"; ${known}`);
  }

  async #netCheck(signal: AbortSignal): Promise<NetCheck> {
    const check = await this.#network.check(signal);
    if (check !== undefined) return check;
    const message =
      'there is nothing to ask: the desired state names no mediator and no hub that this node connects to (on a mediator or hub itself that is as it should be)';
    throw new LocalRefusal(409, 'no-targets', message);
  }

  async #lookAtCharon(): Promise<void> {
    if (this.#node.isCharonThere) await this.#charonLoop.refresh(FRESH_WITHIN_MS);
  }

  async #status(): Promise<AgentStatus> {
    await this.#lookAtCharon();
    const credentials = this.#credentials;
    const status = agentStatus({
      report: this.#node.report(),
      hostProblems: [
        ...this.#keeper.problems,
        ...this.#node.problems,
        ...[
          credentials.identityProblem,
          this.#diskProblem,
          this.#loopback.problem,
          this.#interfaces.problem,
          this.#links.problem,
        ].filter((each) => each !== null),
      ],
      generations: this.#node.generations,
      node: credentials.identity?.node ?? null,
      mesh: credentials.identity?.mesh ?? null,
      channel: this.#channel.status,
      certificates: [...this.#renewals.status, ...credentials.status],
    });
    return {
      ...status,
      problems: [...status.problems, ...this.#renewals.problems, ...credentials.problems, ...this.#network.problems],
    };
  }
}
