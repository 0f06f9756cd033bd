import type { NodeIdentity } from '../../src/agent/stored.ts';
import { lightNode } from './nodes.ts';

/**
 * A program that holds the control channels of many nodes. Gets their identities as its first message, and tells its
 * parent of each node that got its first answer on a new channel, with the time.
 */
export interface NodeIsBack {
  readonly node: string;
  /** Ms since the epoch: the parent is another process. */
  readonly atMs: number;
}

process.once('message', (identities: readonly NodeIdentity[]) => {
  for (const identity of identities) hold(identity);
});

function hold(identity: NodeIdentity): void {
  let isNew = false;
  const channel = lightNode(identity, {
    opened: () => (isNew = true),
    received: () => {
      if (isNew) process.send?.({ node: identity.node, atMs: Date.now() } satisfies NodeIsBack);
      isNew = false;
    },
  });
  void channel.run(new AbortController().signal);
}
