import { connect, type Socket } from 'node:net';
import { backoffMs } from '../backoff.ts';
import { pause } from '../clock.ts';
import { messageOf, systemCodeOf } from '../errors.ts';
import { ViciError } from './vici-error.ts';
import { watchLimit, type WaitLimit } from './wait-limit.ts';

/** charon's listen backlog is 3, so a burst of connections meets EAGAIN for as long as accepting them takes. */
const BACKLOG_FULL_RETRY = { baseMs: 4, maxMs: 100 };

/** Opens charon's socket. Throws `connect-failed`, or what the limit says. `random` yields [0, 1). */
export async function dial(socketPath: string, limit: WaitLimit, random: () => number): Promise<Socket> {
  const giveUp = new AbortController();
  const stop = watchLimit(limit, `connecting to ${socketPath}`, (error) => giveUp.abort(error));
  try {
    for (let retry = 1; ; retry += 1) {
      giveUp.signal.throwIfAborted();
      const opened = await attempt(socketPath, giveUp.signal);
      if (opened !== 'backlog-full') return opened;
      await pause(backoffMs(retry, BACKLOG_FULL_RETRY, random), giveUp.signal);
    }
  } finally {
    stop();
  }
}

function attempt(socketPath: string, signal: AbortSignal): Promise<Socket | 'backlog-full'> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path: socketPath });
    const settle = (action: () => void): void => {
      signal.removeEventListener('abort', onAbort);
      socket.removeListener('connect', onConnect);
      socket.removeListener('error', onError);
      action();
    };
    const onConnect = (): void => settle(() => resolve(socket));
    const onAbort = (): void =>
      settle(() => {
        socket.destroy();
        reject(signal.reason as ViciError);
      });
    const onError = (error: Error): void =>
      settle(() => {
        if (systemCodeOf(error) === 'EAGAIN') return resolve('backlog-full');
        const detail = `${socketPath}: ${messageOf(error)}`;
        return reject(new ViciError('connect-failed', detail, { cause: error }));
      });
    signal.addEventListener('abort', onAbort, { once: true });
    socket.once('connect', onConnect);
    socket.once('error', onError);
  });
}
