import { epochSchema } from '../../src/control/epoch.ts';
import type { CoordinatorFrame } from '../../src/control/frames.ts';
import { generateSigningKey, signingKeyOf, type SigningKey } from '../../src/control/signing-key.ts';
import { signStatement, stateStatementSchema, type Signed, type StateStatement } from '../../src/control/statement.ts';
import { digestOfText } from '../../src/json.ts';

/** The key of the mesh, and another one. */
export const MESH_KEY: SigningKey = signingKeyOf(generateSigningKey());
export const OTHER_KEY: SigningKey = signingKeyOf(generateSigningKey());

export const EPOCH = epochSchema.parse('1700000000-0123456789abcdef');
export const LATER_EPOCH = epochSchema.parse('1700000001-0123456789abcdef');

/** What is said about a state of edge1 in the mesh `mesh`. */
export function statementAbout(text: string, change: Partial<StateStatement> = {}): StateStatement {
  return {
    kind: 'state',
    mesh: 'mesh',
    node: 'edge1',
    epoch: EPOCH,
    generation: 5,
    digest: digestOfText(text),
    issuedAtMs: 1_700_000_000_000,
    notAfterMs: null,
    allowMassRemoval: false,
    ...change,
  };
}

export function signedState(text: string, change: Partial<StateStatement> = {}, key: SigningKey = MESH_KEY): Signed {
  return signStatement(statementAbout(text, change), key);
}

/** A frame that tells a node nothing new. */
export function unchanged(generation = 5): CoordinatorFrame {
  return { type: 'unchanged', signed: signedState('{}', { generation }) };
}

export function nextKey(from: SigningKey, to: SigningKey, mesh = 'mesh'): Signed {
  return signStatement({ kind: 'next-key', mesh, replaces: from.publicKey, key: to.publicKey, issuedAtMs: 1 }, from);
}

/** What a frame's statement says, believed as it is. */
export function claimIn({ signed }: { readonly signed: Signed }): StateStatement {
  return stateStatementSchema.parse(JSON.parse(signed.text));
}
