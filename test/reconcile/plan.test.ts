import { describe, expect, it } from 'vitest';
import { connectionNameSchema, nodeNameSchema } from '../../src/ike/connection.ts';
import { CHECKS_MAX_MS } from '../../src/ike/mediation.ts';
import type { DesiredState } from '../../src/ike/desired-state.ts';
import type { IkeSa } from '../../src/ike/sa.ts';
import {
  IF_IDS,
  localState,
  type PathKind,
  type RouteSteering,
  type TrapPolicy,
  type TrapSteering,
} from '../../src/ike/steering.ts';
import type { ObservedRoute, ObservedState, ObservedTrap, Route, Step } from '../../src/reconcile/charon.ts';
import { emptyLedger, ledgerAfter, validLedger, type Ledger } from '../../src/reconcile/ledger.ts';
import { initiateKey, LEAVE_MS, plan, type PlanInput } from '../../src/reconcile/plan.ts';
import { routeKey } from '../../src/reconcile/routes.ts';
import { trapKey } from '../../src/reconcile/traps.ts';
import {
  child,
  childSa,
  desired,
  ikeSa,
  medsrv,
  mediatedPeer,
  mediationServer,
  names,
  observed,
  spoke,
} from './builders.ts';

const CREDENTIALS = 'credentials-digest';
const mesh = desired(medsrv(), spoke(), mediatedPeer());

/** Everything loaded, nothing established. */
function loaded(state = mesh): { observed: ObservedState; ledger: Ledger } {
  const seen = observed({ connections: new Set(state.connections.map(({ name }) => name)), keyIds: new Set(['key']) });
  const digests = Object.fromEntries(state.connections.map(({ name }) => [name, `digest of ${name}`]));
  return {
    observed: seen,
    ledger: {
      charonStartMs: seen.charonStartMs,
      credentials: CREDENTIALS,
      keyId: 'key',
      formerKeyIds: [],
      connections: digests,
    },
  };
}

function planOf(change: Partial<PlanInput> = {}): readonly Step[] {
  return plan({
    desired: mesh,
    steering: [],
    takesDirect: new Set(),
    ...loaded(),
    credentialsDigest: CREDENTIALS,
    digestOf: ({ name }) => `digest of ${name}`,
    knownForMs: () => 0,
    unwantedForMs: () => 0,
    attemptsOf: () => 0,
    allowed: () => true,
    abandon: new Set(),
    rekey: new Set(),
    ...change,
  });
}

const withSas = (...ikeSas: IkeSa[]): Partial<PlanInput> => ({ observed: { ...loaded().observed, ikeSas } });
const kinds = (steps: readonly Step[]): string[] => steps.map(({ kind }) => kind);
const upMedsrv = ikeSa(names.medsrv);
const upHub = ikeSa(names.hub, { uniqueId: 2, childSas: [childSa('edge1--remote')] });
const upPeer = ikeSa(names.peer, { uniqueId: 3, childSas: [childSa('edge1--remote', { uniqueId: 2 })] });

