import type { Clock } from '../clock.ts';
import { messageOf } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { AuditEntry, AuditFacts, AuditRecord, ChainPosition } from './audit-record.ts';
import type { AuditStore } from './audit-store.ts';
import { RefusalWindows } from './refusal-windows.ts';

/** Above this many records the oldest are removed; some 100 MB. */
const RECORDS_MAX = 200_000;
/** Removed at once then. */
const REMOVED_AT_ONCE = 10_000;
const TEXT_LENGTH_MAX = 500;

/** Who tries something, and from where. */
export type Origin = Pick<AuditEntry, 'actor' | 'remote'>;
/** What an action was about. Never a secret; of a large text its digest. */
export type AuditDetails = AuditEntry['details'];

export interface AuditLogDeps {
  readonly store: AuditStore;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Who did what to the mesh, and who tried to. What changes the store is recorded in the same transaction. */
export class AuditLog {
  readonly #deps: AuditLogDeps;
  /** By the kind of who is refused, so that strangers, or a revoked node, do not hide what others are refused. */
  readonly #refusals: Readonly<Record<AuditEntry['actor']['kind'], RefusalWindows>> = {
    socket: new RefusalWindows(),
    'api-token': new RefusalWindows(),
    node: new RefusalWindows(),
    stranger: new RefusalWindows(),
    coordinator: new RefusalWindows(),
  };

  constructor(deps: AuditLogDeps) {
    this.#deps = deps;
  }

  /** Begins an attempt, which its user must end. */
  begin(action: string, origin: Origin): Attempt {
    return new Attempt(this, action, origin);
  }

  /** Begins an attempt of the coordinator's own. */
  beginOwn(action: string): Attempt {
    return this.begin(action, { actor: { kind: 'coordinator', name: null }, remote: null });
  }

  after(id: number, limit: number): readonly AuditRecord[] {
    return this.#deps.store.after(id, limit);
  }

  get start(): ChainPosition {
    return this.#deps.store.start();
  }

  get head(): ChainPosition {
    return this.#deps.store.head();
  }

  /** The place of a record that is kept. */
  position(id: number): ChainPosition | undefined {
    return this.#deps.store.position(id);
  }

  /** Removes the records up to this one, which is kept now, and records that. */
  prune(through: ChainPosition, attempt: Attempt): void {
    attempt.about(null, { through: through.id, hash: through.hash });
    attempt.commit(() => this.#deps.store.removeThrough(through));
  }

  /** Writes what has waited long enough; `all`: and the rest, before the end. Never throws. */
  flush({ all }: { readonly all: boolean } = { all: false }): void {
    const nowMs = this.#deps.clock.monotonicMs();
    for (const windows of Object.values(this.#refusals)) {
      for (const entry of all ? windows.end() : windows.due(nowMs)) this.#appendRefusal(entry);
    }
    this.#keepBounded();
  }

  /** For an Attempt: runs a change of the store and writes the entry, both or neither. */
  change<T>(work: () => T, entryOf: (result: T) => AuditFacts): T {
    const { result, record } = this.#deps.store.change(work, (result) => this.#complete(entryOf(result)));
    this.#tell(record);
    return result;
  }

  /** For an Attempt: a refusal, which is counted together with others like it. Never throws. */
  refused(entry: AuditFacts): void {
    const windows = this.#refusals[entry.actor.kind];
    const due = windows.refused(this.#complete(entry), this.#deps.clock.monotonicMs());
    for (const each of due) this.#appendRefusal(each);
  }

  #complete(entry: AuditFacts): AuditEntry {
    return { ...bounded(entry), atMs: this.#deps.clock.nowMs(), times: 1 };
  }

  /** Nothing has changed, so the refusal must go out even when it cannot be recorded. */
  #appendRefusal(entry: AuditEntry): void {
    try {
      this.#tell(this.#deps.store.append(entry));
    } catch (error) {
      this.#deps.logger.error({ err: error, action: entry.action }, 'refusal could not be recorded');
    }
  }

  /** A second place for the hashes, so that who can change the database cannot make a chain of his own unnoticed. */
  #tell({ id, action, target, outcome, hash }: AuditRecord): void {
    this.#deps.logger.info({ auditId: id, action, target, outcome, auditHash: hash }, 'audit');
  }

  #keepBounded(): void {
    try {
      const { id } = this.start;
      if (this.head.id - id <= RECORDS_MAX) return;
      const position = this.position(id + REMOVED_AT_ONCE);
      if (position === undefined) return;
      const attempt = this.beginOwn('audit.prune');
      this.prune(position, attempt);
    } catch (error) {
      this.#deps.logger.error({ err: error }, 'old audit records could not be removed');
    }
  }
}

/** One attempt to change something, from the moment it is known who tries what. It leaves one record, at most. */
export class Attempt {
  readonly #log: AuditLog;
  readonly #action: string;
  readonly #origin: Origin;
  #target: string | null = null;
  #details: AuditDetails = {};
  #isSettled = false;

  constructor(log: AuditLog, action: string, origin: Origin) {
    this.#log = log;
    this.#action = action;
    this.#origin = origin;
  }

  /** Says what it is about, as far as is known; may be called again with more. */
  about(target: string | null, details: AuditDetails = {}): void {
    this.#target = target;
    this.#details = { ...this.#details, ...details };
  }

  /** Runs the change of the store and records it, in one transaction. What `change` throws undoes both. */
  commit<T>(change: () => T, detailsOf: (result: T) => AuditDetails = () => ({})): T {
    const result = this.#log.change(change, (result) => {
      this.#details = { ...this.#details, ...detailsOf(result) };
      return this.#entry('done', null);
    });
    this.#isSettled = true;
    return result;
  }

  /** Nothing was to be changed: there is nothing to record. */
  changedNothing(): void {
    this.#isSettled = true;
  }

  /** It has ended well. Records it, unless a `commit` has. */
  succeeded(): void {
    if (!this.#isSettled) this.commit(() => undefined);
  }

  /** Somebody was refused something; `reason` is for people. */
  refused(reason: string): void {
    this.#end('refused', reason);
  }

  /** It could not be done, through no fault of who tried. */
  failed(error: unknown): void {
    this.#end('failed', messageOf(error));
  }

  #end(outcome: 'refused' | 'failed', reason: string): void {
    if (this.#isSettled) return;
    this.#isSettled = true;
    this.#log.refused(this.#entry(outcome, reason));
  }

  #entry(outcome: AuditEntry['outcome'], reason: string | null): AuditFacts {
    const details = this.#details;
    return { ...this.#origin, action: this.#action, target: this.#target, outcome, reason, details };
  }
}

/** Some of it is from outside. */
function bounded(entry: AuditFacts): AuditFacts {
  const clipped = (text: string | null): string | null => text?.slice(0, TEXT_LENGTH_MAX) ?? null;
  const details = Object.entries(entry.details).map(([name, value]) => {
    return [name, typeof value === 'string' ? value.slice(0, TEXT_LENGTH_MAX) : value] as const;
  });
  return {
    ...entry,
    target: clipped(entry.target),
    reason: clipped(entry.reason),
    details: Object.fromEntries(details),
  };
}
