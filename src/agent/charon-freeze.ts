import { z } from 'zod';

/**
 * Whether charon is frozen: its process is there and its socket takes connections, but no worker is left to answer
 * anything, ever again. Told from silence alone. That no worker is idle proves nothing: commands of other programs hold
 * them for minutes, and a charon that tells so has answered.
 */

/** One thing that was learnt about charon. */
export type CharonSign =
  /** It has answered a command. */
  | { readonly type: 'answered' }
  /** A quick command, or the connecting before it, had no answer within its deadline. `process` names the charon. */
  | { readonly type: 'unanswered'; readonly process: string }
  /** It is not there, hangs up or may not be spoken to: whatever that is, it is no freeze. */
  | { readonly type: 'gone' };

/** Questions in a row that one charon process has left unanswered. Times are monotonic ms. */
export interface Silence {
  readonly process: string;
  /** When the first deadline passed. */
  readonly sinceMs: number;
  /** When the last one did. */
  readonly lastMs: number;
  readonly questions: number;
}

/** The last time that charon was restarted because it was frozen. On disk, so that it counts for the next agent too. */
export const charonRestartSchema = z.strictObject({
  /** Monotonic ms since the machine booted. */
  bootMs: z.number().min(0),
  /** The process that was frozen. */
  process: z.string(),
});
export type CharonRestart = Readonly<z.output<typeof charonRestartSchema>>;

/**
 * `silent`: not for long enough. `restarting`: this very process was to be restarted, and is not gone yet. `again`:
 * another one was, too shortly before.
 */
export type FreezeVerdict = 'answers' | 'silent' | 'restart' | 'forbidden' | 'restarting' | 'again';

/** The longest that any charon was seen to be busy, with ten thousand connections, is some seconds. */
export const FROZEN_AFTER_MS = 60_000;
export const FROZEN_QUESTIONS_MIN = 4;
/** Deadlines pass at most 22 s after each other. When they do not, it is this process that was held up. */
export const QUESTION_GAP_MAX_MS = 30_000;
/** A restart costs every tunnel of the node: a charon that freezes at once again is for people to look at. */
export const RESTART_PAUSE_MS = 600_000;

/** The silence after a sign; undefined when there is none. Pure. */
export function nextSilence(silence: Silence | undefined, sign: CharonSign, nowMs: number): Silence | undefined {
  if (sign.type !== 'unanswered') return undefined;
  const { process } = sign;
  const goesOn = silence?.process === process && nowMs - silence.lastMs <= QUESTION_GAP_MAX_MS;
  if (!goesOn) return { process, sinceMs: nowMs, lastMs: nowMs, questions: 1 };
  return { ...silence, lastMs: nowMs, questions: silence.questions + 1 };
}

/** What is to be done about a silence. Pure. */
export function freezeVerdict(
  silence: Silence | undefined,
  facts: { readonly mayRestart: boolean; readonly lastRestart: CharonRestart | undefined },
): FreezeVerdict {
  if (silence === undefined) return 'answers';
  const { lastMs, sinceMs, questions, process } = silence;
  if (lastMs - sinceMs < FROZEN_AFTER_MS || questions < FROZEN_QUESTIONS_MIN) return 'silent';
  if (!facts.mayRestart) return 'forbidden';
  const sinceRestartMs = lastMs - (facts.lastRestart?.bootMs ?? Number.NEGATIVE_INFINITY);
  // A restart that lies ahead was before the machine's last boot.
  if (sinceRestartMs < 0 || sinceRestartMs >= RESTART_PAUSE_MS) return 'restart';
  return facts.lastRestart?.process === process ? 'restarting' : 'again';
}
