const TICK_MS = 1;

/** How long this process kept its own event loop busy at a stretch. */
export interface Turns {
  /**
   * CPU time of the process, all threads, between two ticks of a timer of 1 ms: what it did itself. On a machine that
   * has other work, or is virtual, the clock goes on while the process has no processor, and says nothing about it.
   */
  readonly busyMs: number;
  /** The same by the clock. */
  readonly clockMs: number;
}

/** Measures from now on; the returned function ends that and gives the longest stretches. */
export function watchTurns(): () => Turns {
  const longest = { busyMs: 0, clockMs: 0 };
  let [busy, clock] = [cpuMs(), performance.now()];
  const timer = setInterval(() => {
    const [busyNow, clockNow] = [cpuMs(), performance.now()];
    longest.busyMs = Math.max(longest.busyMs, busyNow - busy);
    longest.clockMs = Math.max(longest.clockMs, clockNow - clock);
    [busy, clock] = [busyNow, clockNow];
  }, TICK_MS);
  return () => {
    clearInterval(timer);
    return longest;
  };
}

function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
