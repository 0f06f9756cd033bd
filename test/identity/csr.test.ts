import { generateKeyPairSync } from 'node:crypto';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createCsr, verifyCsr } from '../../src/identity/csr.ts';
import { IdentityError } from '../../src/identity/identity-error.ts';
import { KEY_KINDS, generatePrivateKey } from '../../src/identity/keys.ts';
import { spkiSha256 } from '../../src/identity/spki.ts';
import { Pkcs10CertificateRequestGenerator } from '../../src/identity/x509.ts';
import { publicKeyOf } from './mesh.ts';

const badCsr = expect.objectContaining({ code: 'bad-csr' });

function derOf(pem: string): Buffer {
  return Buffer.from(pem.replaceAll(/-----.*-----|\s/g, ''), 'base64');
}

function pemOf(der: Uint8Array): string {
  const body = Buffer.from(der).toString('base64');
  return `-----BEGIN CERTIFICATE REQUEST-----\n${body}\n-----END CERTIFICATE REQUEST-----`;
}

describe('a CSR', () => {
  it.each(KEY_KINDS)('proves a key of kind %s', async (kind) => {
    const privateKey = await generatePrivateKey(kind);
    const verified = await verifyCsr(await createCsr(privateKey));
    expect(verified.kind).toBe(kind);
    expect(verified.spkiSha256).toBe(spkiSha256(publicKeyOf(privateKey)));
  });

  it('proves nothing once a bit of its signature or key is changed', async () => {
    const der = derOf(await createCsr(await generatePrivateKey('ecdsa-p256')));
    for (const position of [der.length - 1, 60]) {
      const forged = Uint8Array.from(der);
      forged[position]! ^= 1;
      await expect(verifyCsr(pemOf(forged))).rejects.toThrow(badCsr);
    }
  });

  it.each([
    ['nothing', ''],
    ['other text', 'hello'],
    ['no DER', pemOf(Buffer.from('hello'))],
    ['another PEM', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----'],
    ['two CSRs', `${pemOf(Buffer.from('a'))}\n${pemOf(Buffer.from('b'))}`],
    ['too much', pemOf(Buffer.alloc(16_384))],
    ['endless nesting', pemOf(Buffer.alloc(12_000, Buffer.from([0x30, 0x80])))],
  ])('is not %s', async (_what, text) => {
    await expect(verifyCsr(text)).rejects.toThrow(badCsr);
  });

  it('is not one for a curve that is not used here', async () => {
    const algorithm = { name: 'ECDSA', namedCurve: 'P-521', hash: 'SHA-512' };
    const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
    const csr = await Pkcs10CertificateRequestGenerator.create({ keys, signingAlgorithm: algorithm });
    await expect(verifyCsr(csr.toString('pem'))).rejects.toThrow('its key is of another kind');
  });

  it('is refused with an IdentityError, however it is damaged', async () => {
    const der = derOf(await createCsr(await generatePrivateKey('ecdsa-p256')));
    await fc.assert(
      fc.asyncProperty(fc.nat({ max: der.length - 1 }), fc.integer({ min: 1, max: 255 }), async (position, flip) => {
        const damaged = Uint8Array.from(der);
        damaged[position]! ^= flip;
        const outcome = await verifyCsr(pemOf(damaged)).catch((error: unknown) => error);
        // Bytes that say nothing, such as an attribute tag's, may change without harm; the key may not.
        if (!(outcome instanceof IdentityError)) expect(outcome).toHaveProperty('kind', 'ecdsa-p256');
      }),
    );
  });
});

describe('a private key', () => {
  it.each([
    ['of another kind', generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()],
    ['that is none', 'hello'],
  ])('%s makes no CSR', async (_what, pem) => {
    await expect(createCsr(pem)).rejects.toThrow(expect.objectContaining({ code: 'bad-key' }));
  });
});