describe('loading', () => {
  it('gives a new charon credentials first, and mediated connections after what mediates them', () => {
    const steps = planOf({
      desired: desired(mediatedPeer(), medsrv()),
      observed: observed(),
      ledger: emptyLedger(1_000_000),
    });
    expect(
      steps.map((step) =>
        'connection' in step && typeof step.connection === 'object' ? step.connection.name : step.kind,
      ),
    ).toEqual(['load-credentials', names.medsrv, names.peer]);
  });

  it('without credentials that can be used is left alone; removals and the list of revoked certificates go on', () => {
    const none = { credentialsDigest: undefined, digestOf: () => undefined, crlDigest: 'list' };
    const steps = planOf({ ...none, desired: desired(medsrv()), ...withSas(upMedsrv, upHub) });
    expect(kinds(steps)).toEqual(['load-crl', 'unload-conn', 'unload-conn', 'terminate-ike']);
    const anew = { observed: observed(), ledger: emptyLedger(1_000_000) };
    expect(planOf({ ...none, ...anew })).toEqual([]);
  });

  it('gives it the list of revoked certificates after the CA, and before anything is removed', () => {
    const { observed: seen, ledger } = loaded();
    const withList = { ...ledger, crl: 'list' };
    const steps = planOf({ desired: desired(medsrv(), spoke()), crlDigest: 'list' });
    expect(kinds(steps).slice(0, 2)).toEqual(['load-crl', 'unload-conn']);
    expect(planOf({ ledger: withList, crlDigest: 'list', ...withSas(upMedsrv, upHub, upPeer) })).toEqual([]);
    expect(planOf({ ledger: withList, crlDigest: 'newer' })[0]).toEqual({ kind: 'load-crl', digest: 'newer' });
    const anew = planOf({ ledger: withList, crlDigest: 'list', credentialsDigest: 'other' });
    expect(kinds(anew).slice(0, 2)).toEqual(['load-credentials', 'load-crl']);
    expect(validLedger(withList, seen).crl).toBe('list');
    expect(validLedger(withList, { ...seen, keyIds: new Set() }).crl).toBeUndefined();
    expect(ledgerAfter(ledger, { kind: 'load-crl', digest: 'list' }, undefined)).toEqual(withList);
  });

  it('writes nothing when charon is as desired', () => {
    expect(planOf(withSas(upMedsrv, upHub, upPeer))).toEqual([]);
  });

  it('loads only the connection whose digest differs', () => {
    const steps = planOf({
      ...withSas(upMedsrv, upHub, upPeer),
      digestOf: ({ name }) => (name === names.hub ? 'another' : `digest of ${name}`),
    });
    expect(steps).toMatchObject([{ kind: 'load-conn', connection: { name: names.hub }, digest: 'another' }]);
  });

  it('does not initiate what is not loaded yet', () => {
    expect(kinds(planOf({ observed: observed(), ledger: emptyLedger(1_000_000) }))).not.toContain('initiate-child');
  });
});

describe('the ledger', () => {
  it('counts for nothing after a restart of charon', () => {
    const { ledger } = loaded();
    const restarted = observed({ charonStartMs: ledger.charonStartMs + 60_000 });
    expect(validLedger(ledger, restarted)).toEqual(emptyLedger(restarted.charonStartMs));
  });

  it('forgets what another client has unloaded, as swanctl --load-all does', () => {
    const { observed: seen, ledger } = loaded();
    const valid = validLedger(ledger, { ...seen, connections: new Set([names.hub]), keyIds: new Set() });
    expect(valid).toMatchObject({ credentials: null, keyId: null, connections: { [names.hub]: expect.any(String) } });
    expect(Object.keys(valid.connections)).toEqual([names.hub]);
  });

  it('holds through the second or two by which charon misstates its start', () => {
    const { ledger } = loaded();
    const seen = { ...loaded().observed, charonStartMs: ledger.charonStartMs + 1500 };
    expect(validLedger(ledger, seen).connections).toEqual(ledger.connections);
  });

  it('follows loads and unloads', () => {
    const { ledger } = loaded();
    const after = ledgerAfter(ledger, { kind: 'unload-conn', connection: names.hub }, undefined);
    expect(Object.keys(after.connections)).toEqual([names.medsrv, names.peer]);
    expect(ledgerAfter(ledger, { kind: 'terminate-ike', connection: 'x', ikeSaId: 1 }, undefined)).toBe(ledger);
  });
});

