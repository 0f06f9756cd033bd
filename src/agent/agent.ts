import { createPrivateKey, X509Certificate } from 'node:crypto';
import type { Clock } from '../clock.ts';
import { messageOf } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { Ledger } from '../reconcile/ledger.ts';
import { Reconciler, type Target } from '../reconcile/loop.ts';
import type { AgentStatus, EnrollCommand } from './api.ts';
import { ControlChannel } from './channel.ts';
import { charonCredentials, requestDigest, type CharonCredentials } from './charon-adapter.ts';
import { CharonLoop } from './charon-loop.ts';
import type { AgentConfig } from './config.ts';
import { DirectPaths } from './direct-paths.ts';
import { enrolNode } from './enrol.ts';
import type { StateFileError } from './disk.ts';
import { EventLog } from './event-log.ts';
import { LocalRefusal, serveLocalApi } from './local-server.ts';
import { NodeState } from './node-state.ts';
import { agentStatus } from './status.ts';
import { storedIn, type NodeIdentity, type Stored } from './stored.ts';

export interface AgentDeps {
  readonly clock: Clock;
  /** Ms since the machine booted. */
  readonly bootMs: () => number;
  readonly random: () => number;
  readonly logger: Logger;
  readonly agentVersion: string;
  /** The local socket answers; whether the coordinator or charon do plays no part. */
  readonly onReady: () => void;
}

/** A status waits this long for a fresh look at charon, and then shows the last one. */
const FRESH_WITHIN_MS = 2000;

/** Events sent in one frame. */
const EVENTS_PER_FRAME = 500;

/** One node put together. It never ends a tunnel by ending itself. */
export class Agent {
  readonly #config: AgentConfig;
  readonly #deps: AgentDeps;
  readonly #stored: Stored;
  readonly #events = new EventLog();
  readonly #directPaths: DirectPaths;
  readonly #node: NodeState;
  readonly #charonLoop: CharonLoop;
  #identity: NodeIdentity | undefined;
  #credentials: CharonCredentials | undefined;
  #channel: ControlChannel | undefined;
  #diskProblem: string | null = null;
  #isEnrolling = false;
  #enrolled: () => void = () => undefined;

  /** Throws a StateFileError when the node's identity is on disk but cannot be used. */
  constructor(config: AgentConfig, deps: AgentDeps) {
    this.#config = config;
    this.#deps = deps;
    this.#stored = storedIn(config.stateDir);
    this.#directPaths = new DirectPaths(deps);
    this.#setIdentity(this.#stored.identity.read());
    this.#node = this.#makeNode();
    this.#charonLoop = this.#makeCharonLoop();
  }

  /** Runs until the signal aborts; rejects only when the local socket cannot be served. */
  async run(signal: AbortSignal): Promise<void> {
    const api = await serveLocalApi(
      this.#config.socket,
      {
        status: () => this.#status(),
        keptEvents: () => this.#events.kept(),
        followEvents: (stop) => this.#events.follow(stop),
        enroll: (command) => this.#enroll(command, signal),
      },
      this.#deps.logger,
    );
    const stop = new AbortController();
    const running = AbortSignal.any([signal, stop.signal]);
    const loops = [this.#charonLoop.run(running), this.#runChannel(running)];
    try {
      this.#deps.onReady();
      await Promise.all(loops);
    } finally {
      // A loop that failed takes the other one along: half an agent is worse than one that systemd starts again.
      stop.abort();
      await Promise.allSettled(loops);
      await api[Symbol.asyncDispose]();
    }
  }

  /** What cannot be read is asked of the coordinator again, or given to charon again. */
  #noteUnusable(error: StateFileError): void {
    this.#deps.logger.error({ err: error }, 'state file not usable');
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

  #makeNode(): NodeState {
    return new NodeState({
      clock: this.#deps.clock,
      agentVersion: this.#deps.agentVersion,
      desiredFile: this.#stored.desired,
      held: this.#stored.desired.readIfUsable((error) => this.#noteUnusable(error)),
      directPaths: this.#directPaths,
      identity: () => this.#identity,
      channelDownMs: () => this.#channel?.downMs ?? Number.POSITIVE_INFINITY,
      send: (frame) => this.#channel?.send(frame) ?? false,
      onEvent: (event) => this.#events.add(event),
      changed: () => this.#charonLoop.trigger(),
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
      resyncMs: this.#config.resyncSeconds * 1000,
      clock,
      bootMs,
      random,
      logger: logger.child({ component: 'charon' }),
      reconciler,
      credentials: () => this.#credentials,
      target: () => this.#target(),
      gate: (observed) => this.#node.gate(observed),
      onRound: (round) => this.#node.roundDone(round),
      onLost: (problem) => this.#node.charonLost(problem),
      onEvent: (event) => this.#events.add(event),
    });
  }

