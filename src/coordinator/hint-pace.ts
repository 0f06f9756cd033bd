import type { NodeName } from '../ike/connection.ts';

/** So many hints are sent at any time: they cost nothing to speak of. */
const HINTS_FREE = 8;
/** A node looks at all of its links, and at all of its charon, whenever new hints come. */
const REST_MS_PER_HINT = 5;
const REST_MS_MAX = 500;

/**
 * When a node is sent its hints. While a large mesh comes up they change with every tunnel of every node, and each frame
 * has all of a node's links in it; so a node with many links gets the first change at once, and what changes in the next
 * moments in one frame after a rest.
 */
export class HintPace {
  readonly #send: (node: NodeName) => number;
  /** The nodes that rest, and whether something has changed meanwhile. */
  readonly #resting = new Map<NodeName, boolean>();

  /** `send` sends the node its hints as they are then, if they are news to it, and returns how many were sent. */
  constructor(send: (node: NodeName) => number) {
    this.#send = send;
  }

  /** Something that this node's hints are made of has changed. */
  changed(node: NodeName): void {
    if (this.#resting.has(node)) this.#resting.set(node, true);
    else this.#sendAndRest(node);
  }

  #sendAndRest(node: NodeName): void {
    const restMs = restAfterMs(this.#send(node));
    if (restMs === 0) return;
    this.#resting.set(node, false);
    // A coordinator that ends has nobody to send to.
    setTimeout(() => this.#rested(node), restMs).unref();
  }

  #rested(node: NodeName): void {
    const hasChanged = this.#resting.get(node) === true;
    this.#resting.delete(node);
    if (hasChanged) this.#sendAndRest(node);
  }
}

function restAfterMs(hints: number): number {
  return hints <= HINTS_FREE ? 0 : Math.min(REST_MS_MAX, hints * REST_MS_PER_HINT);
}