describe('removing', () => {
  const withoutPeer = { desired: desired(medsrv(), spoke()) };

  it('unloads a connection that is no longer wanted and ends its SAs', () => {
    const steps = planOf({ ...withoutPeer, ...withSas(upMedsrv, upHub, upPeer) });
    expect(steps).toEqual([
      { kind: 'unload-conn', connection: names.peer },
      { kind: 'terminate-ike', connection: names.peer, ikeSaId: 3 },
    ]);
  });

  it('does not wait for the peer’s consent to an end that was asked for before', () => {
    const deleting = ikeSa(names.peer, { state: 'DELETING', uniqueId: 3 });
    const steps = planOf({ ...withoutPeer, ...withSas(upMedsrv, upHub, deleting), knownForMs: () => 0 });
    expect(steps).toContainEqual({ kind: 'terminate-ike', connection: names.peer, ikeSaId: 3 });
  });

  describe('at a mediator', () => {
    const server = mediationServer({ barred: ['edge2', 'edge3'].map((name) => nodeNameSchema.parse(name)) });
    const at = (...ikeSas: IkeSa[]) => planOf({ desired: desired(server), ...withSas(...ikeSas) });
    const client = (node: string, change: Partial<IkeSa> = {}): IkeSa =>
      ikeSa(server.name, { remoteId: `O=mesh, CN=${node}`, uniqueId: 7, ...change });
    const abandon = { kind: 'abandon-ike', connection: server.name, ikeSaId: 7 };

    it.each(['ESTABLISHED', 'REKEYING', 'DELETING'])('ends the SA of a revoked node that is %s, unasked', (state) => {
      expect(at(client('edge3', { state }))).toContainEqual(abandon);
    });

    it('ends it under the other identity as well', () => {
      const other = mediationServer({ ...server, remoteId: '*.mesh' });
      const sasOf = (remoteId: string) => withSas(client('', { remoteId }));
      const endsOf = (remoteId: string) => kinds(planOf({ desired: desired(other), ...sasOf(remoteId) }));
      expect(endsOf('edge3.mesh')).toContain('abandon-ike');
      for (const remoteId of ['edge1.mesh', 'edge3.other', 'edge3', 'x.edge3.mesh'])
        expect(endsOf(remoteId)).not.toContain('abandon-ike');
    });

    it('leaves every other node, and what is not established', () => {
      for (const sa of [
        client('edge1'),
        client('edge33'),
        client('xedge3'),
        client('edge3', { state: 'CONNECTING' }),
      ]) {
        expect(kinds(at(sa))).not.toContain('abandon-ike');
      }
    });
  });

  it('leaves a mediation alone while its checks may run, which would abort charon', () => {
    const checking = ikeSa(names.peer, { state: 'CREATED', uniqueId: 3 });
    const steps = planOf({
      ...withoutPeer,
      ...withSas(upMedsrv, upHub, checking),
      knownForMs: () => CHECKS_MAX_MS - 1,
    });
    expect(steps).toEqual([{ kind: 'unload-conn', connection: names.peer }]);
  });

  it('ends a mediation that is stuck once its checks are over', () => {
    const stuck = ikeSa(names.peer, { state: 'CREATED', uniqueId: 3 });
    const steps = planOf({ ...withSas(upMedsrv, upHub, stuck), knownForMs: () => CHECKS_MAX_MS + 1 });
    expect(steps).toEqual([{ kind: 'terminate-ike', connection: names.peer, ikeSaId: 3 }]);
  });

  it('never touches what is not ours', () => {
    const { observed: seen, ledger } = loaded();
    const foreign = {
      ...seen,
      connections: new Set([...seen.connections, 'office']),
      ikeSas: [upMedsrv, upHub, upPeer],
    };
    expect(planOf({ observed: foreign, ledger })).toEqual([]);
  });

  it('ends the CHILD SA of a link that is gone and keeps the others of the tunnel', () => {
    const hub = ikeSa(names.hub, {
      uniqueId: 2,
      childSas: [childSa('edge1--remote'), childSa('edge1--old', { uniqueId: 9 })],
    });
    expect(planOf(withSas(upMedsrv, hub, upPeer))).toEqual([
      { kind: 'terminate-child', connection: names.hub, child: 'edge1--old', childSaId: 9 },
    ]);
  });
});

