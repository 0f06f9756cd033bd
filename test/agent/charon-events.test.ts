import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nodeEventsOf } from '../../src/agent/charon-events.ts';
import { section } from '../../src/ike/sections.ts';
import { readEvent, VICI_EVENTS, ViciError, type ViciSection, type ViciValue } from '../../src/vici/index.ts';

const NAME = 'cygnet-peer-remote';

/** The IKE SA part of an event, in the shape that the VICI plugin's README gives. */
const ikeSa = (children?: ViciSection): ViciSection =>
  section({
    uniqueid: '7',
    version: '2',
    state: 'ESTABLISHED',
    'local-host': '192.168.1.2',
    'local-port': '4500',
    'local-id': 'CN=edge1',
    'remote-host': '203.0.113.22',
    'remote-port': '4500',
    'remote-id': 'CN=remote',
    'initiator-spi': 'd1f0e5c9a17b3c21',
    'responder-spi': '0c1f9a7a6b1e44aa',
    ...(children && { 'child-sas': children }),
  });
const childSa = section({
  name: 'edge1--remote',
  uniqueid: '3',
  reqid: '2',
  state: 'INSTALLED',
  mode: 'TUNNEL',
  'spi-in': 'c3a1f0aa',
  'spi-out': 'ce0a1b22',
  'local-ts': ['7.7.7.0/24', '7.7.9.0/24'],
  'remote-ts': ['7.7.8.0/24'],
});
const children = section({ 'edge1--remote-3': childSa });
const rekeyedChildren = section({ 'edge1--remote': section({ old: childSa, new: childSa }) });
const ike = `IKE SA #7`;
const child = (word: string): string =>
  `CHILD SA #3 ${word}: 7.7.7.0/24 7.7.9.0/24 === 7.7.8.0/24, SPIs c3a1f0aa_i ce0a1b22_o`;

const eventsOf = (name: string, fields: Record<string, ViciValue>): unknown =>
  nodeEventsOf(readEvent(name, section(fields)), 5);
const event = (kind: string, childName: string | null, message: string): unknown => [
  { atMs: 5, kind, connection: NAME, child: childName, message },
];

describe('an event of charon', () => {
  it.each<[string, string, Record<string, ViciValue>, unknown]>([
    [
      'an IKE SA up',
      'ike-updown',
      { up: 'yes', [NAME]: ikeSa() },
      event('ike-up', null, `${ike} up: 192.168.1.2 … 203.0.113.22 [CN=remote]`),
    ],
    [
      'an IKE SA down, though its state still says ESTABLISHED',
      'ike-updown',
      { [NAME]: ikeSa() },
      event('ike-down', null, `${ike} down: 192.168.1.2 … 203.0.113.22 [CN=remote]`),
    ],
    [
      'a rekeyed IKE SA',
      'ike-rekey',
      { [NAME]: section({ old: ikeSa(), new: ikeSa() }) },
      event('ike-rekey', null, 'IKE SA rekeyed'),
    ],
    [
      'new addresses',
      'ike-update',
      { 'local-host': '192.168.1.3', 'local-port': '4500', 'remote-host': 'x', 'remote-port': '1', [NAME]: ikeSa() },
      event('ike-update', null, 'IKE SA #7 has other addresses now'),
    ],
    [
      'a CHILD SA up',
      'child-updown',
      { up: 'yes', [NAME]: ikeSa(children) },
      event('child-up', 'edge1--remote', child('up')),
    ],
    [
      'a CHILD SA down',
      'child-updown',
      { [NAME]: ikeSa(children) },
      event('child-down', 'edge1--remote', child('down')),
    ],
    [
      'a rekeyed CHILD SA, whose name is only the key',
      'child-rekey',
      { [NAME]: ikeSa(rekeyedChildren) },
      event('child-rekey', 'edge1--remote', 'CHILD SA edge1--remote rekeyed'),
    ],
    [
      'an alert about one of our SAs',
      'alert',
      { type: 'peer-auth-failed', 'ike-sa': section({ [NAME]: ikeSa() }) },
      event('alert', null, 'peer-auth-failed'),
    ],
    [
      'an alert about charon itself',
      'alert',
      { type: 'half-open-timeout' },
      [{ atMs: 5, kind: 'alert', connection: null, child: null, message: 'half-open-timeout' }],
    ],
  ])('tells of %s', (_what, name, body, expected) => expect(eventsOf(name, body)).toEqual(expected));

  it.each<[string, Record<string, ViciValue>]>([
    ['ike-updown', { up: 'yes', office: ikeSa() }],
    ['ike-rekey', { office: section({ old: ikeSa(), new: ikeSa() }) }],
    [
      'ike-update',
      { 'local-host': 'x', 'local-port': '1', 'remote-host': 'x', 'remote-port': '1', '(unnamed)': ikeSa() },
    ],
    ['child-updown', { office: ikeSa(children) }],
    ['child-rekey', { office: ikeSa(rekeyedChildren) }],
  ])('%s of a connection that is not ours says nothing', (name, body) => expect(eventsOf(name, body)).toEqual([]));

  it('alert about an SA that is not ours says nothing', () =>
    expect(eventsOf('alert', { type: 'x', 'ike-sa': section({ office: ikeSa() }) })).toEqual([]));

  it('that is no SA’s says nothing', () =>
    expect(eventsOf('log', { group: 'IKE', level: '1', thread: '7', msg: 'sending keep alive' })).toEqual([]));

  it('names only our own, whatever is in it', () => {
    const toldOf = (name: string, body: ViciSection): ReturnType<typeof nodeEventsOf> => {
      try {
        return nodeEventsOf(readEvent(name, body), 0);
      } catch (error) {
        expect(error).toBeInstanceOf(ViciError);
        return [];
      }
    };
    const keys = fc.constantFrom(NAME, 'up', 'type', 'ike-sa', 'child-sas', 'name', 'local-ts', 'uniqueid', 'x');
    const { value } = fc.letrec<{ value: ViciValue }>((tie) => ({
      value: fc.oneof(
        { maxDepth: 4 },
        fc.string(),
        fc.array(fc.string()),
        fc.array(fc.tuple(keys, tie('value'))).map((entries) => new Map(entries)),
      ),
    }));
    const bodies = fc.array(fc.tuple(keys, value)).map((entries) => new Map(entries));
    fc.assert(
      fc.property(fc.constantFrom(...VICI_EVENTS), bodies, (name, body) => {
        for (const { connection } of toldOf(name, body)) {
          if (connection !== null) expect(connection).toMatch(/^cygnet-/);
        }
      }),
    );
  });
});
