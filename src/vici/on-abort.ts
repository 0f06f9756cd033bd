type Callbacks = { readonly all: Set<() => void>; readonly listener: () => void };

const watched = new WeakMap<AbortSignal, Callbacks>();

/**
 * Calls back when the signal fires, at most once; the returned function ends that. However many wait for one signal, it
 * has one listener: Node warns of a leak from the eleventh on, and hundreds of calls may share a signal.
 */
export function onAbort(signal: AbortSignal, callback: () => void): () => void {
  const { all } = watched.get(signal) ?? watch(signal);
  const own = (): void => callback();
  all.add(own);
  return () => {
    all.delete(own);
    if (all.size === 0) unwatch(signal);
  };
}

function watch(signal: AbortSignal): Callbacks {
  const all = new Set<() => void>();
  const listener = (): void => {
    watched.delete(signal);
    for (const callback of all) callback();
  };
  const callbacks = { all, listener };
  watched.set(signal, callbacks);
  signal.addEventListener('abort', listener, { once: true });
  return callbacks;
}

function unwatch(signal: AbortSignal): void {
  const callbacks = watched.get(signal);
  if (callbacks === undefined || callbacks.all.size > 0) return;
  watched.delete(signal);
  signal.removeEventListener('abort', callbacks.listener);
}
