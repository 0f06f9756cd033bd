import { generateKeyPairSync } from 'node:crypto';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { epochNumber, epochSchema, nextEpoch } from '../../src/control/epoch.ts';
import type { SigningErrorCode } from '../../src/control/signing-error.ts';
import { generateSigningKey, publicKeyPem, signingKeyOf, signingPublicKeyOf } from '../../src/control/signing-key.ts';
import {
  nextKeyStatementSchema,
  openStatement,
  stateStatementSchema,
  type Signed,
} from '../../src/control/statement.ts';
import { MESH_KEY, nextKey, OTHER_KEY, signedState, statementAbout } from './statements.ts';

const trusted = [MESH_KEY.publicKey];
const open = (signed: Signed) => openStatement(signed, trusted, stateStatementSchema);
const refused = (code: SigningErrorCode) => expect.objectContaining({ name: 'SigningError', code });

describe('a statement', () => {
  it('is believed when a trusted key has signed it', () => expect(open(signedState('x'))).toEqual(statementAbout('x')));

  it.each<[string, Signed, SigningErrorCode]>([
    ['without a signature', { ...signedState('x'), signature: '' }, 'unsigned'],
    ['of another key', signedState('x', {}, OTHER_KEY), 'unknown-key'],
    ['with another’s signature', { ...signedState('x'), signature: signedState('y').signature }, 'bad-signature'],
    ['of another kind', nextKey(MESH_KEY, OTHER_KEY), 'not-understood'],
  ])('%s is not', (_what, signed, code) => expect(() => open(signed)).toThrow(refused(code)));

  it('is not with any character altered', () => {
    const signed = signedState('x');
    fc.assert(
      fc.property(fc.constantFrom('text', 'signature'), fc.nat(), fc.string({ maxLength: 1 }), (part, at, put) => {
        const index = at % signed[part].length;
        const text = signed[part].slice(0, index) + put + signed[part].slice(index + 1);
        fc.pre(text !== signed[part]);
        // Base64url has several spellings for the last bits of a signature; they are the same signature.
        fc.pre(part === 'text' || !Buffer.from(text, 'base64url').equals(Buffer.from(signed.signature, 'base64url')));
        expect(() => open({ ...signed, [part]: text })).toThrow(refused('bad-signature'));
      }),
      { numRuns: 200 },
    );
  });

  it('is of no use for anything else that the key may sign', () => {
    const signed = signedState('x');
    const bare = { ...signed, signature: MESH_KEY.sign(Buffer.from(signed.text)) };
    expect(() => open(bare)).toThrow(refused('bad-signature'));
    expect(() => openStatement(signed, trusted, nextKeyStatementSchema)).toThrow(refused('not-understood'));
  });
});

describe('a signing key', () => {
  it('is read as it was written', () => {
    const pem = generateSigningKey();
    const { publicKey } = signingKeyOf(pem);
    expect(signingPublicKeyOf(publicKeyPem(publicKey))).toBe(publicKey);
  });

  it('is Ed25519, in PEM, and public where it is to be', () => {
    const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const wrong = ec.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    expect(() => signingKeyOf(wrong)).toThrow(/no Ed25519 key/);
    expect(() => signingKeyOf('x')).toThrow(refused('bad-key'));
    expect(() => signingPublicKeyOf(generateSigningKey())).toThrow(/it is the private key/);
  });
});

describe('an epoch', () => {
  it('is later than the one before, and than any that was made earlier', () => {
    const first = nextEpoch(undefined, 1_700_000_000_000);
    expect(epochNumber(first)).toBe(1_700_000_000);
    const second = nextEpoch(first, 1_700_000_000_000);
    expect(epochNumber(second)).toBe(1_700_000_001);
    expect(epochNumber(nextEpoch(first, 1_800_000_000_000))).toBe(1_800_000_000);
    expect(nextEpoch(first, 0)).not.toBe(second);
  });

  it.each([
    '',
    '0-0123456789abcdef',
    '1-0123456789abcde',
    '1-0123456789ABCDEF',
    '123456789012345-0123456789abcdef',
    'x',
  ])('%j is none', (text) => expect(epochSchema.safeParse(text).success).toBe(false));
});
