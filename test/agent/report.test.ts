import { describe, expect, it } from 'vitest';
import { connectionReports, linkReports, type ReportInput } from '../../src/agent/report.ts';
import { nodeReportSchema } from '../../src/control/report.ts';
import type { Connection } from '../../src/ike/connection.ts';
import type { ProbeReading } from '../../src/agent/prober.ts';
import type { IkeSa } from '../../src/ike/sa.ts';
import type { DirectPath } from '../../src/paths/direct-path.ts';
import type { Evidence } from '../../src/paths/evidence.ts';
import { evidence } from '../paths/evidence-builder.ts';
import { hub, mediationServer } from '../ike/connections.ts';
import { child, childSa, desired, ikeSa, mediatedPeer, medsrv, names, spoke } from '../reconcile/builders.ts';
import { reportOf } from '../coordinator/report-builders.ts';

const relay = ikeSa(names.hub, { childSas: [childSa('edge1--remote')] });
const direct = ikeSa(names.peer, { childSas: [childSa('edge1--remote')] });
const notTrusted: Evidence = { ...evidence('auth-failed'), advice: 'Check the certificates.' };
const mesh = [medsrv(), spoke(), mediatedPeer()];

function input(change: Partial<ReportInput> & { readonly connections?: readonly Connection[] } = {}): ReportInput {
  const { connections = mesh, ...rest } = change;
  return {
    desired: desired(...connections),
    ikeSas: [],
    refusals: new Map(),
    directPaths: new Map([['edge1--remote', { phase: 'idle' as const, failures: 0, lost: false }]]),
    takesDirect: () => undefined,
    evidenceOf: () => undefined,
    causeOf: () => undefined,
    reading: () => undefined,
    ...rest,
  };
}

const statusesOf = (connections: readonly Connection[], ikeSas: readonly IkeSa[] = []): unknown =>
  connectionReports(input({ connections, ikeSas })).map(({ status }) => status);

describe('the status of a connection', () => {
  it.each<[string, Connection, IkeSa[], string]>([
    ['with an established SA is up', medsrv(), [ikeSa(names.medsrv)], 'up'],
    ['whose SA is being rekeyed is up', medsrv(), [ikeSa(names.medsrv, { state: 'REKEYING' })], 'up'],
    ['with a set-up under way is connecting', spoke(), [ikeSa(names.hub, { state: 'CONNECTING' })], 'connecting'],
    ['that this node should set up is down', spoke(), [], 'down'],
    ['of a mediation client is down', medsrv(), [], 'down'],
    ['that only answers is ready', hub(), [], 'ready'],
    ['of a mediation client that only answers is ready', medsrv({ start: 'add' }), [], 'ready'],
    ['of a mediated peer without an SA is ready', mediatedPeer(), [], 'ready'],
    ['of a mediator is ready', mediationServer(), [], 'ready'],
  ])('%s', (_what, connection, ikeSas, status) => expect(statusesOf([connection], ikeSas)).toEqual([status]));

  it('that charon refused is refused, in charon’s words', () => {
    const refusals = new Map([[names.hub as string, 'invalid value for: id']]);
    expect(connectionReports(input({ refusals }))[1]).toMatchObject({
      status: 'refused',
      problem: 'invalid value for: id',
    });
  });

  it('that is up stays up when a reload of it is refused', () => {
    const refusals = new Map([[names.hub as string, 'no']]);
    expect(connectionReports(input({ refusals, ikeSas: [relay] }))[1]).toMatchObject({ status: 'up', problem: 'no' });
  });
});

describe('the problem of a connection', () => {
  const problemsOf = (connection: Connection, ikeSas: readonly IkeSa[] = []): (string | null)[] =>
    connectionReports(input({ connections: [connection], ikeSas })).map(({ problem }) => problem);

  it('names the mediator that is not reached', () =>
    expect(problemsOf(medsrv())[0]).toMatch(/not registered at mediator master1 \(203\.0\.113\.10\)/));

  it('names the hub that is not reached', () =>
    expect(problemsOf(spoke())[0]).toMatch(/no tunnel to hub master1 \(203\.0\.113\.10\)/));

  it('is none of a connection that waits for the other end', () => {
    expect(problemsOf(hub())).toEqual([null]);
    expect(problemsOf(mediatedPeer())).toEqual([null]);
  });

  it('names the children that are not there', () => {
    expect(problemsOf(spoke(), [ikeSa(names.hub)])).toEqual(['no CHILD SA for edge1--remote']);
    expect(problemsOf(spoke(), [relay])).toEqual([null]);
  });

  it('is never longer than a report may carry, with however many children', () => {
    const many = Array.from({ length: 300 }, (_, index) => child(`edge1--site-with-a-long-name-${index}`));
    const [report] = connectionReports(input({ connections: [spoke(many)], ikeSas: [ikeSa(names.hub)] }));
    expect(nodeReportSchema.safeParse(reportOf({ connections: [report!] })).success).toBe(true);
  });
});

