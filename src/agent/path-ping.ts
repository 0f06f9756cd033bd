import { performance } from 'node:perf_hooks';
import { ProbeSocket } from './probe-socket.ts';

/**
 * What became of one packet. `refused`: the peer's kernel answered, so the path works, but the peer's agent does not run.
 * `not-up`: there is no such tunnel, or none that can be probed.
 */
export type PingAnswer =
  | { readonly outcome: 'answered'; readonly rttMs: number }
  | { readonly outcome: 'refused' | 'lost' | 'not-up' };

const ANSWER_MS_MAX = 2000;

/** Sends one packet from one mesh address to another and waits for what comes back, at most 2 s. Never rejects. */
export function pingOnce(local: string, remote: string, random: () => number): Promise<PingAnswer> {
  return new Promise((resolve) => {
    const sentAtMs = performance.now();
    const socket = new ProbeSocket({
      local,
      remote,
      sender: Math.floor(random() * 2 ** 32),
      onAnswer: () => settle({ outcome: 'answered', rttMs: Math.round((performance.now() - sentAtMs) * 100) / 100 }),
      onRefused: () => settle({ outcome: 'refused' }),
    });
    const timer = setTimeout(() => settle({ outcome: 'lost' }), ANSWER_MS_MAX);
    const settle = (answer: PingAnswer): void => {
      clearTimeout(timer);
      socket[Symbol.dispose]();
      resolve(answer);
    };
    socket.send(1);
  });
}
