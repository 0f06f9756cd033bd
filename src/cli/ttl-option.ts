import { parseDurationSeconds } from '../duration.ts';
import { CliError } from './cli-error.ts';

/** Seconds of a `--ttl` within its bounds, which `allowed` says in words. Throws a CliError. */
export function ttlSeconds(
  ttl: string,
  { min, max }: { readonly min: number; readonly max: number },
  allowed: string,
): number {
  const seconds = parseDurationSeconds(ttl);
  if (seconds !== undefined && seconds >= min && seconds <= max) return seconds;
  throw new CliError('bad-input', `--ttl ${ttl}: must be a duration from ${allowed}`);
}
