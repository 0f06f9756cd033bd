import type { Clock } from '../clock.ts';
import type { AgentFrame, CoordinatorFrame } from '../control/frames.ts';
import type { NodeEvent } from '../control/report.ts';
import type { Logger } from '../log.ts';
import type { ChannelStatus } from './api.ts';
import { ControlChannel } from './channel.ts';
import type { EventLog } from './event-log.ts';
import type { NodeIdentity } from './stored.ts';

/** Events sent in one frame. */
const EVENTS_PER_FRAME = 500;

export interface NodeChannelDeps {
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Logger;
  /** Undefined before enrolment. */
  readonly identity: () => NodeIdentity | undefined;
  /** What happens here is sent as it happens. */
  readonly events: Pick<EventLog, 'listen'>;
  /** The first frame of each connection. */
  readonly hello: () => AgentFrame;
  /** The hello is sent, on a channel that this identity's certificate has opened. */
  readonly opened: (identity: NodeIdentity) => void;
  /** The coordinator does not let in who shows this identity's certificate. */
  readonly refused: (identity: NodeIdentity) => void;
  /** Must not throw. */
  readonly received: (frame: CoordinatorFrame) => void;
}

/** The node's control channel from its enrolment on, one for each certificate: an enrolment or a renewal ends the last. */
export class NodeChannel {
  readonly #deps: NodeChannelDeps;
  #channel: ControlChannel | undefined;
  #changed: () => void = () => undefined;

  constructor(deps: NodeChannelDeps) {
    this.#deps = deps;
  }

  get status(): ChannelStatus {
    const sinceMs = this.#deps.clock.nowMs();
    return this.#channel?.status ?? { url: null, state: 'not-enrolled', sinceMs, problem: null };
  }

  /** For how long it has been down, in ms; 0 while it is open, and before enrolment. */
  get downMs(): number {
    return this.#channel?.downMs ?? 0;
  }

  /** Sends when the channel is open; false when it is not. */
  send(frame: AgentFrame): boolean {
    return this.#channel?.send(frame) ?? false;
  }

  /** The node shows itself by another identity or certificate now. */
  identityChanged(): void {
    this.#changed();
  }

  /** Until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const identity = this.#deps.identity() ?? (await this.#untilEnrolled(signal));
      if (identity === undefined) return;
      const changed = new AbortController();
      this.#changed = () => changed.abort();
      await this.#hold(identity, AbortSignal.any([signal, changed.signal]));
    }
  }

  async #hold(identity: NodeIdentity, signal: AbortSignal): Promise<void> {
    const { clock, random, logger, hello, opened, refused, received } = this.#deps;
    const channel = new ControlChannel({
      identity,
      clock,
      random,
      logger,
      hello,
      opened: () => opened(identity),
      refused: () => refused(identity),
      received,
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
      this.#changed = () => resolve(this.#deps.identity());
      signal.addEventListener('abort', () => resolve(undefined), { once: true });
    });
  }

  /** Events of one turn travel together. While the channel is down they stay in the node's own log only. */
  #forwardEvents(channel: ControlChannel): () => void {
    let waiting: NodeEvent[] = [];
    return this.#deps.events.listen((event) => {
      waiting.push(event);
      if (waiting.length > 1) return;
      setImmediate(() => {
        const events = waiting.slice(-EVENTS_PER_FRAME);
        waiting = [];
        channel.send({ type: 'events', events });
      });
    });
  }
}
