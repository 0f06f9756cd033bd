import { WebSocket } from 'ws';

/** Shows every frame that a WebSocket of this process sends, before TLS. Returns how to end that. */
export function captureFrames(seen: (frame: Uint8Array) => void): () => void {
  const { prototype } = WebSocket;
  const send = Reflect.get(prototype, 'send') as (...args: unknown[]) => void;
  const capturing = function (this: WebSocket, data: unknown, ...rest: unknown[]): void {
    if (typeof data === 'string') seen(Buffer.from(data));
    else if (data instanceof Uint8Array) seen(data);
    Reflect.apply(send, this, [data, ...rest]);
  };
  Reflect.set(prototype, 'send', capturing);
  return () => void Reflect.set(prototype, 'send', send);
}
