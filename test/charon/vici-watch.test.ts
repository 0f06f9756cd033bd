import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ViciClient, type SaChange, type SaMap, type ViciIkeSa } from '../../src/vici/index.ts';
import { canRunCharon } from './charon-daemon.ts';
import { CharonPair } from './charon-pair.ts';

const NAME = 'tunnel';

/** `3{7}`: the unique ids of an IKE SA and its CHILD SAs. */
function idsOf(sas: Iterable<ViciIkeSa>): string[] {
  return [...sas].map((ike) => {
    const children = [...ike['child-sas'].values()].filter(({ state }) => state === 'INSTALLED');
    return `${ike.uniqueid}{${children.map(({ uniqueid }) => uniqueid).join()}}`;
  });
}

describe.runIf(canRunCharon)('a watch over the SAs of a real charon', { timeout: 60_000 }, () => {
  let pair: CharonPair;
  let client: ViciClient;
  let changes: AsyncGenerator<SaChange, void>;
  let sas: SaMap;

  const next = async (): Promise<SaChange> => {
    const { value } = await changes.next();
    if (value === undefined) throw new Error('the watch ended');
    sas = value.sas;
    return value;
  };

  /** The changes up to the wanted kind, and the SAs as charon lists them then: the same as the watch has. */
  const until = async (type: SaChange['type']): Promise<SaChange> => {
    for (;;) {
      const change = await next();
      if (change.type === type) return change;
    }
  };

  const listed = async (): Promise<string[]> => {
    const all: ViciIkeSa[] = [];
    for await (const ike of client.stream('list-sas')) if (ike.state === 'ESTABLISHED') all.push(ike);
    return idsOf(all);
  };

  const expectSameAsListed = async (): Promise<void> => {
    // What was replaced stays listed until its end is acknowledged.
    await expect.poll(listed, { timeout: 10_000 }).toEqual(idsOf(sas.values()));
  };

  beforeAll(async () => {
    pair = await CharonPair.start();
    await using right = new ViciClient({ socketPath: pair.right.socketPath });
    await pair.loadRight(await right.session(), NAME);
    client = new ViciClient({ socketPath: pair.left.socketPath });
    await pair.loadLeft(await client.session(), NAME);
    changes = client.watchSas({ signal: AbortSignal.timeout(55_000) });
  });

  afterAll(async () => {
    await client[Symbol.asyncDispose]();
    await pair[Symbol.asyncDispose]();
  });

  it('begins with all there is', async () => {
    expect(await next()).toMatchObject({ type: 'resync', restarted: false });
    expect(sas.size).toBe(0);
  });

  it('sees a tunnel come up: the IKE SA, then its CHILD SA', async () => {
    await client.call('initiate', { ike: NAME, child: NAME, timeout: -1 });
    expect(await next()).toMatchObject({ type: 'ike-up', ike: { name: NAME, state: 'ESTABLISHED', initiator: true } });
    expect(await next()).toMatchObject({ type: 'child-up', child: { name: NAME, state: 'INSTALLED' } });
    await expectSameAsListed();
  });

  it('follows a rekeyed CHILD SA', async () => {
    await client.call('rekey', { child: NAME });
    const change = await until('child-rekey');
    if (change.type === 'child-rekey') expect(change.child.uniqueid).not.toBe(change.old.uniqueid);
    await expectSameAsListed();
  });

  it('follows a rekeyed IKE SA, which takes its CHILD SA along', async () => {
    await client.call('rekey', { ike: NAME });
    const change = await until('ike-rekey');
    if (change.type === 'ike-rekey') expect(change.ike['child-sas'].size).toBe(1);
    await expectSameAsListed();
  });

  it('sees a CHILD SA go, and the IKE SA', async () => {
    await client.call('terminate', { child: NAME });
    expect(await until('child-down')).toMatchObject({ child: { name: NAME } });
    await client.call('terminate', { ike: NAME });
    await until('ike-down');
    expect(sas.size).toBe(0);
    await expectSameAsListed();
  });

  it('sees a tunnel go at once with its CHILD SA, the CHILD SA first', async () => {
    await client.call('initiate', { ike: NAME, child: NAME, timeout: -1 });
    await until('child-up');
    await client.call('terminate', { ike: NAME });
    expect((await next()).type).toBe('child-down');
    expect((await next()).type).toBe('ike-down');
    await expectSameAsListed();
  });

  it('begins anew with a charon that was killed', async () => {
    await client.call('initiate', { ike: NAME, child: NAME, timeout: -1 });
    await until('child-up');
    await pair.left.restart();
    expect(await next()).toMatchObject({ type: 'resync', restarted: true });
    expect(sas.size).toBe(0);
    await pair.loadLeft(await client.session(), NAME);
    await client.call('initiate', { ike: NAME, child: NAME, timeout: -1 });
    expect(await until('child-up')).toMatchObject({ ike: { uniqueid: 1 } });
    await expectSameAsListed();
  });
});
