import { randomBytes, timingSafeEqual } from 'node:crypto';
import { digestOfText } from '../json.ts';
import { IdentityError } from './identity-error.ts';

/**
 * Tokens, `<prefix>.<secret>.<pin>`: 32 random bytes that stand for something that the coordinator knows, and the SHA-256
 * of the mesh CA's public key, so that their holder can tell the coordinator from an impostor. Both in base64url, which has
 * no dot. An enrolment token (`cyg1`) lets a node in; an API token (`cyga1`) is an operator's, away from the coordinator.
 */

const PREFIXES = { enrolment: 'cyg1', api: 'cyga1' } as const;
const REST = /^\.([A-Za-z0-9_-]{43})\.([A-Za-z0-9_-]{43})$/;

export type TokenKind = keyof typeof PREFIXES;

export interface Token {
  /** base64url; goes to the coordinator, which keeps only its hash. */
  readonly secret: string;
  /** Hex SHA-256 of the CA's SubjectPublicKeyInfo. */
  readonly caPin: string;
}

/** A new token's text, for a CA with this pin (hex). Show it once; store `hashTokenSecret` of its secret. */
export function createToken(caPin: string, kind: TokenKind = 'enrolment'): string {
  const secret = randomBytes(32).toString('base64url');
  return `${PREFIXES[kind]}.${secret}.${Buffer.from(caPin, 'hex').toString('base64url')}`;
}

/**
 * Reads a token as a person pasted it.
 * @throws IdentityError `bad-token`; the message never quotes the token
 */
export function parseToken(text: string, kind: TokenKind = 'enrolment'): Token {
  const trimmed = text.trim();
  const prefix = PREFIXES[kind];
  const [, secret, pin] = (trimmed.startsWith(prefix) && REST.exec(trimmed.slice(prefix.length))) || [];
  if (secret === undefined || pin === undefined) throw new IdentityError('bad-token', explain(trimmed, kind));
  return { secret, caPin: Buffer.from(pin, 'base64url').toString('hex') };
}

function explain(text: string, kind: TokenKind): string {
  const prefix = `${PREFIXES[kind]}.`;
  if (text === '') return 'the token is empty';
  if (!text.startsWith(prefix)) {
    return `not an ${kind === 'api' ? 'API' : 'enrolment'} token: it must begin with "${prefix}"`;
  }
  return `the token is incomplete or damaged: "${prefix}" is followed by two parts of 43 characters with a dot between them`;
}

/** What the coordinator stores of a token: hex SHA-256 of the secret. Fast on purpose: 256 random bits cannot be guessed. */
export function hashTokenSecret(secret: string): string {
  return digestOfText(secret);
}

/** Hex digits of a token's hash that are its id. */
const ID_LENGTH = 12;

/** What operators call a token by: the beginning of its hash, which tells nothing of the secret. */
export function tokenIdOf(hash: string): string {
  return hash.slice(0, ID_LENGTH);
}

/** Compares two hashes of tokens in the same time wherever they differ. */
export function tokenHashesMatch(one: string, other: string): boolean {
  const [a, b] = [Buffer.from(one, 'hex'), Buffer.from(other, 'hex')];
  return a.length === b.length && timingSafeEqual(a, b);
}
