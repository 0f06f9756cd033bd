import { connect, type Socket, type TcpNetConnectOpts, type IpcNetConnectOpts } from 'node:net';
import { backoffMs } from '../backoff.ts';
import { pause } from '../clock.ts';
import { messageOf, systemCodeOf } from '../errors.ts';
import { ViciError } from './vici-error.ts';
import { watchLimit, type WaitLimit } from './wait-limit.ts';

/**
 * Where charon listens (`charon.plugins.vici.socket`): a Unix socket, usually /var/run/charon.vici, or TCP. VICI has
 * neither encryption nor authentication, and who reaches it is root there: TCP is for loopback and test beds.
 */
export type ViciAddress = { readonly socketPath: string } | { readonly host: string; readonly port: number };

/** charon's listen backlog is 3, so a burst of connections meets EAGAIN for as long as accepting them takes. */
const BACKLOG_FULL_RETRY = { baseMs: 4, maxMs: 100 };

/** Opens charon's socket. Throws `connect-failed`, or what the limit says. `random` yields [0, 1). */
export async function dial(address: ViciAddress, limit: WaitLimit, random: () => number): Promise<Socket> {
  const giveUp = new AbortController();
  const where = textOf(address);
  const stop = watchLimit(limit, `connecting to ${where}`, (error) => giveUp.abort(error));
  try {
    for (let retry = 1; ; retry += 1) {
      giveUp.signal.throwIfAborted();
      const opened = await attempt(address, where, giveUp.signal);
      if (opened !== 'backlog-full') return opened;
      await pause(backoffMs(retry, BACKLOG_FULL_RETRY, random), giveUp.signal);
    }
  } finally {
    stop();
  }
}

function textOf(address: ViciAddress): string {
  return 'socketPath' in address ? address.socketPath : `${address.host}:${address.port}`;
}

function netOptions(address: ViciAddress): TcpNetConnectOpts | IpcNetConnectOpts {
  return 'socketPath' in address
    ? { path: address.socketPath }
    : { host: address.host, port: address.port, noDelay: true };
}

function attempt(address: ViciAddress, where: string, signal: AbortSignal): Promise<Socket | 'backlog-full'> {
  return new Promise((resolve, reject) => {
    const socket = connect(netOptions(address));
    const settle = (action: () => void): void => {
      signal.removeEventListener('abort', onAbort);
      socket.removeListener('connect', onConnect);
      socket.removeListener('error', onError);
      action();
    };
    const onConnect = (): void => settle(() => resolve(socket));
    const onAbort = (): void =>
      settle(() => {
        // A name that is still being looked up may yet fail.
        socket.on('error', () => {});
        socket.destroy();
        reject(signal.reason as ViciError);
      });
    const onError = (error: Error): void =>
      settle(() => {
        if (systemCodeOf(error) === 'EAGAIN') return resolve('backlog-full');
        const detail = `${where}: ${messageOf(error)}`;
        return reject(new ViciError('connect-failed', detail, { cause: error }));
      });
    signal.addEventListener('abort', onAbort, { once: true });
    socket.once('connect', onConnect);
    socket.once('error', onError);
  });
}
