import { createPrivateKey, randomBytes, X509Certificate } from 'node:crypto';
import { pause, type Clock } from '../clock.ts';
import { messageOf } from '../errors.ts';
import { certificatesIn } from '../identity/operator-ca.ts';
import { renew } from '../identity/renew.ts';
import { CERTIFICATE_PURPOSES } from '../identity/renewal.ts';
import type { Logger } from '../log.ts';
import type { Ledger } from '../reconcile/ledger.ts';
import { EvidenceBoard } from '../paths/evidence-board.ts';
import { Reconciler, type RoundResult, type Target } from '../reconcile/loop.ts';
import { ViciClient, type ViciLogLine } from '../vici/index.ts';
import type { AgentStatus, CertificateStatus, EnrollCommand, NetCheck, PingCommand, PingResult } from './api.ts';
import { charonCredentials, requestDigest, type CharonCredentials, type CharonMaterial } from './charon-adapter.ts';
import { followCharonLog } from './charon-log.ts';
import { CharonLoop } from './charon-loop.ts';
import type { AgentConfig } from './config.ts';
import { DirectPaths } from './direct-paths.ts';
import { enrolNode } from './enrol.ts';
import { EventLog } from './event-log.ts';
import { FrozenCharon } from './frozen-charon.ts';
import type { HeldCertificate } from './held-certificate.ts';
import { HeldCrl } from './held-crl.ts';
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
import { NodeState } from './node-state.ts';
import { PlacedIkeFiles, type PlacedCertificate, type PlacedIke } from './placed-ike.ts';
import { Renewals } from './renewals.ts';
import { Repairs } from './repairs.ts';
import { agentStatus } from './status.ts';
import { StateKeeper } from './state-keeper.ts';
import type { PinnedKeys } from './state-trust.ts';
import { storedIn, type NodeIdentity, type Stored } from './stored.ts';
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

/** After something went wrong with reading charon's log. */
const LOG_RETRY_MS = 30_000;

/** One node put together. It never ends a tunnel by ending itself. */
export class Agent {
  readonly #config: AgentConfig;
  readonly #deps: AgentDeps;
  readonly #stored: Stored;
  readonly #events = new EventLog();
  readonly #directPaths: DirectPaths;
  readonly #repairs: Repairs;
  readonly #loopback: MeshLoopback;
  readonly #links: LinkWatch;
  readonly #evidence = new EvidenceBoard();
  readonly #keeper: StateKeeper;
  readonly #node: NodeState;
  readonly #charonLoop: CharonLoop;
  readonly #network: NodeNetwork;
  readonly #crl: HeldCrl;
  /** Undefined where the operator places no certificates. */
  readonly #placed: PlacedIkeFiles | undefined;
  readonly #renewals: Renewals;
  readonly #channel: NodeChannel;
  #identity: NodeIdentity | undefined;
  #credentials: CharonCredentials | undefined;
  #diskProblem: string | null = null;
  #identityProblem: string | null = null;
  #isEnrolling = false;
  /** Aborts when the agent ends. */
  readonly #stop = new AbortController();

