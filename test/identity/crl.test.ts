import 'reflect-metadata';
import { randomBytes } from 'node:crypto';
import { assert, property, uint8Array } from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { CRL_BYTES_MAX, CRL_ENTRIES_MAX, issueCrl, verifyCrl, type CrlContent } from '../../src/identity/crl.ts';
import type { MeshCa } from '../../src/identity/mesh-ca.ts';
import { X509Certificate, X509Crl } from '@peculiar/x509';
import { meshCa } from './mesh.ts';

const NOW = Date.UTC(2026, 0, 2, 3, 4, 5);
const refused = expect.objectContaining({ name: 'IdentityError', code: 'bad-crl' });

let ca: MeshCa;

beforeAll(async () => {
  ca = await meshCa();
});

function crl(change: Partial<CrlContent> = {}): Uint8Array {
  const entries = [{ serial: 'ff01', revokedAtMs: NOW - 1000 }];
  return issueCrl(ca, { number: 300, nowMs: NOW, nextUpdateMs: NOW + 86_400_000, entries, ...change });
}

describe('a CRL', () => {
  it('says what it was given, to another reader as well', async () => {
    const read = new X509Crl(crl());
    expect(read.entries.map(({ serialNumber, revocationDate }) => [serialNumber, revocationDate.getTime()])).toEqual([
      ['ff01', NOW - 1000],
    ]);
    expect(read.thisUpdate.getTime()).toBe(NOW - 3_600_000);
    expect(read.nextUpdate?.getTime()).toBe(NOW + 86_400_000);
    expect(await read.verify({ publicKey: new X509Certificate(ca.certificatePem) })).toBe(true);
  });

  it('is accepted with its number, empty as well', () => {
    for (const number of [1, 127, 128, 300, 1_767_000_000, Number.MAX_SAFE_INTEGER]) {
      expect(verifyCrl(crl({ number }), ca.certificatePem).number).toBe(number);
      expect(verifyCrl(crl({ number, entries: [] }), ca.certificatePem).number).toBe(number);
    }
  });

  it('at its largest fits into what charon takes, and is made in no time', () => {
    const entries = Array.from({ length: CRL_ENTRIES_MAX }, () => ({
      serial: `ff${randomBytes(19).toString('hex')}`,
      revokedAtMs: Date.UTC(2060, 0),
    }));
    const der = crl({ entries });
    expect(der.byteLength).toBeLessThan(CRL_BYTES_MAX);
    expect(verifyCrl(der, ca.certificatePem).number).toBe(300);
  });

  it('of another CA of the same name is refused', async () => {
    const other = await meshCa();
    expect(() => verifyCrl(crl(), other.certificatePem)).toThrow(refused);
  });

  it('with anything changed, cut off or put behind it is refused', () => {
    const der = Buffer.from(crl());
    for (let offset = 0; offset < der.length; offset += 1) {
      const changed = Buffer.from(der);
      changed[offset] = (changed[offset] ?? 0) ^ 0x01;
      expect(() => verifyCrl(changed, ca.certificatePem)).toThrow(refused);
      expect(() => verifyCrl(der.subarray(0, offset), ca.certificatePem)).toThrow(refused);
    }
    expect(() => verifyCrl(Buffer.concat([der, Buffer.of(0)]), ca.certificatePem)).toThrow(refused);
    expect(() => verifyCrl(Buffer.alloc(CRL_BYTES_MAX + 1), ca.certificatePem)).toThrow(refused);
  });

  it('is refused without a crash, whatever it is', () => {
    assert(
      property(uint8Array({ maxLength: 200 }), (bytes) => {
        expect(() => verifyCrl(bytes, ca.certificatePem)).toThrow(refused);
      }),
    );
  });
});