describe('repairs', () => {
  const ids = (...all: readonly number[]): ReadonlySet<number> => new Set(all);
  const everything = ids(...Array.from({ length: 20 }, (_, id) => id));

  it('end an established IKE SA at once, whatever its connection is', () => {
    const steps = planOf({ ...withSas(upMedsrv, upHub, upPeer), abandon: ids(1, 3) });
    expect(steps).toEqual([
      { kind: 'abandon-ike', connection: names.medsrv, ikeSaId: 1 },
      { kind: 'abandon-ike', connection: names.peer, ikeSaId: 3 },
    ]);
  });

  it('rekey an installed CHILD SA', () => {
    const steps = planOf({ ...withSas(upMedsrv, upHub, upPeer), rekey: ids(2) });
    expect(steps).toEqual([{ kind: 'rekey-child', connection: names.peer, child: 'edge1--remote', childSaId: 2 }]);
  });

  it('rekey nothing of an IKE SA that is ended', () => {
    const steps = planOf({ ...withSas(upMedsrv, upHub, upPeer), abandon: ids(3), rekey: ids(2) });
    expect(kinds(steps)).toEqual(['abandon-ike']);
  });

  it('touch nothing when nothing is asked for, nor what is not there', () => {
    expect(planOf({ ...withSas(upMedsrv, upHub, upPeer), abandon: ids(17), rekey: ids(17) })).toEqual([]);
  });

  const states = ['CREATED', 'CONNECTING', 'ESTABLISHED', 'PASSIVE', 'REKEYING', 'REKEYED', 'DELETING', 'DESTROYING'];
  const childStates = ['CREATED', 'ROUTED', 'INSTALLING', 'INSTALLED', 'UPDATING', 'REKEYING', 'REKEYED', 'DELETING'];

  it('abandon only what was established, whatever is asked: an SA whose checks run would abort charon', () => {
    for (const state of states) {
      const sas = [upMedsrv, upHub, upPeer].map((sa): IkeSa => ({ ...sa, state }));
      const steps = planOf({ ...withSas(...sas), abandon: everything, rekey: everything });
      const abandoned = steps.filter(({ kind }) => kind === 'abandon-ike').length;
      expect([state, abandoned]).toEqual([state, ['ESTABLISHED', 'REKEYING'].includes(state) ? 3 : 0]);
      expect(kinds(steps)).not.toContain('rekey-child');
    }
  });

  it('rekey only what is installed in what is established', () => {
    for (const state of states) {
      for (const childState of childStates) {
        const sa = { ...upHub, state, childSas: [childSa('edge1--remote', { state: childState })] };
        const steps = planOf({ ...withSas(upMedsrv, sa, upPeer), rekey: ids(1) });
        const isUp = state === 'ESTABLISHED' && childState === 'INSTALLED';
        expect([state, childState, kinds(steps).includes('rekey-child')]).toEqual([state, childState, isUp]);
      }
    }
  });

  it('come before everything else: traffic waits for them', () => {
    const steps = planOf({
      desired: desired(medsrv(), spoke(), mediatedPeer({ children: [child('edge1--remote'), child('edge1--new')] })),
      ...withSas(upMedsrv, upHub, upPeer, ikeSa('cygnet-old', { uniqueId: 9 })),
      credentialsDigest: 'other',
      digestOf: () => 'other',
      abandon: ids(2),
      rekey: ids(2),
    });
    expect(kinds(steps).slice(0, 3)).toEqual(['abandon-ike', 'rekey-child', 'load-credentials']);
    expect(kinds(steps)).toEqual(expect.arrayContaining(['load-conn', 'terminate-ike']));
  });

  it('are not held back by the gate, by a back-off, or by want of workers', () => {
    const held = { allowed: () => false, attemptsOf: () => 9 };
    const seen = { ...loaded().observed, ikeSas: [upMedsrv, upHub, upPeer], idleWorkers: 0 };
    expect(kinds(planOf({ ...held, observed: seen, abandon: ids(3), rekey: ids(1) }))).toEqual([
      'rekey-child',
      'abandon-ike',
    ]);
  });
});

