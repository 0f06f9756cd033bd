import type { LinkReport } from './api.ts';
import { LocalRefusal } from './local-server.ts';

/** Why the direct tunnel of a link is not given up on command; undefined when it may be: it is up, and so is the relay. */
export function reconnectRefusal({ peer, path, relay }: LinkReport): LocalRefusal | undefined {
  if (path !== 'direct') {
    const message = `the link to ${peer} has no direct path that could be given up: its path is "${path}" now; agentctl paths ${peer} says why`;
    return new LocalRefusal(409, 'not-direct', message);
  }
  if (relay?.health === 'alive') return undefined;
  const message = `there is no relay that works for ${peer}: giving up the direct tunnel would cut the link`;
  return new LocalRefusal(409, 'no-relay', message);
}
