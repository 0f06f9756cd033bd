import { fstatSync, writeSync } from 'node:fs';

/** Tells systemd how the service does. No method throws; without systemd every one does nothing. */
export interface Notifier {
  /** The service answers from now on. Once; with a status line if given. */
  ready(status?: string): void;
  /** The service has begun to shut down. */
  stopping(): void;
  /** Feeds the watchdog: call it every {@link watchdogIntervalMs}. */
  alive(): void;
  /** The line that `systemctl status` shows; line breaks become spaces. */
  status(text: string): void;
  /** Half the time that systemd waits for a sign of life; undefined when it does not watch this process. */
  readonly watchdogIntervalMs: number | undefined;
}

/** Longer status lines are cut: they are for people. */
const STATUS_CHARACTERS_MAX = 512;
/** Longest delay of a Node timer; with a longer one it fires at once. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/**
 * Speaks sd_notify(3) over the socket that `systemd/notify-exec` opened before it executed this process: Node has no
 * Unix datagram sockets, but one write on such a descriptor is one datagram. `env` is read once, now.
 * Throws a RangeError when CYGNET_NOTIFY_FD is set but cannot be that socket.
 */
export function notifierFromEnvironment(env: Readonly<Record<string, string | undefined>>): Notifier {
  const fd = notifyFd(env['CYGNET_NOTIFY_FD']);
  const send = (...assignments: readonly string[]): void => {
    if (fd !== undefined) sendDatagram(fd, assignments.join('\n'));
  };
  return {
    ready: (status) => (status === undefined ? send('READY=1') : send('READY=1', statusLine(status))),
    stopping: () => send('STOPPING=1'),
    alive: () => send('WATCHDOG=1'),
    status: (text) => send(statusLine(text)),
    watchdogIntervalMs: fd === undefined ? undefined : watchdogInterval(env),
  };
}

/** A wrong number would put our datagrams into some other file, so it must be a socket, and not a standard stream. */
function notifyFd(value: string | undefined): number | undefined {
  if (value === undefined || value === '') return undefined;
  const fd = /^\d{1,9}$/.test(value) ? Number(value) : -1;
  if (fd < 3 || !isSocket(fd)) {
    throw new RangeError(`CYGNET_NOTIFY_FD must be the number of an open socket, 3 or more, not "${value}"`);
  }
  return fd;
}

function isSocket(fd: number): boolean {
  try {
    return fstatSync(fd).isSocket();
  } catch {
    // EBADF: no such descriptor.
    return false;
  }
}

/** systemd sets WATCHDOG_PID so that children that inherit the environment do not feed their parent's watchdog. */
function watchdogInterval(env: Readonly<Record<string, string | undefined>>): number | undefined {
  const pid = env['WATCHDOG_PID'];
  if (pid !== undefined && pid !== String(process.pid)) return undefined;
  const periodUs = env['WATCHDOG_USEC'];
  if (periodUs === undefined || !/^[1-9]\d{0,18}$/.test(periodUs)) return undefined;
  return Math.min(TIMER_MS_MAX, Math.max(1, Math.floor(Number(periodUs) / 2000)));
}

/** A line break would begin a new assignment, so that a status text could announce anything. */
function statusLine(text: string): string {
  return `STATUS=${text.replace(/\p{Cc}+/gu, ' ').slice(0, STATUS_CHARACTERS_MAX)}`;
}

function sendDatagram(fd: number, datagram: string): void {
  try {
    writeSync(fd, datagram);
  } catch {
    // systemd restarts (ECONNREFUSED) or its queue is full (EAGAIN). Not worth a service: it is told again soon, and a
    // lost READY ends in systemd's own start time-out.
  }
}
