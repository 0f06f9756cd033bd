import { readFileSync } from 'node:fs';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { desiredStateSchema, type DesiredState } from '../../src/ike/desired-state.ts';
import { loadConnRequest } from '../../src/ike/sections.ts';
import { localState, type DataPlane } from '../../src/ike/steering.ts';
import type { ViciSection } from '../../src/vici/index.ts';
import { addressed } from '../reconcile/builders.ts';
import { arbitraryStates } from './arbitrary-states.ts';
import { everyKind } from './connections.ts';

/** The names of all options of strongSwan's swanctl.opt, as `connections.<conn>.children.<child>.updown`. */
const OPTIONS = readFileSync(new URL('../fixtures/swanctl-options.txt', import.meta.url), 'utf8')
  .trim()
  .split('\n');

/** Whoever sets one of these has code run, a file opened, a module loaded, an address asked, a secret or a key put in. */
const DANGEROUS = [
  /\.updown$/,
  /\.(file|handle|slot|module|pin|secret)$/,
  /\.cert<suffix>|\.cacert<suffix>/,
  /\.certs$|\.pubkeys$|\.ca_id$/,
  /^(secrets|pools|authorities|include)\b/,
  /\.(crl_uris|ocsp_uris|cert_uri_base|ocsp|revocation)$/,
  /\.(hostaccess|interface|reqid|policies|policies_fwd_out|label|label_mode|mode|hw_offload)$/,
  /\.(mark_in|mark_in_sa|mark_out|set_mark_in|set_mark_out|if_id_in|if_id_out)$/,
  /\.(eap_id|aaa_id|xauth_id|groups|cert_policy|ppk_id|ppk_required)$/,
  /\.(local_addrs|local_port|remote_port|aggressive|childless|pools|ah_proposals|reauth_time)$/,
];

/** All that goes to charon of what a desired state says, by its place in swanctl.opt. `cacerts` is the mesh CA's own bytes. */
const SENT = new Set(
  [
    'version mediation mediated_by mediation_peer remote_addrs vips mobike encap proposals rekey_time over_time rand_time',
    'keyingtries dpd_delay unique local<suffix>.auth local<suffix>.id remote<suffix>.auth remote<suffix>.id',
    'remote<suffix>.cacerts',
    'children.<child>.local_ts children.<child>.remote_ts children.<child>.esp_proposals children.<child>.rekey_time',
    'children.<child>.life_time children.<child>.rand_time children.<child>.priority children.<child>.start_action',
    'children.<child>.close_action children.<child>.dpd_action',
  ].flatMap((line) => line.split(' ')),
);

/**
 * What a node adds of its own to move traffic, for each data plane: these options, and no other values. They are constants of the
 * program and numbers; nothing that a desired state has as text can be one of them.
 */
const OWN: Readonly<Record<DataPlane, Readonly<Record<string, RegExp>>>> = {
  kernel: {},
  'xfrm-interfaces': {
    'children.<child>.if_id_in': /^744[78]$/,
    'children.<child>.if_id_out': /^744[78]$/,
    'children.<child>.set_mark_out': /^0x20000000\/0x20000000$/,
    'children.<child>.mode': /^drop$/,
    'children.<child>.mark_out': /^0x74477447$/,
    local_addrs: /^192\.0\.2\.1$/,
  },
  libipsec: {
    'children.<child>.policies': /^no$/,
    'children.<child>.reqid': /^\d{1,10}$/,
    local_addrs: /^192\.0\.2\.1$/,
  },
};

/** And what it says of the option of the closed list in a connection that only holds its policies. */
const HELD: Readonly<Record<string, RegExp>> = {
  version: /^2$/,
  remote_addrs: /^has-no-address-+$/,
  'local<suffix>.auth': /^pubkey$/,
  'local<suffix>.id': /^cygnet\.nobody\.invalid$/,
  'remote<suffix>.auth': /^pubkey$/,
  'remote<suffix>.id': /^cygnet\.nobody\.invalid$/,
  'children.<child>.local_ts': /^[0-9a-f.:]+\/\d+(\[17(\/\d+)?\])?$/,
  'children.<child>.remote_ts': /^[0-9a-f.:]+\/\d+(\[17(\/\d+)?\])?$/,
  'children.<child>.start_action': /^none$/,
  'children.<child>.close_action': /^none$/,
  'children.<child>.dpd_action': /^clear$/,
};

const PROBE_PORT = 7447;
const CA = Uint8Array.of(0x30, 0x03, 0x02, 0x01, 0x01);

/** Every value of a request, under the name of its option. */
function optionsOf(request: ViciSection): [option: string, value: unknown][] {
  const [connection] = request.values();
  return flattened(connection as ViciSection, '').map(([option, value]) => [
    option
      .replace(/^children\.[^.]*(?:\..*)?\.(?=[a-z_]+$)/, 'children.<child>.')
      .replace(/^(local|remote)\./, '$1<suffix>.'),
    value,
  ]);
}

function flattened(section: ViciSection, prefix: string): [string, unknown][] {
  return [...section].flatMap(([key, value]) =>
    value instanceof Map ? flattened(value, `${prefix}${key}.`) : [[prefix + key, value] as [string, unknown]],
  );
}

/** Every object inside the value, itself included. */
function objectsIn(value: unknown): Record<string, unknown>[] {
  if (value === null || typeof value !== 'object') return [];
  const inner = Object.values(value).flatMap(objectsIn);
  return Array.isArray(value) ? inner : [value as Record<string, unknown>, ...inner];
}

