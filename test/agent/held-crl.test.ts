import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { HeldCrl } from '../../src/agent/held-crl.ts';
import { storedIn, type Stored } from '../../src/agent/stored.ts';
import { issueCrl } from '../../src/identity/crl.ts';
import type { MeshCa } from '../../src/identity/mesh-ca.ts';
import { meshCa } from '../identity/mesh.ts';
import { temporaryFolder } from './temporary-folder.ts';

const refused = expect.objectContaining({ name: 'IdentityError', code: 'bad-crl' });

let ca: MeshCa;
let stored: Stored;
let held: HeldCrl;

beforeAll(async () => {
  ca = await meshCa();
});

beforeEach(() => {
  stored = storedIn(temporaryFolder());
  held = new HeldCrl(stored.crl, () => ca.certificatePem);
});

function list(number: number, issuer = ca): string {
  const der = issueCrl(issuer, { number, nowMs: Date.now(), nextUpdateMs: Date.now() + 1000, entries: [] });
  return Buffer.from(der).toString('base64');
}

describe('the list of revoked certificates that a node holds', () => {
  it('is on disk, and there again after a restart', () => {
    const taken = held.take(list(3));
    expect(taken?.number).toBe(3);
    const next = new HeldCrl(stored.crl, () => ca.certificatePem);
    next.restore(stored.crl.read());
    expect(next.current).toEqual(taken);
  });

  it('never goes back to an older one', () => {
    held.take(list(3));
    expect(held.take(list(2))).toBeUndefined();
    expect(held.take(list(3))).toBeUndefined();
    expect(held.current?.number).toBe(3);
    expect(held.take(list(4))?.number).toBe(4);
  });

  it('is of the node’s own CA, from the coordinator and on disk', async () => {
    const foreign = list(9, await meshCa());
    held.take(list(3));
    expect(() => held.take(foreign)).toThrow(refused);
    expect(held.current?.number).toBe(3);
    expect(() => held.restore({ der: foreign })).toThrow(refused);
    expect(held.current).toBeUndefined();
  });

  it('counts also when it cannot be written, which is told', () => {
    const full = new HeldCrl({ write: () => expect.fail('no space') }, () => ca.certificatePem);
    expect(() => full.take(list(3))).toThrow('no space');
    expect(full.current?.number).toBe(3);
  });

  it('is none before the node has enrolled', () => {
    expect(new HeldCrl(stored.crl, () => undefined).take(list(3))).toBeUndefined();
  });
});
