import { onAbort } from './on-abort.ts';
import { ViciError } from './vici-error.ts';

/** How long a caller is willing to wait. */
export interface WaitLimit {
  /** Gives up with `aborted`; at once when it has fired already. */
  readonly signal?: AbortSignal | undefined;
  /** Gives up with `deadline-passed` after as many ms; undefined: never. */
  readonly timeoutMs?: number | undefined;
}

/** The longest that a Node timer can wait; a longer one would fire at once. */
export const TIMEOUT_MS_MAX = 2_147_483_647;

/** Calls back at most once, when the limit is reached; the returned function ends the watch. `what` names the wait. */
export function watchLimit(limit: WaitLimit, what: string, onLimit: (error: ViciError) => void): () => void {
  const { signal, timeoutMs } = limit;
  const abort = (): void => {
    stop();
    if (signal !== undefined) onLimit(abortedError(signal, what));
  };
  const expire = (): void => {
    // A process that was busy itself reads first what has arrived meanwhile.
    immediate = setImmediate(() => {
      stop();
      onLimit(new ViciError('deadline-passed', `${what} took longer than ${timeoutMs} ms`));
    });
  };
  let immediate: NodeJS.Immediate | undefined;
  const timer = timeoutMs === undefined ? undefined : setTimeout(expire, timeoutMs);
  const stopSignal = signal === undefined ? undefined : onAbort(signal, abort);
  const stop = (): void => {
    clearTimeout(timer);
    clearImmediate(immediate);
    stopSignal?.();
  };
  if (signal?.aborted === true) abort();
  return stop;
}

/** Throws `invalid-request` for an option that is no whole number from 1 to `max`. */
export function checkRange(option: string, value: number | undefined, max: number): void {
  if (value === undefined || (Number.isInteger(value) && value >= 1 && value <= max)) return;
  throw new ViciError('invalid-request', `${option} must be a whole number from 1 to ${max}, not ${value}`);
}

/** For a wait that must not even begin when its signal has fired. */
export function throwIfAborted(limit: WaitLimit, what: string): void {
  if (limit.signal?.aborted === true) throw abortedError(limit.signal, what);
}

function abortedError(signal: AbortSignal, what: string): ViciError {
  return new ViciError('aborted', `${what} was given up`, { cause: signal.reason });
}
