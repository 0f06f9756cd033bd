import { X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import { describe, expect, it } from 'vitest';
import { admit, admitRenewal } from '../../src/coordinator/channel-admission.ts';
import { meshCa } from '../identity/mesh.ts';
import { FakeHost, nodeKeys } from './channel-fixture.ts';

describe('admission', () => {
  it('turns a resumed session away, whatever it says of itself', async () => {
    const edge1 = await nodeKeys(await meshCa());
    const host = new FakeHost();
    host.keys.set(edge1.spkiSha256, 'edge1' as never);
    const socketOf = (isReused: boolean): TLSSocket =>
      ({
        authorized: true,
        authorizationError: null,
        isSessionReused: () => isReused,
        getPeerX509Certificate: () => new X509Certificate(edge1.cert),
      }) as unknown as TLSSocket;
    expect(admit(socketOf(false), host)).toMatchObject({ ok: true, node: 'edge1' });
    expect(admit(socketOf(true), host)).toMatchObject({ ok: false, status: 401 });
    expect(admitRenewal(socketOf(true), host)).toMatchObject({ ok: false, status: 401 });
  });
});
