import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { decodeMessage, isSection, type ViciSection } from '../../../src/vici/message.ts';
import { ViciSession } from '../../../src/vici/session.ts';
import { viciRejectionOf } from '../vici-error-of.ts';
import type { CharonWithPeer } from './charon-under-test.ts';
import { RawClient } from './raw-client.ts';

const EVENTS = ['ike-updown', 'ike-rekey', 'ike-update', 'child-updown', 'child-rekey'];

const IKE_KEYS =
  'uniqueid version state local-host local-port local-id remote-host remote-port remote-id initiator initiator-spi ' +
  'responder-spi encr-alg encr-keysize prf-alg dh-group';
const CHILD_KEYS =
  'name uniqueid reqid state mode protocol spi-in spi-out encr-alg encr-keysize bytes-in packets-in bytes-out ' +
  'packets-out rekey-time life-time install-time local-ts remote-ts';

/** The SAs in a body, each with the way to it, its unique id and its state: `tunnel/tunnel-2#2 INSTALLED`. */
function sasIn(section: ViciSection, way: readonly string[] = []): string[] {
  const [uniqueid, state] = [section.get('uniqueid'), section.get('state')];
  const isSa = typeof uniqueid === 'string' && typeof state === 'string';
  const own = isSa ? [`${way.join('/')}#${uniqueid} ${state}`] : [];
  const inner = [...section].flatMap(([key, value]) =>
    isSection(value) ? sasIn(value, key === 'child-sas' ? way : [...way, key]) : [],
  );
  return [...own, ...inner];
}

