import { stat } from 'node:fs/promises';
import { performance } from 'node:perf_hooks';
import type { ViciAddress } from './dial.ts';
import type { ViciSession } from './session.ts';
import { ViciError, type ViciErrorCode } from './vici-error.ts';

/** charon's date of its start moves with rounding and steps of the clock; two starts are further apart than this. */
const SAME_START_MS = 1500;

/** One session, and by what the charon behind it can be told from the next. */
export interface ViciLife {
  readonly session: ViciSession;
  /** When it started, on this process's monotonic clock (ms). */
  readonly charonStartMs: number;
  /** Names the file that it made for its socket; undefined over TCP. Tells also charons that started in a row. */
  readonly socketFile: string | undefined;
}

/** Yields the session to work with now, or the next one; the signal abandons the wait. */
export type NextLife = (signal: AbortSignal | undefined) => Promise<ViciLife>;

/** Names the socket's file as it is now. Ask before connecting: a file that is too old only makes a restart of none. */
export async function socketFileAt(address: ViciAddress): Promise<string | undefined> {
  if (!('socketPath' in address)) return undefined;
  // Not the time of its last change, which chmod moves. No file: the connecting will tell.
  const file = await stat(address.socketPath, { bigint: true }).catch(() => undefined);
  return file === undefined ? undefined : `${file.ino}:${file.mtimeNs}`;
}

/**
 * The life of a session whose charon is ready. Throws `unknown-command` while charon starts up: its socket accepts
 * before all commands are there, and those of get-pools are the last (vici_plugin.c).
 */
export async function beginLife(session: ViciSession, socketFile: string | undefined): Promise<ViciLife> {
  // No pool has an empty name, so the reply stays small.
  const [stats] = await Promise.all([session.call('stats'), session.request('get-pools', { name: '' })]);
  // charon tells its start as a date, computed from the wall clock, which cancels out here.
  const charonStartMs = performance.now() - (Date.now() - Date.parse(stats.uptime.since));
  return { session, charonStartMs, socketFile };
}

/** Whether another charon process answers now than before. */
export function isRestart(before: ViciLife | undefined, now: ViciLife): boolean {
  if (before === undefined) return false;
  const isSameStart = Math.abs(before.charonStartMs - now.charonStartMs) <= SAME_START_MS;
  return !isSameStart || before.socketFile !== now.socketFile;
}

/** What a connection throws when charon goes, or hangs. */
const LOST: readonly ViciErrorCode[] = ['connect-failed', 'connection-closed', 'deadline-passed'];

/**
 * For who goes from life to life: returns when the error means that this one is over, and makes sure that it is, since
 * one connection may notice before the others do. Throws it again when it means something else.
 */
export async function endLifeOn(error: unknown, { session }: ViciLife): Promise<void> {
  if (!(error instanceof ViciError)) throw error;
  if (!session.isClosed && !LOST.includes(error.code)) throw error;
  await session[Symbol.asyncDispose]();
}