describe('duplicates', () => {
  it('keeps the IKE SA that carries traffic, then the one with the lower SPI', () => {
    const idle = ikeSa(names.peer, { uniqueId: 4, initiatorSpi: '00' });
    const other = ikeSa(names.peer, { uniqueId: 5, initiatorSpi: '02', childSas: [childSa('edge1--remote')] });
    const steps = planOf(withSas(upMedsrv, upHub, idle, other, { ...upPeer, initiatorSpi: '01' }));
    expect(steps.map((step) => 'ikeSaId' in step && step.ikeSaId)).toEqual([5, 4]);
  });

  it('are left to the first node of the link', () => {
    const second = { ...upPeer, uniqueId: 8, initiatorSpi: '02' };
    const asRemote = { ...mesh, node: 'zz' as typeof mesh.node };
    expect(planOf({ ...withSas(upMedsrv, upHub, upPeer, second), desired: asRemote })).toEqual([]);
  });

  it('of a CHILD SA give way to the one with the right selectors', () => {
    const children = [childSa('edge1--remote', { uniqueId: 7, remoteTs: ['9.9.9.0/24'] }), childSa('edge1--remote')];
    expect(planOf(withSas(upMedsrv, { ...upHub, childSas: children }, upPeer))).toEqual([
      { kind: 'terminate-child', connection: names.hub, child: 'edge1--remote', childSaId: 7 },
    ]);
  });

  it('are not seen in a rekeying IKE SA', () => {
    const rekeyed = { ...upPeer, uniqueId: 8, state: 'REKEYED', childSas: [] };
    expect(planOf(withSas(upMedsrv, upHub, upPeer, rekeyed))).toEqual([]);
  });
});

describe('a peer that is reached through two mediators', () => {
  const secondMedsrv = medsrv({ name: connectionNameSchema.parse('cygnet-medsrv-master2') });
  const viaSecond = mediatedPeer({
    name: connectionNameSchema.parse('cygnet-peer-remote--master2'),
    mediatedBy: secondMedsrv.name,
  });
  const state = desired(medsrv(), secondMedsrv, spoke(), mediatedPeer(), viaSecond);
  const planWith = (change: Partial<PlanInput>, ...ikeSas: IkeSa[]): readonly Step[] => {
    const { observed: seen, ledger } = loaded(state);
    const registered = [upMedsrv, ikeSa(secondMedsrv.name, { uniqueId: 9 }), upHub];
    return planOf({ desired: state, observed: { ...seen, ikeSas: [...registered, ...ikeSas] }, ledger, ...change });
  };
  const held = { allowed: (key: string): boolean => !key.startsWith('initiate ') };
  const filedUnderSecond = { ...upPeer, name: viaSecond.name, uniqueId: 8 };

  it.each<[string, string, string, number]>([
    ['the first connection, which has the lower SPI', '01', '02', 8],
    ['the second one, which has the lower SPI', '02', '01', 3],
  ])('keeps one of two IKE SAs that charon filed under both: that of %s', (_what, first, second, ended) => {
    const steps = planWith(held, { ...upPeer, initiatorSpi: first }, { ...filedUnderSecond, initiatorSpi: second });
    expect(steps).toMatchObject([{ kind: 'terminate-ike', ikeSaId: ended }]);
  });

  it('keeps the one that carries traffic', () => {
    const idle = { ...upPeer, initiatorSpi: '01', childSas: [] };
    expect(planWith(held, idle, { ...filedUnderSecond, initiatorSpi: '02' })).toMatchObject([
      { kind: 'terminate-ike', ikeSaId: 3 },
    ]);
  });

  it('ends nothing of one that is alone, of another peer, or that is still being set up', () => {
    expect(planWith(held, filedUnderSecond)).toEqual([]);
    expect(planWith(held, filedUnderSecond, { ...upPeer, state: 'CONNECTING', childSas: [] })).toEqual([]);
    const otherPeer = mediatedPeer({
      name: connectionNameSchema.parse('cygnet-peer-zeta'),
      peer: nodeNameSchema.parse('zeta'),
    });
    const more = desired(...state.connections, otherPeer);
    const { observed: seen, ledger } = loaded(more);
    const ikeSas = [upMedsrv, upHub, filedUnderSecond, { ...upPeer, name: otherPeer.name, uniqueId: 10 }];
    expect(planOf({ ...held, desired: more, observed: { ...seen, ikeSas }, ledger })).toEqual([]);
  });

  it('is waited for under both while its checks run under one', () => {
    for (const name of [names.peer, viaSecond.name]) {
      const connecting = ikeSa(name, { uniqueId: 8, state: 'CONNECTING' });
      expect(planWith({}, connecting), name).toEqual([]);
    }
  });

  it('is waited for under the connection itself only while a set-up waits for its mediation', () => {
    const created = ikeSa(viaSecond.name, { uniqueId: 8, state: 'CREATED' });
    expect(planWith({}, created)).toEqual([{ kind: 'initiate-child', connection: names.peer, child: 'edge1--remote' }]);
  });
});

