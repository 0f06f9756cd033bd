import {
  openStatement,
  SigningError,
  stateStatementSchema,
  type SigningKey,
  type UnsignedReply,
} from '../coordinator/api.ts';
import { desiredStateSchema, type DesiredState } from '../ike/desired-state.ts';
import { massRemovalOf } from '../ike/mass-removal.ts';
import { changesBetween, type StateChange } from '../ike/state-changes.ts';
import { digestOfText } from '../json.ts';
import { CliError } from './cli-error.ts';

export type UnsignedState = UnsignedReply['states'][number];

/** What a signature would do to one node. The coordinator's word counts for nothing here: the states speak for themselves. */
export interface Review extends StateChange {
  readonly node: string;
  readonly generation: number;
  /** Hex SHA-256 of the state, which is what is signed. */
  readonly digest: string;
  readonly allowMassRemoval: boolean;
  /** "3 of its 4 connections"; null when it takes less. */
  readonly loss: string | null;
  /** What the node has now is proven by this key; otherwise all is shown as added. */
  readonly isCompared: boolean;
}

/** Throws a CliError when the state must not be signed. */
export function reviewOf(unsigned: UnsignedState, mesh: string, key: SigningKey): Review {
  const { node, generation, allowMassRemoval, text } = unsigned;
  const after = stateIn(text);
  if (after?.node !== node || after.mesh !== mesh) {
    throw new CliError(
      'not-understood',
      `${node}: its state is none of this node in mesh ${mesh}, or one of a later version`,
    );
  }
  const before = provenState(unsigned, mesh, key);
  return {
    node,
    generation,
    digest: digestOfText(text),
    allowMassRemoval,
    loss: (before && massRemovalOf(before, after)) ?? null,
    isCompared: before !== undefined,
    ...changesBetween(before, after),
  };
}

/** The state that this key has signed for the node before; undefined when there is none. */
function provenState({ node, issued }: UnsignedState, mesh: string, key: SigningKey): DesiredState | undefined {
  if (issued === null) return undefined;
  try {
    const statement = openStatement(issued.signed, [key.publicKey], stateStatementSchema);
    const isOfNode = statement.node === node && statement.mesh === mesh;
    return isOfNode && statement.digest === digestOfText(issued.state) ? stateIn(issued.state) : undefined;
  } catch (error) {
    if (error instanceof SigningError) return undefined;
    throw error;
  }
}

function stateIn(text: string): DesiredState | undefined {
  try {
    return desiredStateSchema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}