describe('a charon that cannot be asked', () => {
  const unasked = input({
    ikeSas: undefined,
    refusals: new Map([[names.hub as string, 'no']]),
    causeOf: () => 'mediator-unreachable',
    reading: () => ({ health: 'alive', sas: '1', silentMs: 0, answeredAtMs: 0, isOutdone: false, rttMs: 24, loss: 0 }),
  });

  it('leaves every connection unknown, which is no problem of theirs', () => {
    const known = mesh.map(({ name }) =>
      expect.objectContaining({ name, status: 'unknown', problem: null, ikeSas: [] }),
    );
    expect(connectionReports(unasked)).toEqual(known);
  });

  it('leaves every path unknown, and the failures as they were counted', () => {
    const directPaths = new Map([['edge1--remote', { phase: 'idle' as const, failures: 3, lost: false }]]);
    expect(linkReports({ ...unasked, directPaths })).toEqual([
      {
        id: 'edge1--remote',
        peer: 'remote',
        path: 'unknown',
        problem: null,
        cause: null,
        direct: null,
        relay: null,
        directFailures: 3,
      },
    ]);
  });
});

describe('a CHILD SA with other subnets than configured', () => {
  const outdated = childSa('edge1--remote', { remoteTs: ['9.9.9.0/24'] });

  it.each<[string, IkeSa[], 'direct' | 'relay']>([
    ['direct tunnel', [relay, { ...direct, childSas: [outdated] }], 'direct'],
    ['hub tunnel', [{ ...relay, childSas: [outdated] }, direct], 'direct'],
    ['only tunnel', [{ ...relay, childSas: [outdated] }], 'relay'],
  ])('in the %s is a problem of the link', (_what, ikeSas, path) =>
    expect(linkReports(input({ ikeSas }))).toMatchObject([
      { path, problem: 'a tunnel to remote still has other subnets than the mesh spec' },
    ]),
  );

  it('is a problem of its connection', () => {
    const reports = connectionReports(input({ ikeSas: [{ ...relay, childSas: [outdated] }] }));
    expect(reports[1]?.problem).toMatch(/^other selectors than configured on edge1--remote:/);
  });

  it('is none once another one has the right ones', () => {
    const ikeSas = [{ ...relay, childSas: [outdated, ...relay.childSas] }, direct];
    expect(linkReports(input({ ikeSas }))).toMatchObject([{ problem: null }]);
    expect(connectionReports(input({ ikeSas }))[1]?.problem).toBeNull();
  });
});

describe('the SAs of a connection', () => {
  it('are told with the link that each CHILD SA carries', () => {
    const withForeign = {
      ...relay,
      childSas: [...relay.childSas, childSa('left-over', { installedSeconds: undefined })],
    };
    const [, report] = connectionReports(input({ ikeSas: [withForeign] }));
    expect(report?.ikeSas[0]).toMatchObject({ uniqueId: 1, state: 'ESTABLISHED', nat: true, establishedSeconds: 5 });
    expect(report?.ikeSas[0]?.childSas).toMatchObject([
      { name: 'edge1--remote', link: 'edge1--remote', installedSeconds: 5 },
      { name: 'left-over', link: null, installedSeconds: null },
    ]);
    expect(nodeReportSchema.safeParse(reportOf({ connections: [report!] })).success).toBe(true);
  });

  it('that are not established have no age', () => {
    const pending = ikeSa(names.peer, { state: 'CREATED', establishedSeconds: undefined, rekeyInSeconds: undefined });
    const report = connectionReports(input({ ikeSas: [pending] }))[2];
    expect(report?.ikeSas[0]).toMatchObject({ establishedSeconds: null, rekeyInSeconds: null });
  });
});