describe('initiating', () => {
  it('brings up medsrv by IKE, and tunnels by child', () => {
    expect(planOf()).toEqual([
      { kind: 'initiate-ike', connection: names.medsrv },
      { kind: 'initiate-child', connection: names.hub, child: 'edge1--remote' },
      { kind: 'initiate-child', connection: names.peer, child: 'edge1--remote' },
    ]);
  });

  it.each(['CREATED', 'CONNECTING'])('waits for a set-up that is %s: a second one would make a second SA', (state) => {
    const pending = [names.medsrv, names.hub, names.peer].map((name, index) =>
      ikeSa(name, { state, uniqueId: index + 1 }),
    );
    expect(planOf(withSas(...pending))).toEqual([]);
  });

  it('begins a tunnel with one child, and adds the others when its IKE SA is established', () => {
    const state = desired(spoke([child('edge1--a'), child('edge1--b')]));
    const { observed: seen, ledger } = loaded(state);
    expect(planOf({ desired: state, observed: seen, ledger })).toHaveLength(1);
    const established = { ...seen, ikeSas: [ikeSa(names.hub, { childSas: [childSa('edge1--a')] })] };
    expect(planOf({ desired: state, observed: established, ledger })).toMatchObject([
      { kind: 'initiate-child', child: 'edge1--b' },
    ]);
  });

  it('asks nothing of a charon that is short of workers', () => {
    expect(planOf({ observed: { ...loaded().observed, idleWorkers: 2 } })).toEqual([]);
  });

  it('begins at most sixteen set-ups in a round, and none that has to wait takes the place of one that has not', () => {
    const links = Array.from({ length: 40 }, (_, index) => `edge1--site-${index}`);
    const state = desired(spoke(links.map((link) => child(link))));
    const { observed: seen, ledger } = loaded(state);
    const established = { ...seen, ikeSas: [ikeSa(names.hub)] };
    const waiting = new Set(links.slice(0, 10).map((link) => initiateKey(names.hub, link)));
    const steps = planOf({ desired: state, observed: established, ledger, allowed: (key) => !waiting.has(key) });
    expect(steps.map((step) => 'child' in step && step.child)).toEqual(links.slice(10, 26));
  });

  it('only answers where the child is to be added', () => {
    const state = desired(medsrv({ start: 'add' }), spoke([child('edge1--remote', { start: 'add' })]));
    expect(planOf({ desired: state, ...loaded(state) })).toEqual([]);
  });

  it('replaces a CHILD SA whose selectors are not the configured ones', () => {
    const old = { ...upHub, childSas: [childSa('edge1--remote', { localTs: ['1.2.3.0/24'] })] };
    expect(planOf(withSas(upMedsrv, old, upPeer))).toEqual([
      { kind: 'initiate-child', connection: names.hub, child: 'edge1--remote' },
    ]);
  });

  it('ends a CHILD SA with other selectors first when charon takes its successor for a duplicate', () => {
    const narrowed = { ...upHub, childSas: [childSa('edge1--remote', { uniqueId: 6, localTs: ['7.7.7.0/25'] })] };
    const steps = planOf({ ...withSas(upMedsrv, narrowed, upPeer), attemptsOf: () => 2 });
    expect(steps).toEqual([
      { kind: 'terminate-child', connection: names.hub, child: 'edge1--remote', childSaId: 6 },
      { kind: 'initiate-child', connection: names.hub, child: 'edge1--remote' },
    ]);
    const gated = { attemptsOf: () => 2, allowed: () => false };
    expect(planOf({ ...withSas(upMedsrv, narrowed, upPeer), ...gated })).toEqual([]);
  });

  it('obeys the gate', () => {
    const key = initiateKey(names.peer, 'edge1--remote');
    expect(planOf({ ...withSas(upMedsrv, upHub), allowed: (asked) => asked !== key })).toEqual([]);
  });
});

