import { z } from 'zod';
import { canonicalJson } from '../json.ts';
import { epochSchema } from './epoch.ts';
import { SigningError } from './signing-error.ts';
import { isSignedBy, publicKeySchema, type SigningKey, type SigningPublicKey } from './signing-key.ts';

/**
 * What the mesh's signing key says to a node. The text travels as it was signed, and nothing else is ever parsed: there is
 * no second encoding of a statement that could mean something different.
 */

/** Keeps a signature from being of use anywhere else, whatever else the same key may come to sign. */
const DOMAIN = 'cygnet signed statement 1\n';

export const STATEMENT_CHARACTERS_MAX = 2048;

const instant = z.number().int().min(0).max(8_640_000_000_000_000);
const name = z.string().min(1).max(63);

/** "In this epoch, generation so-and-so of this node's desired state is the text with this digest." */
export const stateStatementSchema = z.strictObject({
  kind: z.literal('state'),
  mesh: name,
  node: name,
  epoch: epochSchema,
  generation: z.number().int().min(1).max(Number.MAX_SAFE_INTEGER),
  /** Hex SHA-256 of the state's text. */
  digest: z.string().regex(/^[0-9a-f]{64}$/),
  issuedAtMs: instant,
  /** A node that does not hold the state by then must not take it any more; one that does keeps it. Null: no end. */
  notAfterMs: instant.nullable(),
  /** The state may take most of what the node has from it. */
  allowMassRemoval: z.boolean(),
});
export type StateStatement = Readonly<z.output<typeof stateStatementSchema>>;

/** "After the key that this is signed with comes that one." */
export const nextKeyStatementSchema = z.strictObject({
  kind: z.literal('next-key'),
  mesh: name,
  replaces: publicKeySchema,
  key: publicKeySchema,
  issuedAtMs: instant,
});
export type NextKeyStatement = Readonly<z.output<typeof nextKeyStatementSchema>>;

/** A statement as it travels and as it is stored. */
export const signedSchema = z.strictObject({
  text: z.string().max(STATEMENT_CHARACTERS_MAX),
  /** Which key signed it. */
  key: publicKeySchema,
  /** Base64url; empty when there is none. */
  signature: z.string().max(128),
});
export type Signed = Readonly<z.output<typeof signedSchema>>;

export function signStatement(statement: StateStatement | NextKeyStatement, key: SigningKey): Signed {
  const text = canonicalJson(statement);
  return { text, key: key.publicKey, signature: key.sign(signedBytes(text)) };
}

/**
 * What was said, once it is certain that one of the trusted keys has said it.
 * @throws SigningError
 */
export function openStatement<T>(signed: Signed, trusted: readonly SigningPublicKey[], schema: z.ZodType<T>): T {
  const { text, key, signature } = signed;
  if (signature === '') throw new SigningError('unsigned', 'it is not signed');
  if (!trusted.includes(key))
    throw new SigningError('unknown-key', `it is signed with the key ${key}, which is not trusted here`);
  if (!isSignedBy(key, signedBytes(text), signature)) {
    throw new SigningError('bad-signature', 'its signature does not fit: it was altered on the way');
  }
  const parsed = schema.safeParse(parseJson(text));
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const what = `${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}`.slice(0, 200);
  throw new SigningError('not-understood', `what is signed is not understood: ${what}`, { cause: parsed.error });
}

function signedBytes(text: string): Uint8Array {
  return Buffer.from(DOMAIN + text, 'utf8');
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new SigningError('not-understood', 'what is signed is no JSON', { cause });
  }
}
