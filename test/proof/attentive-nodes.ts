import { setTimeout as delay } from 'node:timers/promises';
import type { ControlChannel } from '../../src/agent/channel.ts';
import { claimOf } from '../../src/agent/state-acceptance.ts';
import type { NodeIdentity } from '../../src/agent/stored.ts';
import type { CoordinatorFrame } from '../../src/control/frames.ts';
import { lightNode } from './nodes.ts';

const ANSWER_WITHIN_MS = 30_000;

/** Nodes that keep their channels open, and confirm each desired state as agents do when it is in charon. */
export class AttentiveNodes implements AsyncDisposable {
  /** The generation that each has confirmed last. */
  readonly #confirmed: Map<string, number>;
  readonly #stop = new AbortController();
  readonly #ended: Promise<unknown>;
  /** Answers that were sent. */
  answers = 0;

  constructor(identities: readonly NodeIdentity[]) {
    this.#confirmed = new Map(identities.map(({ node }) => [node, 0]));
    this.#ended = Promise.all(identities.map((identity) => this.#hold(identity).run(this.#stop.signal)));
  }

  /** Resolves when each has confirmed this generation or a later one. */
  async haveConfirmed(generation: number): Promise<void> {
    for (const endMs = performance.now() + ANSWER_WITHIN_MS; performance.now() < endMs; await delay(1)) {
      if ([...this.#confirmed.values()].every((confirmed) => confirmed >= generation)) return;
    }
    throw new Error(`generation ${generation} has not reached all: ${JSON.stringify([...this.#confirmed])}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#ended;
  }

  #hold(identity: NodeIdentity): ControlChannel {
    const channel = lightNode(identity, {
      received: (frame) => {
        if (!isState(frame)) return;
        const { epoch, generation } = claimOf(frame.signed);
        if (!channel.send({ type: 'ack', epoch, generation, outcomes: [] })) return;
        this.#confirmed.set(identity.node, generation);
        this.answers += 1;
      },
    });
    return channel;
  }
}

function isState(frame: CoordinatorFrame): frame is Extract<CoordinatorFrame, { readonly signed: unknown }> {
  return 'signed' in frame;
}
