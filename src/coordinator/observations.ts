import type { Clock } from '../clock.ts';
import type { NodeEvent } from '../control/report.ts';
import type { NodeName } from '../ike/connection.ts';
import type { Logger } from '../log.ts';
import { EventLog } from './event-log.ts';
import type { NodeRegistry } from './node-registry.ts';
import type { ObservationStore } from './observation-store.ts';

/** Characters of an event of the coordinator's own. */
const MESSAGE_LENGTH_MAX = 1024;

export interface ObservationsDeps {
  readonly store: ObservationStore;
  readonly registry: Pick<NodeRegistry, 'takeUnwritten'>;
  readonly clock: Pick<Clock, 'nowMs'>;
  readonly logger: Logger;
}

/** Brings what is observed to the store: what nodes told last, and the events, theirs and the coordinator's own. */
export class Observations {
  readonly #deps: ObservationsDeps;
  readonly #log: EventLog;

  constructor(deps: ObservationsDeps) {
    this.#deps = deps;
    this.#log = new EventLog(deps.store);
  }

  get events(): Pick<EventLog, 'after' | 'lastId' | 'more'> {
    return this.#log;
  }

  append(node: NodeName | null, events: readonly NodeEvent[]): void {
    this.#log.append(node, events);
    if (this.#log.isFull) this.flush();
  }

  /** An event of the coordinator's own, about a node or the whole mesh. */
  note(node: NodeName | null, kind: string, message: string): void {
    const text = message.slice(0, MESSAGE_LENGTH_MAX);
    const atMs = this.#deps.clock.nowMs();
    this.append(node, [{ atMs, kind, connection: null, child: null, message: text }]);
  }

  /** Writes what came since the last time. Never throws: what cannot be written is lost. */
  flush(): void {
    const { store, registry, logger } = this.#deps;
    const statuses = registry.takeUnwritten();
    const events = this.#log.takeUnwritten();
    if (statuses.size === 0 && events.length === 0) return;
    try {
      store.write(statuses, events);
    } catch (error) {
      // A full disk must not close channels: tunnels depend on the desired states, not on what is observed.
      logger.error({ err: error }, 'reports and events could not be written');
    }
  }
}
