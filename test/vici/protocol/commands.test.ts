import { describe, expect, it } from 'vitest';
import { decodeMessage, encodeMessage } from '../../../src/vici/message.ts';
import { readReply, viciCommands, type ViciCommand } from '../../../src/vici/protocol/commands.ts';
import { VICI_EVENTS } from '../../../src/vici/protocol/events.ts';
import type { ViciRequest } from '../../../src/vici/protocol/requests.ts';
import { ViciError } from '../../../src/vici/vici-error.ts';
import { section } from './section.ts';

/**
 * What charon's source registers (`manage_command` and `manage_event` in src/libcharon/plugins/vici/vici_*.c), the same
 * in every release from 5.9.8 to 6.0.6.
 */
const REGISTERED_BY_CHARON = {
  'vici_query.c': {
    commands: 'list-sas list-policies list-conns list-certs get-algorithms get-counters reset-counters version stats',
    events: 'list-sa list-policy list-conn list-cert ike-updown ike-rekey ike-update child-updown child-rekey alert',
  },
  'vici_control.c': {
    commands: 'initiate terminate rekey redirect install uninstall reload-settings',
    events: 'control-log',
  },
  'vici_config.c': { commands: 'load-conn unload-conn get-conns', events: '' },
  'vici_cred.c': {
    commands:
      'clear-creds flush-certs load-cert load-key unload-key get-keys load-token load-shared unload-shared get-shared',
    events: '',
  },
  'vici_authority.c': {
    commands: 'load-authority unload-authority get-authorities list-authorities',
    events: 'list-authority',
  },
  'vici_attribute.c': { commands: 'load-pool unload-pool get-pools', events: '' },
  'vici_logger.c': { commands: '', events: 'log' },
};
const registered = (kind: 'commands' | 'events'): string[] =>
  Object.values(REGISTERED_BY_CHARON)
    .flatMap((file) => file[kind].split(' '))
    .filter((name) => name !== '')
    .toSorted();

const thrownBy = (act: () => unknown): unknown => {
  try {
    return act();
  } catch (error) {
    return error;
  }
};

describe('the table of commands', () => {
  it('has every command of charon', () => expect(Object.keys(viciCommands).toSorted()).toEqual(registered('commands')));

  it('and every event', () => expect([...VICI_EVENTS].toSorted()).toEqual(registered('events')));
});

describe('a reply', () => {
  it('that says no is an error with the words of charon, and what else it says', () => {
    const reply = section({ success: 'no', matches: '2', terminated: '1', errmsg: 'not all matching SAs' });
    const error = thrownBy(() => readReply('terminate', reply));
    expect(error).toMatchObject({
      code: 'command-failed',
      command: 'terminate',
      detail: 'not all matching SAs',
      reply,
    });
  });

  it('that says no in another encoding, or without a word, is the same error', () => {
    const [strange, silent] = [Uint8Array.of(0x6e, 0xe9), undefined].map((errmsg) =>
      thrownBy(() => readReply('load-conn', section({ success: 'no', ...(errmsg && { errmsg }) }))),
    );
    expect(strange).toMatchObject({ code: 'command-failed', detail: 'né' });
    expect(silent).toMatchObject({ code: 'command-failed', detail: 'no reason given' });
  });

  it.each<[ViciCommand, Record<string, string>, unknown]>([
    ['load-conn', { success: 'yes' }, undefined],
    ['terminate', { success: 'yes', matches: '2', terminated: '2' }, { matches: 2, terminated: 2 }],
    ['load-key', { success: 'yes', id: 'ab' }, { id: 'ab' }],
    ['list-sas', {}, undefined],
  ])('of %s is %j', (command, reply, expected) => expect(readReply(command, section(reply))).toEqual(expected));

  it.each<[ViciCommand, Record<string, string>]>([
    ['load-conn', {}],
    ['terminate', { success: 'yes', matches: 'all', terminated: '2' }],
    ['version', { success: 'yes' }],
  ])('of %s that is none is malformed: %j', (command, reply) => {
    expect(thrownBy(() => readReply(command, section(reply)))).toMatchObject({ code: 'malformed-message' });
    expect(thrownBy(() => readReply(command, section(reply)))).toBeInstanceOf(ViciError);
  });
});

/** Types only: what the compiler takes and refuses, as each line with a mistake must have one. */
describe('a request', () => {
  const sent = (request: ViciRequest<'load-conn'>): unknown => decodeMessage(encodeMessage(request));

  it('is checked by the compiler down to the options of a child', () => {
    expect(
      sent({
        gw: {
          version: 2,
          local_addrs: ['192.0.2.1'],
          mobike: false,
          'local-1': { auth: 'pubkey', certs: [Uint8Array.of(0x30)] },
          remote: { id: undefined },
          children: { net: { rekey_time: '1h', start_action: 'trap|start', replay_window: 0 } },
        },
      }),
    ).toEqual(
      section({
        gw: section({
          version: '2',
          local_addrs: ['192.0.2.1'],
          mobike: 'no',
          'local-1': section({ auth: 'pubkey', certs: ['0'] }),
          remote: section({}),
          children: section({ net: section({ rekey_time: '1h', start_action: 'trap|start', replay_window: '0' }) }),
        }),
      }),
    );
  });

  it('refuses typos, lists for values and values for lists', () => {
    const mistakes: ViciRequest<'load-conn'>[] = [
      // @ts-expect-error the option is remote_addrs
      { gw: { remote_adrs: ['192.0.2.1'] } },
      // @ts-expect-error charon wants a list
      { gw: { local_addrs: '192.0.2.1' } },
      // @ts-expect-error charon wants one value
      { gw: { version: ['2'] } },
      // @ts-expect-error there is no such action
      { gw: { children: { net: { start_action: 'begin' } } } },
      // @ts-expect-error an option of the child
      { gw: { local_ts: ['10.1.0.0/24'] } },
    ];
    expect(mistakes).toHaveLength(5);
  });

  it('may be a Map, which nobody checks', () => {
    const raw: ViciRequest<'load-conn'> = new Map([['gw', new Map([['any', 'thing']])]]);
    expect(sent(raw)).toEqual(raw);
  });

  it('has its names in order when they are given as a Map', () => {
    const children = new Map(['2', '1'].map((name) => [name, { local_ts: ['10.1.0.0/24'] }]));
    const namesIn = (value: unknown, ...path: string[]): unknown =>
      path.reduce((inner, key) => (inner instanceof Map ? inner.get(key) : undefined), value);
    expect([...(namesIn(sent({ gw: { children } }), 'gw', 'children') as Map<string, unknown>).keys()]).toEqual([
      '2',
      '1',
    ]);
  });
});