describe('traffic that this node moves by itself', () => {
  const own = { mesh: '100.96.0.4', relay: '100.96.0.5' };
  const peerAddresses = { mesh: '100.96.0.6', relay: '100.96.0.7' };
  const addressed: DesiredState = {
    ...mesh,
    addresses: own,
    links: mesh.links.map((link) => ({ ...link, peerAddresses })),
  };
  const local = localState(addressed, 'libipsec', 7447);
  const via = local.steering[0] as TrapSteering;
  const [directReqid, relayReqid] = [via.direct.reqid!, via.lasting[3]!.reqid!];
  const sasWith = (direct: number, relay: number): IkeSa[] => [
    upMedsrv,
    ikeSa(names.hub, { uniqueId: 2, childSas: [childSa('edge1--remote', { reqid: relay })] }),
    ikeSa(names.peer, { uniqueId: 3, childSas: [childSa('edge1--remote', { uniqueId: 2, reqid: direct })] }),
  ];
  const installed = (...traps: readonly TrapPolicy[]): ReadonlyMap<string, ObservedTrap> =>
    new Map(
      traps.map(({ name, localSelectors: localTs, remoteSelectors: remoteTs }) => [
        trapKey(via.name, name),
        { connection: via.name, name, localTs, remoteTs },
      ]),
    );

  function steered(change: Partial<PlanInput> & Partial<Pick<ObservedState, 'ikeSas' | 'traps'>> = {}): string[] {
    const { ikeSas = sasWith(directReqid, relayReqid), traps = installed(...via.lasting), ...rest } = change;
    const { observed: seen, ledger } = loaded();
    const connections = [...seen.connections, via.name];
    const steps = planOf({
      ...local,
      observed: { ...seen, connections: new Set(connections), ikeSas, traps },
      ledger: { ...ledger, connections: { ...ledger.connections, [via.name]: `digest of ${via.name}` } },
      ...rest,
    });
    return steps.map((step) => ('trap' in step ? `${step.kind} ${step.trap}` : step.kind));
  }

  it('needs nothing when all is as it should be', () => expect(steered()).toEqual([]));

  it('leaves the direct tunnel before that is ended', () => {
    const traps = installed(...via.lasting, via.direct);
    expect(steered({ traps, abandon: new Set([3]) })).toEqual(['uninstall-trap direct', 'abandon-ike']);
    expect(steered({ traps, desired: desired(medsrv(), spoke()) })[0]).toBe('uninstall-trap direct');
  });

  it('keeps one that the desired state has no more until the other end has left it, too', () => {
    const connections = local.desired.connections.filter(({ kind }) => kind !== 'mediated-peer');
    const gone = { desired: { ...local.desired, connections } };
    expect(steered(gone)).toEqual(['unload-conn']);
    expect(steered({ ...gone, unwantedForMs: () => LEAVE_MS - 1 })).toEqual(['unload-conn']);
    expect(steered({ ...gone, unwantedForMs: () => LEAVE_MS })).toEqual(['unload-conn', 'terminate-ike']);
    expect(steered({ ...gone, steering: [], traps: new Map() })).toContain('terminate-ike');
  });

  it('takes it when it is told to', () =>
    expect(steered({ takesDirect: new Set([via.link]) })).toEqual(['install-trap direct']));

  it('has all of its policies or waits with all, when charon refuses one', () => {
    const traps = installed(...via.lasting.slice(1));
    const isRefused = (key: string): boolean => key === `install ${via.name}/receive-direct`;
    expect(steered({ traps, allowed: (key) => !isRefused(key) })).toEqual([]);
    expect(steered({ traps })).toHaveLength(4 + 5);
  });

  it('has a direct tunnel with policies of its own ended, whoever has set it up, and one of the relay replaced', () => {
    const waits = { allowed: (key: string): boolean => !key.startsWith('initiate ') };
    expect(steered({ ikeSas: sasWith(7, relayReqid), ...waits })).toEqual(['terminate-ike']);
    expect(steered({ ikeSas: sasWith(directReqid, 7) })).toEqual(['initiate-child']);
  });

  it('is charon’s again in a tunnel with policies, when it is not to be moved any more', () =>
    expect(
      steered({ desired: addressed, steering: [], traps: new Map(), ledger: loaded().ledger }).filter(
        (kind) => kind !== 'unload-conn',
      ),
    ).toEqual(['terminate-ike', 'initiate-child']));
});