  /** With an identity that cannot be used it is as good as not enrolled: charon is left as it is. */
  constructor(config: AgentConfig, deps: AgentDeps) {
    this.#config = config;
    this.#deps = deps;
    this.#stored = storedIn(config.stateDir);
    this.#directPaths = new DirectPaths(deps);
    this.#repairs = this.#makeRepairs();
    this.#loopback = new MeshLoopback(() => deps.clock.monotonicMs());
    this.#links = new LinkWatch({ ...deps, onChange: () => this.#charonLoop.trigger() });
    this.#placed = this.#makePlaced();
    this.#crl = new HeldCrl(this.#stored.crl, () => this.#identity?.ca);
    this.#setIdentity(this.#stored.identity.readIfUsable((error) => this.#noteLostIdentity(error)));
    this.#restoreCrl();
    this.#keeper = new StateKeeper({
      clock: deps.clock,
      desiredFile: this.#stored.desired,
      trustFile: this.#stored.trust,
      self: this.#identity,
      onUnusable: (error) => this.#noteUnusable(error),
    });
    this.#node = this.#makeNode();
    this.#evidence.keep(this.#node.desired?.connections ?? []);
    this.#charonLoop = this.#makeCharonLoop();
    this.#network = this.#makeNetwork();
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
        enroll: (command) => this.#enroll(command, signal),
        renew: () => this.#renew(signal),
        ping: (command) => this.#ping(command),
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
    });
    const loops = [
      this.#charonLoop.run(running),
      this.#channel.run(running),
      this.#renewals.run(running),
      this.#network.run(running),
      monitor.run(running),
      this.#readLog(running),
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
  async #readLog(signal: AbortSignal): Promise<void> {
    const { clock, random, logger } = this.#deps;
    await using client = new ViciClient({ socketPath: this.#config.viciSocket, random });
    const onLine = (line: ViciLogLine): void => {
      // A try that hangs is given to the other end at once. The rest only explains, and anybody can cause it.
      if (this.#evidence.read(line, clock.monotonicMs())?.code === 'stuck-in-charon') this.#charonLoop.trigger();
    };
    while (!signal.aborted) {
      try {
        await followCharonLog({ client, onLine, onGap: () => undefined }, signal);
      } catch (error) {
        logger.error({ err: error }, 'log of charon not readable');
        await pause(LOG_RETRY_MS, signal);
      }
    }
  }

  /** What cannot be read is asked of the coordinator again, or given to charon again. */
  #noteUnusable(error: Error): void {
    this.#deps.logger.error({ err: error }, 'state file not usable');
  }

  #noteLostIdentity(error: Error): void {
    this.#noteUnusable(error);
    this.#identityProblem = `the keys and certificates of this node cannot be used: ${error.message}; enrol it again (agentctl enroll --again)`;
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
      localAddresses,
      ownNat: () => this.#network.last?.natKind ?? 'unknown',
      logged: (connection) => this.#evidence.latest(connection),
      crl: this.#crl,
      ikeCertificate: () => this.#identity?.ike?.certificate,
      placedIke: () => this.#placed?.own,
      channelDownMs: () => this.#channel.downMs,
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
    const reconciler = new Reconciler({
      clock,
      random,
      ledger: this.#stored.ledger.readIfUsable((error) => this.#noteUnusable(error)),
      saveLedger: (ledger) => this.#saveLedger(ledger),
    });
    return new CharonLoop({
      viciSocket: this.#config.viciSocket,
      answerMs: CHARON_ANSWER_MS,
      resyncMs: this.#config.resyncSeconds * 1000,
      clock,
      bootMs,
      random,
      logger: logger.child({ component: 'charon' }),
      reconciler,
      target: () => this.#target(),
      material: () => this.#material(),
      prepare: () => {
        this.#lookAtPlaced();
        return this.#holdMeshAddresses();
      },
      gate: (observed) => this.#node.gate(observed),
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

  /** Before charon is told of tunnels that carry them: it wants to find an address of each local selector. */
  async #holdMeshAddresses(): Promise<void> {
    const { desired } = this.#node;
    if (desired === undefined) return;
    const { addresses } = desired;
    await this.#loopback.hold(addresses === undefined ? [] : [addresses.mesh, addresses.relay]);
  }

  #makePlaced(): PlacedIkeFiles | undefined {
    const { ike: files } = this.#config;
    if (files === undefined) return undefined;
    const localIds = (): string[] => [...new Set(this.#node.desired?.connections.map(({ localId }) => localId))];
    return new PlacedIkeFiles({ files, clock: this.#deps.clock, localIds });
  }

  #lookAtPlaced(): void {
    if (this.#placed?.look() === true) this.#setIdentity(this.#identity);
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
    const identity = this.#identity;
    const isLoaded = !round.notLoaded.includes('credentials');
    if (identity?.ike !== undefined && isLoaded && round.target?.credentialsDigest === this.#credentials?.digest) {
      this.#renewals.worked('ike', identity.ike.key);
    }
  }

  #makeRenewals(): Renewals {
    const { clock, random, logger } = this.#deps;
    return new Renewals({
      clock,
      random,
      logger: logger.child({ component: 'certificates' }),
      keyType: this.#config.keyType,
      purposes: this.#isIkePlaced ? ['channel'] : CERTIFICATE_PURPOSES,
      identity: () => this.#identity,
      save: (identity) => {
        this.#stored.identity.write(identity);
        this.#setIdentity(identity);
      },
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
      identity: () => this.#identity,
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

  /** Without credentials that can be used, what has no place any more goes all the same. */
  #target(): Target | undefined {
    const { desired } = this.#node;
    const credentials = this.#credentials;
    const crl = this.#crl.current;
    if (desired === undefined || this.#identity === undefined) return undefined;
    return {
      desired,
      credentialsDigest: credentials?.digest,
      ...(crl !== undefined && { crlDigest: crl.digest }),
      digestOf: (connection) => credentials && requestDigest(connection, credentials),
    };
  }

  async #enroll(command: EnrollCommand, signal: AbortSignal): Promise<{ node: string; mesh: string }> {
    if (this.#identity !== undefined && command.again !== true) {
      const { node, mesh } = this.#identity;
      const message = `this node is enrolled already, as ${node} in mesh ${mesh}; --again makes new keys and replaces that`;
      throw new LocalRefusal(409, 'enrolled', message);
    }
    if (this.#isEnrolling) throw new LocalRefusal(409, 'enrolling', 'another enrolment is under way');
    this.#isEnrolling = true;
    try {
      const deps = {
        stored: this.#stored,
        keyType: this.#config.keyType,
        isIkePlaced: this.#isIkePlaced,
        clock: this.#deps.clock,
        pinned: (keys: PinnedKeys) => this.#keeper.pinned(keys),
        onUnusable: (error: Error) => this.#noteUnusable(error),
      };
      const { identity, trust } = await enrolNode(deps, command, signal);
      this.#identityProblem = null;
      this.#keeper.enrolled(trust);
      this.#setIdentity(identity);
      this.#restoreCrl();
    } finally {
      this.#isEnrolling = false;
    }
    this.#renewals.enrolled();
    this.#channel.identityChanged();
    this.#charonLoop.trigger();
    const { node = '', mesh = '' } = this.#identity ?? {};
    return { node, mesh };
  }

  async #renew(signal: AbortSignal): Promise<{ readonly certificates: readonly CertificateStatus[] }> {
    if (this.#identity === undefined) throw new LocalRefusal(409, 'not-enrolled', 'this node is not enrolled yet');
    return { certificates: await this.#renewals.renewNow(signal) };
  }

  async #ping({ peer }: PingCommand): Promise<PingResult> {
    const links = this.#node.desired?.links ?? [];
    const link = links.find((candidate) => candidate.peer === peer);
    if (link === undefined) {
      const known =
        links.length === 0 ? 'it has no links' : `its links lead to ${links.map((each) => each.peer).join(', ')}`;
      throw new LocalRefusal(404, 'no-such-link', `this node has no link to "${peer}"; ${known}`);
    }
    return { peer, ...(await this.#links.ping(link.id)) };
  }

  #setIdentity(identity: NodeIdentity | undefined): void {
    this.#identity = identity;
    this.#credentials = identity === undefined ? undefined : this.#credentialsOf(identity);
  }

  /** The node shows a certificate in IKE that the operator places, and none of the mesh's CA. */
  get #isIkePlaced(): boolean {
    return this.#placed?.own !== undefined;
  }

  /** Undefined while nothing of what the operator is to place could be used: with less, connections would be loaded again. */
  #credentialsOf(identity: NodeIdentity): CharonCredentials | undefined {
    const placed = this.#placed?.current;
    return this.#placed !== undefined && placed === undefined ? undefined : credentialsOf(identity, placed);
  }

  /** The one that the operator had placed when the node was enrolled is not named any more. */
  #missingIke(): readonly string[] {
    if (this.#identity === undefined || this.#identity.ike !== undefined || this.#isIkePlaced) return [];
    return [
      'this node has no certificate for IKE, because one was placed when it was enrolled: nothing is loaded into charon, and no tunnel is set up; name one in agent.yaml again (ike.certificate), or run agentctl enroll --again',
    ];
  }

  #material(): CharonMaterial {
    return { credentials: this.#credentials, crl: this.#crl.current?.der };
  }

  /**
   * From disk, where the mesh CA may be another one than before. Without it the node waits for the coordinator's next word;
   * peers are told by their desired state as well.
   */
  #restoreCrl(): void {
    try {
      this.#crl.restore(this.#stored.crl.readIfUsable((error) => this.#noteUnusable(error)));
    } catch (error) {
      this.#deps.logger.warn({ err: error }, 'list of revoked certificates not usable');
    }
  }

  async #netCheck(signal: AbortSignal): Promise<NetCheck> {
    const check = await this.#network.check(signal);
    if (check !== undefined) return check;
    const message =
      'there is nothing to ask: the desired state names no mediator and no hub that this node connects to (on a mediator or hub itself that is as it should be)';
    throw new LocalRefusal(409, 'no-targets', message);
  }

  async #status(): Promise<AgentStatus> {
    if (this.#node.isCharonThere) await this.#charonLoop.refresh(FRESH_WITHIN_MS);
    const status = agentStatus({
      report: this.#node.report(),
      hostProblems: [
        ...this.#keeper.problems,
        ...this.#node.problems,
        ...[this.#identityProblem, this.#diskProblem, this.#loopback.problem, this.#links.problem].filter(
          (each) => each !== null,
        ),
      ],
      generations: this.#node.generations,
      node: this.#identity?.node ?? null,
      mesh: this.#identity?.mesh ?? null,
      channel: this.#channel.status,
      certificates: [...this.#renewals.status, ...(this.#placed?.status ?? [])],
    });
    return {
      ...status,
      problems: [
        ...status.problems,
        ...this.#renewals.problems,
        ...(this.#placed?.problems ?? []),
        ...this.#missingIke(),
        ...this.#network.problems,
      ],
    };
  }
}

/** Undefined for a node that has no certificate for IKE. */
function credentialsOf(
  { ike, ca, chain = '' }: NodeIdentity,
  placed: PlacedIke | undefined,
): CharonCredentials | undefined {
  const own = placed?.own ?? (ike && shownOf(ike));
  if (own === undefined) return undefined;
  const above = certificatesIn(chain).map((pem) => new X509Certificate(pem).raw);
  return charonCredentials({
    privateKey: own.privateKey,
    own: own.certificate,
    ca: new X509Certificate(ca).raw,
    ...(placed !== undefined && { otherCa: placed.issuer }),
    chain: [...above, ...(placed?.above ?? [])],
  });
}

/** DER and PKCS#8. */
function shownOf({ key, certificate }: HeldCertificate): Pick<PlacedCertificate, 'certificate' | 'privateKey'> {
  return {
    certificate: new X509Certificate(certificate).raw,
    privateKey: createPrivateKey(key).export({ type: 'pkcs8', format: 'der' }),
  };
}
