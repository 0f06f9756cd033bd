import { z } from 'zod';
import type { NodeName } from '../ike/connection.ts';
import type { DesiredState } from '../ike/desired-state.ts';
import { canonicalJson, digestOf } from '../json.ts';
import type { Database } from './database.ts';

/** Older texts of the spec are forgotten. */
const REVISIONS_MAX = 100;

const revisionRow = z.object({ revision: z.number(), text: z.string(), applied_at_ms: z.number() });
const stateRow = z.object({
  node: z.string(),
  generation: z.number(),
  digest: z.string(),
  state: z.string(),
  allow_mass_removal: z.number(),
});
const addressRow = z.object({ node: z.string(), address: z.string() });
const versionRow = stateRow.omit({ state: true });

/** One text of the mesh spec that was applied. */
export interface SpecRevision {
  readonly revision: number;
  readonly text: string;
  readonly appliedAtMs: number;
}

/** A desired state's place in the order of all that a node was ever told. */
export interface StateVersion {
  /** The spec revision that changed this node last. */
  readonly generation: number;
  /** Of the state's text. */
  readonly digest: string;
  /** The operator meant it to take most of what the node has. */
  readonly allowMassRemoval: boolean;
}

export interface VersionedState extends StateVersion {
  /** A DesiredState as canonical JSON. */
  readonly text: string;
}

/** What a spec comes to. */
export interface Compiled {
  readonly states: ReadonlyMap<NodeName, DesiredState>;
  readonly addresses: ReadonlyMap<NodeName, string>;
}

export interface ApplyOutcome {
  readonly revision: number;
  readonly changed: readonly NodeName[];
}

export interface ApplyOptions {
  /** Ms since the epoch. */
  readonly nowMs: number;
  /** Whether the node may lose most of what it has. */
  readonly mayRemove: (node: NodeName) => boolean;
}

/** The spec and what was compiled from it. */
export class MeshStore {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  currentSpec(): SpecRevision | undefined {
    const row = this.#database.get(revisionRow, 'SELECT * FROM spec_revisions ORDER BY revision DESC LIMIT 1');
    return row && { revision: row.revision, text: row.text, appliedAtMs: row.applied_at_ms };
  }

  /** Which version of its state each node is to have. */
  versions(): ReadonlyMap<NodeName, StateVersion> {
    const rows = this.#database.all(versionRow, 'SELECT node, generation, digest, allow_mass_removal FROM node_states');
    return new Map(rows.map((row) => [row.node as NodeName, versionOf(row)]));
  }

  state(node: NodeName): VersionedState | undefined {
    const row = this.#database.get(stateRow, 'SELECT * FROM node_states WHERE node = ?', node);
    return row && { ...versionOf(row), text: row.state };
  }

  /** The mesh address that each node has, or had when it was last part of a spec. */
  addresses(): ReadonlyMap<NodeName, string> {
    const rows = this.#database.all(addressRow, 'SELECT node, address FROM mesh_addresses');
    return new Map(rows.map(({ node, address }) => [node as NodeName, address]));
  }

  /** The nodes whose stored state differs from the given one. */
  changes(states: ReadonlyMap<NodeName, DesiredState>): readonly NodeName[] {
    const versions = this.versions();
    return [...states].filter(([node, state]) => versions.get(node)?.digest !== digestOf(state)).map(([node]) => node);
  }

  /**
   * Makes this the spec in force, with the nodes' mesh addresses, in one transaction. A node whose state changed gets the new revision as its
   * generation, all others keep theirs. When neither text nor any state changed there is no new revision.
   */
  apply(text: string, { states, addresses }: Compiled, { nowMs, mayRemove }: ApplyOptions): ApplyOutcome {
    return this.#database.transaction(() => {
      const current = this.currentSpec();
      const changed = this.changes(states);
      const allowed = new Set([...states.keys()].filter(mayRemove));
      this.#allowRemovals(allowed);
      if (current?.text === text && changed.length === 0) return { revision: current.revision, changed };
      const revision = this.#insertRevision(text, nowMs);
      for (const node of changed) this.#putState(node, states.get(node), revision, allowed.has(node));
      for (const [node, address] of addresses) this.#putAddress(node, address);
      return { revision, changed };
    });
  }

  #insertRevision(text: string, nowMs: number): number {
    this.#database.run('INSERT INTO spec_revisions (text, applied_at_ms) VALUES (?, ?)', text, nowMs);
    const revision = this.currentSpec()?.revision ?? 0;
    this.#database.run('DELETE FROM spec_revisions WHERE revision <= ?', revision - REVISIONS_MAX);
    return revision;
  }

  #putAddress(node: NodeName, address: string): void {
    this.#database.run('INSERT OR REPLACE INTO mesh_addresses (node, address) VALUES (?, ?)', node, address);
  }

  #allowRemovals(nodes: Iterable<NodeName>): void {
    for (const node of nodes) this.#database.run('UPDATE node_states SET allow_mass_removal = 1 WHERE node = ?', node);
  }

  #putState(node: NodeName, state: DesiredState | undefined, generation: number, allowMassRemoval: boolean): void {
    this.#database.run(
      'INSERT OR REPLACE INTO node_states (node, generation, digest, state, allow_mass_removal) VALUES (?, ?, ?, ?, ?)',
      node,
      generation,
      digestOf(state),
      canonicalJson(state),
      allowMassRemoval ? 1 : 0,
    );
  }
}

function versionOf(row: z.output<typeof versionRow>): StateVersion {
  return { generation: row.generation, digest: row.digest, allowMassRemoval: row.allow_mass_removal === 1 };
}
