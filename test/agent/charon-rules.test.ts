import { describe, expect, it } from 'vitest';
import type { IkeSa } from '../../src/ike/sa.ts';
import { childSa, ikeSa, names } from '../reconcile/builders.ts';
import { breachesIn, HAZARDS, type CharonRecord, type Hazard, type RequestFields } from './charon-rules.ts';

const peer = {
  mediated_by: names.medsrv,
  children: { link: { local_ts: ['7.7.7.0/24'], remote_ts: ['7.7.8.0/24'] } },
};
const asked = (command: string, request: RequestFields, atMs = 0): CharonRecord => ({
  type: 'asked',
  atMs,
  command,
  request,
});
const load = asked('load-conn', { [names.peer]: peer });
const loadWithReqid = asked('load-conn', {
  [names.peer]: { ...peer, children: { link: { ...peer.children.link, reqid: '7' } } },
});
const initiate = asked('initiate', { ike: names.peer, child: 'link', timeout: '-1' });
const listed = (...ikeSas: readonly IkeSa[]): CharonRecord => ({ type: 'listed', atMs: 0, ikeSas });
const registered = ikeSa(names.medsrv, { uniqueId: 9 });
const created = ikeSa(names.peer, { state: 'CREATED' });
const up = ikeSa(names.peer, { childSas: [childSa('link')] });
const narrowed = ikeSa(names.peer, { childSas: [childSa('link', { remoteTs: ['7.7.8.0/25'] })] });
const via = 'cygnet-via-remote';
const loadVia = asked('load-conn', { [via]: { children: { relay: { reqid: '8' }, direct: { reqid: '7' } } } });
const [divert, undivert] = ['install', 'uninstall'].map((command) => asked(command, { ike: via, child: 'direct' })) as [
  CharonRecord,
  CharonRecord,
];
const direct = (uniqueId: number): IkeSa => ikeSa(names.peer, { uniqueId, childSas: [childSa('link', { reqid: 7 })] });
const hub = ikeSa(names.hub, { uniqueId: 3, childSas: [childSa('link', { reqid: 8 })] });
const end = (uniqueId: number): CharonRecord => asked('terminate', { 'ike-id': String(uniqueId) });
const hazardsIn = (...records: readonly CharonRecord[]): Hazard[] =>
  breachesIn([{ type: 'started' }, ...records]).map(({ hazard }) => hazard);

it('every hazard is seen by its rule', () => {
  const shown: Readonly<Record<Hazard, readonly CharonRecord[]>> = {
    'duplicate initiation': [load, listed(registered), initiate, initiate],
    'a poisoned pair asked again': [load, listed(registered, created), initiate],
    'initiation with the mediator down': [load, listed(), initiate],
    'termination during checks': [listed(created), asked('terminate', { 'ike-id': '1' }, 74_999)],
    'repeated load': [load, load],
    'initiation by IKE connection': [load, listed(registered), asked('initiate', { ike: names.peer })],
    'the end of a tunnel that takes the traffic': [loadVia, divert, listed(direct(1), hub), end(1)],
  };
  for (const hazard of HAZARDS) expect(hazardsIn(...shown[hazard]), hazard).toContain(hazard);
});

describe('the rules have nothing against', () => {
  it.each<[string, readonly CharonRecord[]]>([
    [
      'a try, and another one when nothing came of it',
      [load, listed(registered), initiate, listed(registered), initiate],
    ],
    ['a second tunnel for other selectors', [load, listed(registered, narrowed), initiate]],
    ['a second tunnel with another reqid', [loadWithReqid, listed(registered, up), initiate]],
    ['a load of what another client has unloaded', [load, { type: 'loaded', names: [] }, load]],
    ['a load in another charon', [load, { type: 'started' }, load]],
    ['the end of what is established', [listed(up), asked('terminate', { 'ike-id': '1' })]],
    ['the end of what has hung for long enough', [listed(created), asked('terminate', { 'ike-id': '1' }, 75_000)]],
    ['the end of a tunnel that traffic has left', [loadVia, divert, undivert, listed(direct(1)), end(1)]],
    ['the end of the tunnel that traffic does not take', [loadVia, divert, listed(direct(1), hub), end(3)]],
    [
      'the end of one of two tunnels that can take the traffic',
      [loadVia, divert, listed(direct(1), direct(2)), end(1)],
    ],
    ['the end of a CHILD SA', [listed(up), asked('terminate', { 'child-id': '1' })]],
    [
      'a registration by IKE connection',
      [asked('load-conn', { [names.medsrv]: {} }), asked('initiate', { ike: names.medsrv })],
    ],
  ])('%s', (_what, records) => expect(hazardsIn(...records)).toEqual([]));

  it('but against a second tunnel for the same', () =>
    expect(hazardsIn(load, listed(registered, up), initiate)).toEqual(['duplicate initiation']));
});
