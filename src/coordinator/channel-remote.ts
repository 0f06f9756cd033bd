import type { Socket } from 'node:net';

/** The peer's address as people write it: an IPv4 peer of an IPv6 socket has no `::ffff:` before it. */
export function remoteOf({ socket }: { readonly socket: Pick<Socket, 'remoteAddress'> }): string {
  return (socket.remoteAddress ?? 'unknown').replace(/^::ffff:/, '');
}
