import { once } from 'node:events';
import { connect as connectTls } from 'node:tls';
import { expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { encodeFrame } from '../../src/control/codec.ts';
import { keepServerCertificate } from '../../src/coordinator/server-certificate.ts';
import type { TlsIdentity } from '../../src/coordinator/tls-options.ts';
import { issueServerCertificate } from '../../src/identity/certificates.ts';
import { generatePrivateKey } from '../../src/identity/keys.ts';
import { createLogger } from '../../src/log.ts';
import { firstHello } from '../control/frame-builders.ts';
import { meshCa, publicKeyOf } from '../identity/mesh.ts';
import { EDGE1, FakeHost, nodeKeys, openTestServer } from './channel-fixture.ts';

const ca = await meshCa();
const logger = createLogger('test', 'silent');

async function identity(): Promise<TlsIdentity> {
  const key = await generatePrivateKey('ecdsa-p256');
  const issuance = { hosts: ['127.0.0.1'], publicKey: publicKeyOf(key), nowMs: Date.now() };
  const certificate = await issueServerCertificate(ca, issuance);
  return { key, certificateChain: certificate + ca.certificatePem, ca: ca.certificatePem };
}

it('is replaced while a channel stays open, and client certificates are still asked for', async () => {
  const edge1 = await nodeKeys(ca);
  const host = new FakeHost();
  host.keys.set(edge1.spkiSha256, EDGE1);
  await using server = await openTestServer(ca, host);
  const dial = async (): Promise<WebSocket> => {
    const { key, cert } = edge1;
    const socket = new WebSocket(`wss://127.0.0.1:${server.port}/v1/channel`, { ca: ca.certificatePem, key, cert });
    await once(socket, 'open');
    socket.send(encodeFrame(firstHello));
    return socket;
  };
  const shown = async (): Promise<string | undefined> => {
    const socket = connectTls({ host: '127.0.0.1', port: server.port, ca: ca.certificatePem });
    await once(socket, 'secureConnect');
    const { serialNumber } = socket.getPeerX509Certificate()!;
    socket.destroy();
    return serialNumber;
  };
  await dial();
  await host.until(1);
  const before = await shown();
  server.useIdentity(await identity());
  expect(await shown()).not.toBe(before);
  await dial();
  expect(await host.until(2)).toEqual(['opened edge1 from 127.0.0.1', 'opened edge1 from 127.0.0.1']);
});

it('is shown when it is another one, and a failure is not the end', async () => {
  const [first, second] = [await identity(), await identity()];
  const loads: (() => Promise<TlsIdentity>)[] = [
    () => Promise.resolve({ ...first }),
    () => Promise.reject(new Error('disk full')),
    () => Promise.resolve(second),
    () => Promise.resolve({ ...second }),
  ];
  const showed: TlsIdentity[] = [];
  const stop = new AbortController();
  const load = (): Promise<TlsIdentity> => {
    const next = loads.shift();
    if (loads.length === 0) stop.abort();
    return next!();
  };
  const show = (one: TlsIdentity): void => void showed.push(one);
  await keepServerCertificate({ shown: first, load, show, logger, intervalMs: 1 }, stop.signal);
  expect(showed).toEqual([second]);
});
