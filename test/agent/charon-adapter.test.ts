import { describe, expect, it } from 'vitest';
import { charonCredentials, requestDigest } from '../../src/agent/charon-adapter.ts';
import { child, mediatedPeer, spoke } from '../reconcile/builders.ts';

const parts = { own: Uint8Array.of(1, 2), ca: Uint8Array.of(3), privateKey: Uint8Array.of(4) };

describe('the digest of the credentials', () => {
  it('is the same for the same three', () =>
    expect(charonCredentials(parts).digest).toBe(charonCredentials({ ...parts }).digest));

  it.each([
    ['key', { ...parts, privateKey: Uint8Array.of(5) }],
    ['certificate', { ...parts, own: Uint8Array.of(1) }],
    ['CA', { ...parts, ca: Uint8Array.of(2, 3) }],
    ['border between them', { ...parts, own: Uint8Array.of(1), ca: Uint8Array.of(2, 3) }],
  ])('changes with the %s', (_what, changed) =>
    expect(charonCredentials(changed).digest).not.toBe(charonCredentials(parts).digest),
  );
});

describe('the digest of a request', () => {
  const credentials = charonCredentials(parts);
  const before = requestDigest(spoke(), credentials);

  it('is the same for the same request', () => expect(requestDigest(spoke(), credentials)).toBe(before));

  it.each([
    ['a field of the connection', requestDigest({ ...spoke(), localId: 'other' }, credentials)],
    ['a field of a child', requestDigest(spoke([child('edge1--remote', { priority: 1999 })]), credentials)],
    ['another CA besides', requestDigest(spoke(), charonCredentials({ ...parts, otherCa: Uint8Array.of(9) }))],
    ['the CA', requestDigest(spoke(), charonCredentials({ ...parts, ca: Uint8Array.of(9) }))],
    ['the connection', requestDigest(mediatedPeer(), credentials)],
  ])('changes with %s', (_what, digest) => expect(digest).not.toBe(before));

  it('does not change with key and certificate: a renewal must not replace a connection', () => {
    const renewed = charonCredentials({ ...parts, own: Uint8Array.of(9), privateKey: Uint8Array.of(8) });
    expect(requestDigest(spoke(), renewed)).toBe(before);
  });

  it('does not change with what charon is not told', () => {
    const otherLink = { ...spoke(), children: spoke().children.map((one) => ({ ...one, start: 'add' as const })) };
    expect(requestDigest(otherLink, credentials)).toBe(before);
  });
});
