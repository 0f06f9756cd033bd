import { z } from 'zod';
import { epochSchema, nextEpoch, type Epoch } from '../control/epoch.ts';
import { publicKeySchema, type SigningPublicKey } from '../control/signing-key.ts';
import { signedSchema, type Signed } from '../control/statement.ts';
import type { NodeName } from '../ike/connection.ts';
import type { Database } from './database.ts';

const metaRow = z.object({ value: z.string() });
const keyRow = z.object({ key: publicKeySchema, introduction: z.string().nullable() });
const issuedRow = z.object({
  node: z.string(),
  signed: z.string(),
  state: z.string(),
  base: z.string().nullable(),
  delta: z.string().nullable(),
});
const signedRow = issuedRow.pick({ node: true, signed: true });

/** A signing key and the statement of the one before it; the first has none. */
export interface ChainedKey {
  readonly key: SigningPublicKey;
  readonly introduction: Signed | undefined;
}

/** What a node may be told. */
export interface IssuedState {
  readonly signed: Signed;
  /** The state in JSON, as its digest was signed. */
  readonly state: string;
  /** From the state that was issued before, where that is much smaller than the whole. */
  readonly delta: { readonly base: string; readonly text: string } | undefined;
}

/** Runs a change of the store, with what else belongs into its transaction. */
export type Commit = (change: () => void) => void;

/** Epoch, signing keys, and the states that are signed. */
export class SigningStore {
  readonly #database: Database;

  /** Makes the store's first epoch when it has none. */
  constructor(database: Database, nowMs: number) {
    this.#database = database;
    if (this.#meta('epoch') === undefined) this.#putEpoch(nextEpoch(undefined, nowMs));
  }

  /** The history of generations that this store tells of. */
  get epoch(): Epoch {
    return epochSchema.parse(this.#meta('epoch'));
  }

  /** After a restore, until a spec is applied: what the backup holds may be long out of date, and nobody is told of it. */
  get isHeldBack(): boolean {
    return this.#meta('held-back') !== undefined;
  }

  /**
   * For a store that comes from a backup. Its generations were handed out a second time, for other states: nodes tell the
   * two histories apart by the epoch. Nothing is issued in the new one before a spec was applied.
   */
  newEpoch(nowMs: number): Epoch {
    return this.#database.transaction(() => {
      const epoch = nextEpoch(this.epoch, nowMs);
      this.#putEpoch(epoch);
      this.#database.run("INSERT OR REPLACE INTO meta (key, value) VALUES ('held-back', '')");
      this.#database.run('DELETE FROM issued_states');
      // A consent was for what the nodes had then.
      this.#database.run('UPDATE node_states SET allow_mass_removal = 0');
      this.#database.run('UPDATE node_statuses SET outcome = NULL');
      return epoch;
    });
  }

  /** A spec was applied to what the backup held. */
  release(): void {
    this.#database.run("DELETE FROM meta WHERE key = 'held-back'");
  }

  /** Oldest first. */
  keys(): readonly ChainedKey[] {
    const rows = this.#database.all(keyRow, 'SELECT key, introduction FROM signing_keys ORDER BY position');
    return rows.map(({ key, introduction }) => ({
      key,
      introduction: introduction === null ? undefined : signedOf(introduction),
    }));
  }

  /** The key that signs from now on. */
  addKey({ key, introduction }: ChainedKey): void {
    const text = introduction === undefined ? null : JSON.stringify(introduction);
    this.#database.run('INSERT INTO signing_keys (key, introduction) VALUES (?, ?)', key, text);
  }

  /** The statement of each issued state. */
  statements(): ReadonlyMap<NodeName, Signed> {
    const rows = this.#database.all(signedRow, 'SELECT node, signed FROM issued_states');
    return new Map(rows.map(({ node, signed }) => [node as NodeName, signedOf(signed)]));
  }

  issued(node: NodeName): IssuedState | undefined {
    const row = this.#database.get(issuedRow, 'SELECT * FROM issued_states WHERE node = ?', node);
    if (row === undefined) return undefined;
    const { signed, state, base, delta } = row;
    return {
      signed: signedOf(signed),
      state,
      delta: base === null || delta === null ? undefined : { base, text: delta },
    };
  }

  /** Issues all of them, in one transaction. */
  issue(states: Iterable<readonly [NodeName, IssuedState]>): void {
    this.#database.transaction(() => {
      for (const [node, { signed, state, delta }] of states) {
        this.#database.run(
          'INSERT OR REPLACE INTO issued_states (node, signed, state, base, delta) VALUES (?, ?, ?, ?, ?)',
          node,
          JSON.stringify(signed),
          state,
          delta?.base ?? null,
          delta?.text ?? null,
        );
      }
    });
  }

  #meta(key: 'epoch' | 'held-back'): string | undefined {
    return this.#database.get(metaRow, 'SELECT value FROM meta WHERE key = ?', key)?.value;
  }

  #putEpoch(epoch: Epoch): void {
    this.#database.run("INSERT OR REPLACE INTO meta (key, value) VALUES ('epoch', ?)", epoch);
  }
}

function signedOf(text: string): Signed {
  return signedSchema.parse(JSON.parse(text));
}
