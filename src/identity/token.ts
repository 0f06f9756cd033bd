import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { IdentityError } from './identity-error.ts';

/**
 * Enrolment tokens, `cyg1.<secret>.<pin>`: 32 random bytes that stand for one node's record, and the SHA-256 of the
 * mesh CA's public key, so that a new node can tell its coordinator from an impostor. Both in base64url, which has no dot.
 */

const TOKEN = /^cyg1\.([A-Za-z0-9_-]{43})\.([A-Za-z0-9_-]{43})$/;

export interface EnrolmentToken {
  /** base64url; goes to the coordinator, which keeps only its hash. */
  readonly secret: string;
  /** Hex SHA-256 of the CA's SubjectPublicKeyInfo. */
  readonly caPin: string;
}

/** A new token's text, for a CA with this pin (hex). Show it once; store `hashTokenSecret` of its secret. */
export function createToken(caPin: string): string {
  return `cyg1.${randomBytes(32).toString('base64url')}.${Buffer.from(caPin, 'hex').toString('base64url')}`;
}

/**
 * Reads a token as a person pasted it.
 * @throws IdentityError `bad-token`; the message never quotes the token
 */
export function parseToken(text: string): EnrolmentToken {
  const [, secret, pin] = TOKEN.exec(text.trim()) ?? [];
  if (secret === undefined || pin === undefined) throw new IdentityError('bad-token', explain(text.trim()));
  return { secret, caPin: Buffer.from(pin, 'base64url').toString('hex') };
}

function explain(text: string): string {
  if (text === '') return 'the token is empty';
  if (!text.startsWith('cyg1.')) return 'not an enrolment token: it must begin with "cyg1."';
  return 'the token is incomplete or damaged: "cyg1." is followed by two parts of 43 characters with a dot between them';
}

/** What the coordinator stores of a token: hex SHA-256 of the secret. Fast on purpose: 256 random bits cannot be guessed. */
export function hashTokenSecret(secret: string): string {
  return createHash('sha256').update(secret).digest('hex');
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
