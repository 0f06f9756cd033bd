import 'reflect-metadata';
import { X509Certificate } from 'node:crypto';
import { X509Crl } from '@peculiar/x509';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { CoordinatorFrame } from '../../src/control/frames.ts';
import { RevocationList } from '../../src/coordinator/revocation-list.ts';
import { verifyCrl } from '../../src/identity/crl.ts';
import type { MeshCa } from '../../src/identity/mesh-ca.ts';
import type { NodeName } from '../../src/ike/connection.ts';
import { createLogger } from '../../src/log.ts';
import { meshCa } from '../identity/mesh.ts';
import { CoreFixture } from './core-fixture.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;
const EDGE1 = 'edge1' as NodeName;

let ca: MeshCa;
let mesh: CoreFixture;

beforeAll(async () => {
  ca = await meshCa();
});
beforeEach(async () => {
  mesh = new CoreFixture(ca);
  await mesh.enrol('edge1');
});
afterEach(() => mesh[Symbol.dispose]());

function listOf(issuer = ca): RevocationList {
  const clock = { nowMs: () => mesh.nowMs, monotonicMs: () => 0 };
  const store = mesh.store.admission.revocations;
  const registry = { sendToAll: () => undefined };
  return new RevocationList({ ca: issuer, store, registry, clock, logger: createLogger('test', 'silent') });
}

function derIn(frame: CoordinatorFrame | undefined): Buffer {
  return frame?.type === 'crl' ? Buffer.from(frame.der, 'base64') : expect.fail('no list');
}

const numberIn = (frame: CoordinatorFrame | undefined): number => verifyCrl(derIn(frame), ca.certificatePem).number;

describe('the CRL of a mesh', () => {
  it('is not there before a certificate was revoked', () => {
    const list = listOf();
    expect(list.renew()).toBe(false);
    expect(list.frame).toBeUndefined();
  });

  it('lists both certificates of a revoked node', () => {
    const record = mesh.store.admission.node(EDGE1) ?? expect.fail('not enrolled');
    mesh.store.admission.revoke(EDGE1, null, mesh.nowMs);
    const list = listOf();
    expect(list.renew()).toBe(true);
    const serials = new X509Crl(derIn(list.frame)).entries.map(({ serialNumber }) => serialNumber);
    for (const pem of [record.channelCertificate, record.ikeCertificate!]) {
      expect(serials).toContain(new X509Certificate(pem).serialNumber.toLowerCase());
    }
  });

  it('stays the same, through a restart too, until half of its life is over', () => {
    mesh.store.admission.revoke(EDGE1, null, mesh.nowMs);
    const list = listOf();
    list.renew();
    const { frame } = list;
    mesh.nowMs += 3 * DAY_MS;
    expect(list.renew()).toBe(false);
    mesh.restart();
    const next = listOf();
    expect(next.renew()).toBe(false);
    expect(next.frame).toEqual(frame);
    mesh.nowMs += DAY_MS;
    expect(next.renew()).toBe(true);
    expect(numberIn(next.frame)).toBeGreaterThan(numberIn(frame));
  });

  it('is made anew when the clock was ahead by more than an hour', () => {
    mesh.store.admission.revoke(EDGE1, null, mesh.nowMs);
    const list = listOf();
    list.renew();
    const first = numberIn(list.frame);
    mesh.nowMs -= HOUR_MS;
    expect(list.renew()).toBe(false);
    mesh.nowMs -= 1;
    expect(list.renew()).toBe(true);
    expect(numberIn(list.frame)).toBe(first + 1);
  });

  it('is made anew with each node that is revoked, and its number rises when the clock was set back', async () => {
    await mesh.enrol('edge2');
    const list = listOf();
    mesh.store.admission.revoke(EDGE1, null, mesh.nowMs);
    list.renew();
    const first = numberIn(list.frame);
    mesh.nowMs -= DAY_MS;
    mesh.store.admission.revoke('edge2' as NodeName, null, mesh.nowMs);
    expect(list.renew()).toBe(true);
    expect(numberIn(list.frame)).toBe(first + 1);
  });

  it('has a later number than any before it when the coordinator comes from a backup', () => {
    mesh.store.admission.revoke(EDGE1, null, mesh.nowMs);
    const list = listOf();
    list.renew();
    const before = numberIn(list.frame);
    mesh.store.admission.revocations.putCrl({ number: 1, issuedAtMs: 0, revokedCount: 0, der: '' });
    mesh.nowMs += 2000;
    const restored = listOf();
    restored.renew();
    expect(numberIn(restored.frame)).toBeGreaterThan(before);
  });

  it('of another CA than the mesh has now is no list', async () => {
    mesh.store.admission.revoke(EDGE1, null, mesh.nowMs);
    listOf().renew();
    const other = await meshCa();
    const list = listOf(other);
    expect(list.frame).toBeUndefined();
    expect(list.renew()).toBe(true);
    expect(verifyCrl(derIn(list.frame), other.certificatePem).number).toBeGreaterThan(0);
  });
});
