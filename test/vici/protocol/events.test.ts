import { describe, expect, it } from 'vitest';
import type { ViciSection, ViciValue } from '../../../src/vici/message.ts';
import { readEvent, VICI_EVENTS } from '../../../src/vici/protocol/events.ts';
import { section } from './section.ts';

const ikeFields = {
  uniqueid: '7',
  version: '2',
  state: 'ESTABLISHED',
  'local-host': '192.0.2.1',
  'local-port': '4500',
  'local-id': 'left',
  'remote-host': '192.0.2.2',
  'remote-port': '4500',
  'remote-id': 'right',
  'initiator-spi': '00c0ffee00c0ffee',
  'responder-spi': 'ffffffffffffffff',
};
const childFields = { name: 'net', uniqueid: '3', reqid: '1', state: 'INSTALLED', mode: 'TUNNEL' };
const ike = (more: Readonly<Record<string, ViciValue>> = {}): ViciSection => section({ ...ikeFields, ...more });
const child = (uniqueid: string): ViciSection => section({ ...childFields, uniqueid });
const addresses = {
  'local-host': '192.0.2.9',
  'local-port': '4500',
  'remote-host': '192.0.2.2',
  'remote-port': '1024',
};

describe('an event', () => {
  it('of an SA coming up has it with its CHILD SAs', () => {
    const body = section({ up: 'yes', gw: ike({ 'child-sas': section({ 'net-3': child('3') }) }) });
    const event = readEvent('child-updown', body);
    expect(event).toMatchObject({ name: 'child-updown', body: { up: true, ikeSa: { name: 'gw', uniqueid: 7 } } });
    if (event.name !== 'child-updown') throw new Error('another event');
    expect(event.body.ikeSa['child-sas'].get('net-3')).toMatchObject({ name: 'net', uniqueid: 3, 'local-ts': [] });
  });

  it('of an SA going down has no flag, and what its state says does not count', () => {
    expect(readEvent('ike-updown', section({ gw: ike() })).body).toMatchObject({
      up: false,
      ikeSa: { state: 'ESTABLISHED' },
    });
  });

  it('of a connection that has the name of the flag leaves the events readable', () => {
    expect(readEvent('ike-updown', section({ up: ike() })).body).toMatchObject({ up: false, ikeSa: { name: 'up' } });
  });

  it('of a rekeyed IKE SA has the old and the new one', () => {
    const body = section({ gw: section({ old: ike(), new: ike({ uniqueid: '8' }) }) });
    expect(readEvent('ike-rekey', body).body).toMatchObject({
      name: 'gw',
      old: { name: 'gw', uniqueid: 7 },
      new: { name: 'gw', uniqueid: 8 },
    });
  });

  it('of a rekeyed CHILD SA has both, under the name of the child alone', () => {
    const both = section({ net: section({ old: child('3'), new: child('4') }) });
    expect(readEvent('child-rekey', section({ gw: ike({ 'child-sas': both }) })).body).toMatchObject({
      ikeSa: { name: 'gw', 'child-sas': new Map() },
      old: { uniqueid: 3 },
      new: { uniqueid: 4 },
    });
  });

  it('of new addresses has them beside the old ones', () => {
    expect(readEvent('ike-update', section({ ...addresses, '(unnamed)': ike() })).body).toMatchObject({
      'local-host': '192.0.2.9',
      'remote-port': 1024,
      ikeSa: { name: '(unnamed)', 'local-host': '192.0.2.1' },
    });
  });

  it('of an alert may be about no SA', () => {
    const about = section({ gw: ike() });
    expect(readEvent('alert', section({ type: 'ts-mismatch', 'ike-sa': about })).body).toMatchObject({
      type: 'ts-mismatch',
      ikeSa: { name: 'gw' },
    });
    expect(readEvent('alert', section({ type: 'shutdown-signal' })).body).toEqual({
      type: 'shutdown-signal',
      ikeSa: undefined,
    });
  });

  it('of the log may be about no SA', () => {
    const line = { group: 'CFG', level: '1', thread: '12', msg: 'added' };
    expect(readEvent('log', section(line)).body).toEqual({
      group: 'CFG',
      level: 1,
      thread: 12,
      msg: 'added',
      'ikesa-name': undefined,
      'ikesa-uniqueid': undefined,
    });
  });

  it.each(VICI_EVENTS)('%s is refused when its body is another', (name) => {
    expect(() => readEvent(name, section({ strange: 'body' }))).toThrow(/^\[malformed-message\]/);
  });

  it.each(['toString', 'new-in-7.0'])('%s does not exist', (name) => {
    expect(() => readEvent(name, section({}))).toThrow(`[malformed-message] there is no event ${name}`);
  });
});

describe('an SA of another client', () => {
  it('is read with an identity in any encoding', () => {
    const foreign = ike({ 'remote-id': Uint8Array.of(0x43, 0x4e, 0x3d, 0xfc), 'remote-eap-id': 'ü' });
    expect(readEvent('list-sa', section({ 'gw ü': foreign })).body).toMatchObject({
      name: 'gw ü',
      'remote-id': 'CN=�',
      'remote-eap-id': 'ü',
    });
  });

  it('is read with fields that nobody knows yet', () => {
    const foreign = ike({
      invented: ['x'],
      'child-sas': section({ 'net-3': section({ ...childFields, newer: 'y' }) }),
    });
    expect(readEvent('list-sa', section({ gw: foreign })).body).toMatchObject({ name: 'gw', uniqueid: 7 });
  });
});
