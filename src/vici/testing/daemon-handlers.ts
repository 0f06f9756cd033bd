import type { FakeHandler } from './fake-client.ts';
import type { FakeSas } from './fake-sas.ts';
import { SUCCESS } from './replies.ts';

/** What a charon says of itself. */
export interface DaemonFacts {
  readonly version: string;
  /** When it started, in ms since the epoch. */
  readonly startedMs: number;
}

const PLUGINS = ['charon-systemd', 'random', 'nonce', 'openssl', 'kernel-netlink', 'socket-default', 'vici'];
const BY_PRIORITY = { critical: 0, high: 0, medium: 0, low: 0 };

/** The commands about the daemon itself. */
export function daemonHandlers(facts: DaemonFacts, sas: FakeSas): readonly (readonly [string, FakeHandler])[] {
  const { version, startedMs } = facts;
  const system = { sysname: 'Linux', release: '6.12.0', machine: 'x86_64' };
  return [
    ['version', () => ({ daemon: 'charon-systemd', version, ...system })],
    ['stats', () => stats(startedMs, sas.all.size)],
    ['reload-settings', () => SUCCESS],
    ['get-algorithms', () => ({ encryption: { AES_GCM_16: 'openssl' }, ke: { CURVE_25519: 'openssl' } })],
    ['get-counters', () => ({ counters: {}, ...SUCCESS })],
    ['reset-counters', () => SUCCESS],
  ];
}

function stats(startedMs: number, ikeSas: number) {
  const minutes = Math.floor((Date.now() - startedMs) / 60_000);
  return {
    uptime: { running: `${minutes} minutes`, since: dateText(new Date(startedMs)) },
    workers: { total: 16, idle: 11, active: { ...BY_PRIORITY, critical: 4, medium: 1 } },
    queues: BY_PRIORITY,
    scheduled: 0,
    ikesas: { total: ikeSas, 'half-open': 0 },
    plugins: PLUGINS,
  };
}

/** Local time, as charon writes it: `Nov 24 00:28:45 2026`. */
function dateText(date: Date): string {
  const month = date.toLocaleString('en-US', { month: 'short' });
  const [hours, minutes, seconds] = [date.getHours(), date.getMinutes(), date.getSeconds()].map(twoDigits);
  return `${month} ${twoDigits(date.getDate())} ${hours}:${minutes}:${seconds} ${date.getFullYear()}`;
}

function twoDigits(number: number): string {
  return String(number).padStart(2, '0');
}