  #target(): Target | undefined {
    const { desired } = this.#node;
    const credentials = this.#credentials;
    if (desired === undefined || credentials === undefined) return undefined;
    return {
      desired,
      credentialsDigest: credentials.digest,
      digestOf: (connection) => requestDigest(connection, credentials),
    };
  }

  /** One channel for each identity: an enrolment ends the last one. */
  async #runChannel(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const identity = this.#identity ?? (await this.#untilEnrolled(signal));
      if (identity === undefined) return;
      const renewed = new AbortController();
      this.#enrolled = () => renewed.abort();
      await this.#holdChannel(identity, AbortSignal.any([signal, renewed.signal]));
    }
  }

  async #holdChannel(identity: NodeIdentity, signal: AbortSignal): Promise<void> {
    const { clock, random, logger } = this.#deps;
    const channel = new ControlChannel({
      identity,
      clock,
      random,
      logger: logger.child({ component: 'channel' }),
      hello: () => this.#node.hello(),
      opened: () => this.#node.channelOpened(),
      received: (frame) => this.#node.received(frame),
    });
    this.#channel = channel;
    const stop = this.#forwardEvents(channel);
    try {
      await channel.run(signal);
    } finally {
      stop();
    }
  }

  /** Undefined when the agent stops before. */
  #untilEnrolled(signal: AbortSignal): Promise<NodeIdentity | undefined> {
    if (signal.aborted) return Promise.resolve(undefined);
    return new Promise((resolve) => {
      this.#enrolled = () => resolve(this.#identity);
      signal.addEventListener('abort', () => resolve(undefined), { once: true });
    });
  }

  /** Events of one turn travel together. While the channel is down they stay in the node's own log only. */
  #forwardEvents(channel: ControlChannel): () => void {
    let waiting: Parameters<Parameters<EventLog['listen']>[0]>[0][] = [];
    return this.#events.listen((event) => {
      waiting.push(event);
      if (waiting.length > 1) return;
      setImmediate(() => {
        const events = waiting.slice(-EVENTS_PER_FRAME);
        waiting = [];
        channel.send({ type: 'events', events });
      });
    });
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
      this.#setIdentity(await enrolNode(this.#stored, this.#config.keyType, command, signal));
    } finally {
      this.#isEnrolling = false;
    }
    this.#enrolled();
    this.#charonLoop.trigger();
    const { node = '', mesh = '' } = this.#identity ?? {};
    return { node, mesh };
  }

  #setIdentity(identity: NodeIdentity | undefined): void {
    this.#identity = identity;
    this.#credentials = identity === undefined ? undefined : credentialsOf(identity);
  }

  async #status(): Promise<AgentStatus> {
    if (this.#node.isCharonThere) await this.#charonLoop.refresh(FRESH_WITHIN_MS);
    return agentStatus({
      report: this.#node.report(),
      diskProblem: this.#diskProblem,
      generations: this.#node.generations,
      node: this.#identity?.node ?? null,
      mesh: this.#identity?.mesh ?? null,
      channel: this.#channel?.status ?? {
        url: null,
        state: 'not-enrolled',
        sinceMs: this.#deps.clock.nowMs(),
        problem: null,
      },
    });
  }
}

function credentialsOf({ ikeKey, ikeCertificate, ca }: NodeIdentity): CharonCredentials {
  return charonCredentials({
    privateKey: createPrivateKey(ikeKey).export({ type: 'pkcs8', format: 'der' }),
    own: new X509Certificate(ikeCertificate).raw,
    ca: new X509Certificate(ca).raw,
  });
}