/** Undefined: no value is. */
function isAllowed(pattern: RegExp | undefined, value: unknown): boolean {
  return pattern !== undefined && [value].flat().every((text) => pattern.test(String(text)));
}

const isDangerous = (option: string): boolean => DANGEROUS.some((pattern) => pattern.test(option));
const lastOf = (option: string): string => option.slice(option.lastIndexOf('.') + 1).replace('<suffix>', '-1');

describe('of all that swanctl.conf can say', () => {
  it('every dangerous option was looked for under a name that it has', () => {
    expect(OPTIONS.length).toBeGreaterThan(150);
    for (const pattern of DANGEROUS)
      expect(
        OPTIONS.some((option) => pattern.test(option)),
        String(pattern),
      ).toBe(true);
    for (const option of SENT) expect(OPTIONS).toContain(`connections.<conn>.${option}`);
  });

  it('nothing dangerous is ever sent with a value of the desired state', () =>
    expect([...SENT].map((option) => `connections.<conn>.${option}`).filter(isDangerous)).toEqual([]));

  it.each(OPTIONS.filter((option) => isDangerous(option)))('%s can be put nowhere into a desired state', (option) => {
    const spellings = [lastOf(option), option, `${lastOf(option)}1`];
    for (const index of objectsIn(everyKind()).keys()) {
      for (const spelling of spellings) {
        const state = structuredClone(everyKind());
        objectsIn(state)[index]![spelling] = '/tmp/canary';
        expect(desiredStateSchema.safeParse(state).success, spelling).toBe(false);
      }
    }
  });
});

describe('what a desired state makes charon be told', () => {
  it('has only options of a closed list, whatever the state says', () =>
    fc.assert(
      fc.property(arbitraryStates, (state) => {
        for (const connection of state.connections) {
          const request = loadConnRequest(connection, CA);
          expect([...request.keys()]).toEqual([connection.name]);
          for (const [option] of optionsOf(request)) expect(SENT).toContain(option);
        }
      }),
      { numRuns: 300 },
    ));

  it('has one certificate, the mesh CA’s, and actions that do nothing', () =>
    fc.assert(
      fc.property(arbitraryStates, (state) => {
        for (const connection of state.connections) {
          const options = optionsOf(loadConnRequest(connection, CA));
          for (const [option, value] of options) {
            if (option.endsWith('cacerts')) expect(value).toEqual([CA]);
            else expect(JSON.stringify(value)).not.toContain('Uint8Array');
            if (option.endsWith('.auth')) expect(value).toBe('pubkey');
            if (option.endsWith('start_action') || option.endsWith('close_action')) expect(value).toBe('none');
          }
        }
      }),
      { numRuns: 100 },
    ));

  it('keeps text as one value: nothing in it can become an option or a section', () =>
    fc.assert(
      fc.property(arbitraryStates, (state) => {
        for (const connection of state.connections) {
          const texts = optionsOf(loadConnRequest(connection, CA)).flatMap(([, value]) => value as string | string[]);
          for (const text of texts) if (typeof text === 'string') expect(text).not.toMatch(/[\p{Cc}"{}\\]/u);
        }
      }),
      { numRuns: 100 },
    ));
});

describe.each(Object.entries(OWN) as [DataPlane, (typeof OWN)[DataPlane]][])(
  'what a node whose data plane is %s makes of it',
  (dataPlane, own) => {
    const optionsSent = (state: DesiredState): [option: string, value: unknown][] => {
      const { desired, steering } = localState(state, dataPlane, PROBE_PORT);
      return [...desired.connections, ...steering].flatMap((each) => optionsOf(loadConnRequest(each, CA)));
    };
    it('has options of its own that are dangerous, and no text of the state in one of them', () =>
      fc.assert(
        fc.property(arbitraryStates, (state) => {
          const added = optionsSent(state).filter(([option]) => !SENT.has(option));
          expect(added.filter(([option, value]) => !isAllowed(own[option], value))).toEqual([]);
        }),
        { numRuns: 200 },
      ));

    it('has in the connections that it makes up nothing but constants, and selectors of addresses', () =>
      fc.assert(
        fc.property(arbitraryStates, (state) => {
          const { steering } = localState(state, dataPlane, PROBE_PORT);
          const held = steering.flatMap((each) => optionsOf(loadConnRequest(each, CA)));
          const cas = held.filter(([option]) => option === 'remote<suffix>.cacerts');
          expect(cas.map(([, value]) => value)).toEqual(steering.map(() => [CA]));
          const others = held.filter(([option]) => option !== 'remote<suffix>.cacerts');
          expect(others.filter(([option, value]) => !isAllowed({ ...HELD, ...own }[option], value))).toEqual([]);
        }),
        { numRuns: 200 },
      ));

    it('routes to networks, by nothing but their addresses', () =>
      fc.assert(
        fc.property(arbitraryStates, (state) => {
          const routed = localState(state, dataPlane, PROBE_PORT).steering.flatMap((each) =>
            'destinations' in each ? [...each.destinations, ...Object.values(each.probed), ...each.localSubnets] : [],
          );
          for (const destination of routed) expect(destination).toMatch(/^\d+\.\d+\.\d+\.\d+\/\d+$/);
        }),
        { numRuns: 200 },
      ));

    it('has each of these: none is allowed in vain', () => {
      const sent = optionsSent(addressed(everyKind())).map(([option]) => option);
      expect(new Set(sent.filter((option) => !SENT.has(option)))).toEqual(new Set(Object.keys(own)));
      for (const option of Object.keys(own)) expect(OPTIONS).toContain(`connections.<conn>.${option}`);
    });
  },
);
