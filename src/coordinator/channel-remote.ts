import type { IncomingMessage } from 'node:http';

/** The peer's address as people write it: an IPv4 peer of an IPv6 socket has no `::ffff:` before it. */
export function remoteOf(request: IncomingMessage): string {
  return (request.socket.remoteAddress ?? 'unknown').replace(/^::ffff:/, '');
}