describe('traffic that this node moves by routes', () => {
  const peerAddresses = { mesh: '100.96.0.6', relay: '100.96.0.7' };
  const addressed: DesiredState = {
    ...mesh,
    addresses: { mesh: '100.96.0.4', relay: '100.96.0.5' },
    links: mesh.links.map((link) => ({ ...link, peerAddresses })),
  };
  const local = localState(addressed, 'xfrm-interfaces', 7447);
  const via = local.steering[0] as RouteSteering;
  const sasWith = (direct: number, relay: number): IkeSa[] => [
    upMedsrv,
    ikeSa(names.hub, { uniqueId: 2, childSas: [childSa('edge1--remote', { ifId: relay })] }),
    ikeSa(names.peer, { uniqueId: 3, childSas: [childSa('edge1--remote', { uniqueId: 2, ifId: direct })] }),
  ];
  const { name: connection } = via;
  const [dropping] = via.lasting as [TrapPolicy];
  const { localSelectors: localTs, remoteSelectors: remoteTs } = dropping;
  const traps = new Map([[trapKey(connection, dropping.name), { connection, name: dropping.name, localTs, remoteTs }]]);
  const routed = (path: PathKind): ReadonlyMap<string, ObservedRoute> =>
    new Map(
      [
        ...via.destinations.map((destination): Route => ({ table: 'traffic', destination, path })),
        { table: 'traffic', destination: via.probed.relay, path: 'relay' } as const,
        { table: 'probes', destination: via.probed.direct, path: 'direct' } as const,
      ].map((route) => [routeKey(route), route]),
    );

  function steered(
    change: Partial<PlanInput> & Partial<Pick<ObservedState, 'ikeSas' | 'traps' | 'routes'>> = {},
  ): string[] {
    const { ikeSas = sasWith(IF_IDS.direct, IF_IDS.relay), routes = routed('relay'), ...rest } = change;
    const { observed: seen, ledger } = loaded();
    const connections = new Set([...seen.connections, connection]);
    const steps = planOf({
      ...local,
      observed: { ...seen, connections, ikeSas, traps: change.traps ?? traps, routes },
      ledger: { ...ledger, connections: { ...ledger.connections, [connection]: `digest of ${connection}` } },
      ...rest,
    });
    return steps.map(({ kind }) => kind);
  }

  it('needs nothing when all is as it should be', () => expect(steered()).toEqual([]));

  it('is routed at once, also before there is a tunnel, and what comes without one is dropped before', () =>
    expect(steered({ ikeSas: [upMedsrv], traps: new Map(), routes: new Map() }).slice(0, 2)).toEqual([
      'install-trap',
      'set-routes',
    ]));

  it('leaves the direct tunnel before that is ended', () => {
    const routes = routed('direct');
    expect(steered({ routes, abandon: new Set([3]) })).toEqual(['divert-routes', 'abandon-ike']);
    // Also while routes are refused: a direct tunnel that is given up must not keep the traffic.
    expect(steered({ routes, allowed: () => false })).toEqual(['divert-routes']);
    expect(steered({ routes, desired: desired(medsrv(), spoke()), steering: [] })[1]).toBe('remove-routes');
  });

  it('takes it when it is told to', () =>
    expect(steered({ takesDirect: new Set([via.link]) })).toEqual(['set-routes']));

  it('has tunnels of an agent that had no interfaces replaced, and those with them when it has none any more', () => {
    const waits = { allowed: (key: string): boolean => !key.startsWith('initiate ') };
    expect(steered({ ikeSas: sasWith(0, IF_IDS.relay), ...waits })).toEqual(['terminate-ike']);
    expect(steered({ ikeSas: sasWith(IF_IDS.direct, 0) })).toEqual(['initiate-child']);
    const without = { desired: addressed, steering: [], routes: new Map() };
    expect(steered(without)).toEqual(expect.arrayContaining(['uninstall-trap', 'terminate-ike', 'initiate-child']));
  });
});
