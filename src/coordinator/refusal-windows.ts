import type { AuditEntry } from './audit-record.ts';

/** Refusals of one kind within this time are written as two records at most. */
const WINDOW_MS = 10 * 60_000;
/** Kinds told apart within one window; the rest is counted together. */
const KINDS_MAX = 20;

interface Counted {
  readonly entry: AuditEntry;
  /** Not written yet. */
  waiting: number;
}

/**
 * Keeps whoever is refused from filling the audit log. Refusals are of one kind when all but their time and details is
 * the same. The first of a kind is written at once, the others when its window ends, as one record that says how many
 * there were: at most 2 * KINDS_MAX + 1 records in a window, whatever anybody does.
 */
export class RefusalWindows {
  readonly #kinds = new Map<string, Counted>();
  #others: Counted | undefined;
  #endsAtMs = 0;

  /** What is to be written now because of one more refusal; times are monotonic. */
  refused(entry: AuditEntry, monotonicMs: number): readonly AuditEntry[] {
    const due = this.due(monotonicMs);
    if (this.#kinds.size === 0) this.#endsAtMs = monotonicMs + WINDOW_MS;
    const kind = JSON.stringify([entry.actor, entry.remote, entry.action, entry.target, entry.outcome, entry.reason]);
    const known = this.#kinds.get(kind);
    if (known !== undefined) {
      known.waiting += 1;
      return due;
    }
    if (this.#kinds.size >= KINDS_MAX) {
      this.#others ??= { entry: othersOf(entry), waiting: 0 };
      this.#others.waiting += 1;
      return due;
    }
    this.#kinds.set(kind, { entry, waiting: 0 });
    return [...due, entry];
  }

  /** What is to be written because the window is over. */
  due(monotonicMs: number): readonly AuditEntry[] {
    return this.#kinds.size > 0 && monotonicMs >= this.#endsAtMs ? this.end() : [];
  }

  /** Ends the window before its time. */
  end(): readonly AuditEntry[] {
    const counted = [...this.#kinds.values(), ...(this.#others === undefined ? [] : [this.#others])];
    this.#kinds.clear();
    this.#others = undefined;
    return counted.filter(({ waiting }) => waiting > 0).map(({ entry, waiting }) => ({ ...entry, times: waiting }));
  }
}

function othersOf({ atMs, actor, outcome }: AuditEntry): AuditEntry {
  return {
    atMs,
    actor: { kind: actor.kind, name: null },
    remote: null,
    action: 'other',
    target: null,
    outcome,
    reason: `more than ${KINDS_MAX} kinds of refusals in ${WINDOW_MS / 60_000} minutes`,
    details: {},
    times: 1,
  };
}