describe('the path of a link', () => {
  const linkOf = (change: Partial<ReportInput> & { readonly connections?: readonly Connection[] }): unknown =>
    linkReports(input(change))[0];
  const alive: ProbeReading = {
    health: 'alive',
    sas: '1',
    silentMs: 0,
    answeredAtMs: 0,
    isOutdone: false,
    rttMs: 24.04,
    loss: 0.05,
  };
  const failed = new Map([['edge1--remote', { phase: 'idle' as const, failures: 3, lost: false }]]);

  it.each<[string, Parameters<typeof linkOf>[0], { path: string; problem: RegExp | null }]>([
    ['direct', { ikeSas: [relay, direct] }, { path: 'direct', problem: null }],
    ['relay, and the direct one is under way', { ikeSas: [relay] }, { path: 'relay', problem: /is being set up/ }],
    ['relay, as there is no other', { ikeSas: [relay], connections: [spoke()] }, { path: 'relay', problem: null }],
    [
      'relay while an end is not registered',
      { ikeSas: [relay], causeOf: () => 'mediator-unreachable' },
      { path: 'relay', problem: /^traffic goes through the hub: remote and this node are not both registered/ },
    ],
    [
      'relay where hole punching fails',
      { ikeSas: [relay], directPaths: failed, causeOf: () => 'symmetric-nat' },
      { path: 'relay', problem: /a symmetric NAT in front of remote or of this node .*\(tries: 3\)$/ },
    ],
    ['none', { ikeSas: [ikeSa(names.hub)] }, { path: 'none', problem: /^no traffic to remote is possible now/ }],
    [
      'none where there is only a relay',
      { connections: [spoke()], directPaths: new Map() },
      { path: 'none', problem: /^no traffic to remote is possible now: no tunnel to hub master1 .* does not answer/ },
    ],
    [
      'none where both of its tunnels are down, and says so of both',
      { directPaths: failed, causeOf: () => 'symmetric-nat', evidenceOf: () => notTrusted },
      { path: 'none', problem: /a symmetric NAT .*\(tries: 3\); no tunnel to hub master1 .*: auth-failed\. Check the/ },
    ],
    [
      'none where charon refuses its only tunnel',
      { connections: [spoke()], directPaths: new Map(), refusals: new Map([[names.hub as string, 'no']]) },
      { path: 'none', problem: /: charon refuses the tunnel with master1: no$/ },
    ],
  ])('is %s', (_what, change, { path, problem }) => {
    const link = linkOf(change);
    expect(link).toMatchObject({ id: 'edge1--remote', peer: 'remote', path });
    expect(link).toHaveProperty('problem', problem === null ? null : expect.stringMatching(problem));
  });

  it.each(['INSTALLED', 'REKEYING', 'REKEYED'])('goes on over a CHILD SA in %s', (state) =>
    expect(linkOf({ ikeSas: [ikeSa(names.peer, { childSas: [childSa('edge1--remote', { state })] })] })).toMatchObject({
      path: 'direct',
    }),
  );

  it.each(['CREATED', 'DELETING', 'DELETED'])('does not go over a CHILD SA in %s', (state) =>
    expect(linkOf({ ikeSas: [ikeSa(names.peer, { childSas: [childSa('edge1--remote', { state })] })] })).toMatchObject({
      path: 'none',
    }),
  );

  describe('with a hub', () => {
    /** At one end of it the connection sets up, at the other it answers. */
    const withHub = (connection: Connection, change: Partial<ReportInput> = {}): unknown => {
      const { links, ...rest } = desired(connection);
      const ref = { connection: connection.name, child: child('edge1--remote').name };
      const state = { ...rest, links: links.map((link) => ({ ...link, direct: [ref], relay: [] })) };
      return linkReports({ ...input({ directPaths: new Map(), ...change }), desired: state })[0];
    };

    it.each([
      ['that refuses this node', spoke(), /: no tunnel to hub master1 .*: auth-failed\. Check the certificates/],
      ['of a node that it refuses', hub(), /: the tunnel with edge2 is not up: auth-failed\. Check the certificates/],
    ])('%s has the cause, and its words', (_what, connection, problem) =>
      expect(withHub(connection, { evidenceOf: () => notTrusted })).toMatchObject({
        path: 'none',
        cause: 'auth-failed',
        problem: expect.stringMatching(problem) as string,
      }),
    );

    it('that answers nothing has none that could be proved', () =>
      expect(withHub(spoke())).toMatchObject({
        cause: null,
        problem: expect.stringMatching(/does not answer/) as string,
      }));

    it('whose tunnel is up has none, whatever was said before', () => {
      const evidenceOf = (): Evidence => notTrusted;
      expect(withHub(spoke(), { ikeSas: [relay], evidenceOf })).toMatchObject({ path: 'direct', cause: null });
      const reading = (): ProbeReading => ({ ...alive, health: 'dead' });
      expect(withHub(spoke(), { ikeSas: [relay], evidenceOf, reading })).toMatchObject({
        path: 'none',
        cause: null,
        problem: 'no traffic to remote is possible now: nothing comes back through the tunnel with master1',
      });
    });
  });

  it('counts the failures', () => expect(linkOf({ directPaths: failed })).toMatchObject({ directFailures: 3 }));

  it('has its cause, until it is direct', () => {
    const causeOf = (): 'udp-blocked' => 'udp-blocked';
    expect(linkOf({ ikeSas: [relay], causeOf })).toMatchObject({ path: 'relay', cause: 'udp-blocked' });
    expect(linkOf({ ikeSas: [relay, direct], causeOf })).toMatchObject({ path: 'direct', cause: null, problem: null });
  });

  it('is the one that this node has its traffic take, where charon does not choose', () => {
    const pathWith = (takesDirect: boolean): unknown =>
      linkOf({ ikeSas: [relay, direct], takesDirect: () => takesDirect });
    expect(pathWith(true)).toMatchObject({ path: 'direct', problem: null });
    expect(pathWith(false)).toMatchObject({ path: 'relay' });
    expect(linkOf({ ikeSas: [direct], takesDirect: () => false })).toMatchObject({ path: 'none' });
  });

  it('is none where charon refuses the policies that lead into the tunnels', () =>
    expect(linkOf({ ikeSas: [relay, direct], refusals: new Map([['cygnet-via-remote', 'no']]) })).toMatchObject({
      path: 'none',
      problem: 'no traffic is possible: what leads it into the tunnels is refused: no',
    }));

  it('does not go over a tunnel that is dead, and goes over one of which nothing is known', () => {
    const readingOf =
      (health: Readonly<Record<'direct' | 'relay', ProbeReading['health']>>): ReportInput['reading'] =>
      (_link, path) => ({ ...alive, health: health[path] });
    const pathWith = (direct_: ProbeReading['health'], relay_: ProbeReading['health']): unknown =>
      linkOf({ ikeSas: [relay, direct], reading: readingOf({ direct: direct_, relay: relay_ }) });
    expect(pathWith('unknown', 'dead')).toMatchObject({ path: 'direct' });
    expect(pathWith('dead', 'unknown')).toMatchObject({ path: 'relay' });
    expect(pathWith('dead', 'dead')).toMatchObject({
      path: 'none',
      problem: expect.stringMatching(/^no traffic/) as string,
    });
  });

  it('is the direct one until its tunnel is given up, as traffic is', () => {
    const pathWith = (path: DirectPath, directHealth: ProbeReading['health']): unknown => {
      const reading: ReportInput['reading'] = (_link, of) => ({
        ...alive,
        health: of === 'relay' ? 'alive' : directHealth,
      });
      return linkOf({ ikeSas: [relay, direct], reading, directPaths: new Map([['edge1--remote', path]]) });
    };
    const [failures, lost] = [0, true];
    const givenUp: DirectPath = { phase: 'ending', failures, lost, ikeSaIds: [2], abandonAtMs: 0 };
    expect(pathWith({ phase: 'up', failures, lost, proven: true }, 'dead')).toMatchObject({
      path: 'direct',
      cause: null,
    });
    for (const health of ['dead', 'alive'] as const) expect(pathWith(givenUp, health)).toMatchObject({ path: 'relay' });
  });

  it('tells what the probes of each path say, the round trip in tenths of a millisecond', () => {
    const unheard: ProbeReading = {
      ...alive,
      health: 'unknown',
      silentMs: 900,
      answeredAtMs: undefined,
      isOutdone: false,
      rttMs: undefined,
      loss: undefined,
    };
    const reading: ReportInput['reading'] = (_link, path) => (path === 'relay' ? alive : unheard);
    expect(linkOf({ ikeSas: [relay, direct], reading })).toMatchObject({
      direct: { health: 'unknown', rttMs: null, loss: null },
      relay: { health: 'alive', rttMs: 24, loss: 0.05 },
    });
    expect(linkOf({ ikeSas: [] })).toMatchObject({ direct: null, relay: null });
  });
});