/** How SAs come and go, and what is told of it, down to the names of the sections. */
export function describeSas(name: string, start: () => Promise<CharonWithPeer>): void {
  describe(`the SAs of ${name}`, () => {
    let charon: CharonWithPeer;
    let session: ViciSession;
    let events: RawClient;
    beforeAll(async () => {
      charon = await start();
      session = await ViciSession.connect(charon.address);
      events = await RawClient.connect(charon.address);
      for (const event of EVENTS) events.send({ type: 'event-register', name: event });
      for (const event of EVENTS) expect([event, await events.nextKind()]).toEqual([event, 'event-confirm']);
    });
    afterAll(async () => {
      await events[Symbol.asyncDispose]();
      await session[Symbol.asyncDispose]();
      await charon[Symbol.asyncDispose]();
    });

    const nextEvent = async (): Promise<{ readonly event: string; readonly body: ViciSection }> => {
      const packet = await events.next();
      if (packet.type !== 'event') throw new Error(`${packet.type} instead of an event`);
      return { event: packet.name, body: decodeMessage(packet.body) };
    };
    /** Event, `up` where it says so, and its SAs. */
    const told = async (): Promise<string[]> => {
      const { event, body } = await nextEvent();
      return [event, ...(body.get('up') === 'yes' ? ['up'] : []), ...sasIn(body)];
    };
    /** As `list-sas` has them, without what was replaced. */
    const listed = async (): Promise<string[]> => {
      await using client = await RawClient.connect(charon.address);
      client.send({ type: 'event-register', name: 'list-sa' });
      expect(await client.nextKind()).toBe('event-confirm');
      client.request('list-sas');
      const all: string[] = [];
      for (;;) {
        const packet = await client.next();
        if (packet.type !== 'event') return all.filter((sa) => !sa.endsWith('DELETED'));
        all.push(...sasIn(decodeMessage(packet.body)));
      }
    };
    const initiate = (): Promise<unknown> =>
      session.call('initiate', { ike: charon.tunnel, child: charon.tunnel, timeout: 5000 });

    it('come up with an event for the IKE SA, and then one for its CHILD SA', async () => {
      const t = charon.tunnel;
      await initiate();
      const ike = await nextEvent();
      expect([ike.event, ike.body.get('up'), ...sasIn(ike.body)]).toEqual(['ike-updown', 'yes', `${t}#1 ESTABLISHED`]);
      const ikeSection = ike.body.get(t) as ViciSection;
      expect([...ikeSection.keys()]).toEqual(
        expect.arrayContaining([...IKE_KEYS.split(' '), 'established', 'rekey-time']),
      );
      expect(ikeSection.has('child-sas')).toBe(false);
      const child = await nextEvent();
      expect([child.event, child.body.get('up'), ...sasIn(child.body)]).toEqual([
        'child-updown',
        'yes',
        `${t}#1 ESTABLISHED`,
        `${t}/${t}-1#1 INSTALLED`,
      ]);
      const children = (child.body.get(t) as ViciSection).get('child-sas') as ViciSection;
      const childSection = children.get(`${t}-1`) as ViciSection;
      expect([...childSection.keys()]).toEqual(expect.arrayContaining(CHILD_KEYS.split(' ')));
      expect(await listed()).toEqual([`${t}#1 ESTABLISHED`, `${t}/${t}-1#1 INSTALLED`]);
    });

    it('are replaced when a CHILD SA is rekeyed: the old one is listed on, as deleted', async () => {
      const t = charon.tunnel;
      expect(await session.call('rekey', { child: t })).toMatchObject({ matches: 1 });
      expect(await told()).toEqual([
        'child-rekey',
        `${t}#1 ESTABLISHED`,
        `${t}/${t}/old#1 REKEYED`,
        `${t}/${t}/new#2 INSTALLED`,
      ]);
      await expect.poll(listed).toEqual([`${t}#1 ESTABLISHED`, `${t}/${t}-2#2 INSTALLED`]);
    });

    it('are replaced when an IKE SA is rekeyed: the new one has the CHILD SAs', async () => {
      const t = charon.tunnel;
      expect(await session.call('rekey', { ike: t })).toMatchObject({ matches: 1 });
      const { event, body } = await nextEvent();
      expect([event, ...sasIn(body)]).toEqual(['ike-rekey', `${t}/old#1 REKEYING`, `${t}/new#2 ESTABLISHED`]);
      const { old, new: successor } = Object.fromEntries(body.get(t) as ViciSection);
      expect((old as ViciSection).has('established')).toBe(false);
      expect((successor as ViciSection).has('established')).toBe(true);
      await expect.poll(listed).toEqual([`${t}#2 ESTABLISHED`, `${t}/${t}-2#2 INSTALLED`]);
    });

    it('go down one by one', async () => {
      const t = charon.tunnel;
      const reply = await session.call('terminate', { 'child-id': 2, timeout: 5000 });
      expect(reply).toMatchObject({ matches: 1, terminated: 1 });
      expect(await told()).toEqual(['child-updown', `${t}#2 ESTABLISHED`, `${t}/${t}-2#2 DELETED`]);
      expect(await listed()).toEqual([`${t}#2 ESTABLISHED`]);
    });

    it('come up in the IKE SA that is there', async () => {
      const t = charon.tunnel;
      await initiate();
      expect(await told()).toEqual(['child-updown', 'up', `${t}#2 ESTABLISHED`, `${t}/${t}-3#3 INSTALLED`]);
    });

    it('go down with their IKE SA, each with an event in which it is still installed', async () => {
      const t = charon.tunnel;
      expect(await session.call('terminate', { ike: t, timeout: 5000 })).toMatchObject({ matches: 1, terminated: 1 });
      const { event, body } = await nextEvent();
      expect([event, body.has('up'), ...sasIn(body)]).toEqual(['ike-updown', false, `${t}#2 DELETING`]);
      expect((body.get(t) as ViciSection).has('established')).toBe(false);
      expect(await told()).toEqual(['child-updown', `${t}#2 DELETING`, `${t}/${t}-3#3 INSTALLED`]);
      expect(await listed()).toEqual([]);
    });

    it('are not set up twice', async () => {
      const t = charon.tunnel;
      await initiate();
      expect(await viciRejectionOf(initiate())).toMatchObject({ detail: `establishing CHILD_SA '${t}' failed` });
      await session.call('terminate', { 'ike-id': 3, timeout: 5000 });
      expect(await listed()).toEqual([]);
    });
  });
}
