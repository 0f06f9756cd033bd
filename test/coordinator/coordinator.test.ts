import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { CLOSE_CODES, type AgentFrame } from '../../src/control/frames.ts';
import { openStatement, stateStatementSchema } from '../../src/control/statement.ts';
import { SpecRefused } from '../../src/coordinator/spec-in-force.ts';
import { verifyCsr } from '../../src/identity/csr.ts';
import type { MeshCa } from '../../src/identity/mesh-ca.ts';
import type { NodeName } from '../../src/ike/connection.ts';
import { desiredStateSchema, type DesiredState } from '../../src/ike/desired-state.ts';
import { digestOf, digestOfText } from '../../src/json.ts';
import { claimIn } from '../control/statements.ts';
import { meshCa } from '../identity/mesh.ts';
import { CoreFixture, enrolmentRequest, type FakeChannel } from './core-fixture.ts';
import { edgeReport, reportOf } from './report-builders.ts';
import { SEED_SPEC } from './spec-builders.ts';

const WITH_THIRD = `${SEED_SPEC.replace('links:', '  third: { subnets: [7.7.9.0/24] }\nlinks:')}  - [third, edge1]\n`;
const WITHOUT_REMOTE = `nodes:
  master1: { roles: [mediator, hub], endpoint: 203.0.113.10, subnets: [10.233.97.0/24] }
  edge1:   { subnets: [7.7.7.0/24] }
links: [[edge1, master1]]
`;

/** In the reply to a change that all nodes may be told of. */
const ALL_SIGNED = { unsigned: [], signingProblem: null };

let ca: MeshCa;
let mesh: CoreFixture;

beforeAll(async () => {
  ca = await meshCa();
});

beforeEach(async () => {
  mesh = new CoreFixture(ca);
  for (const node of ['master1', 'edge1', 'remote']) await mesh.enrol(node);
});

afterEach(() => mesh[Symbol.dispose]());

const apply = (text: string): string[] =>
  mesh.core.rollout
    .apply(text, { dryRun: false, allowMassRemoval: text === WITHOUT_REMOTE })
    .changed.map(({ node }) => node)
    .sort();

/** The state that a channel has brought last. */
const stateAt = (channel: FakeChannel): DesiredState => desiredStateSchema.parse(channel.state);

const namesOf = (channel: FakeChannel): string[] => stateAt(channel).connections.map(({ name }) => name);

const view = (name: string) => mesh.core.views.nodes().find((node) => node.name === name);

describe('after a hello', () => {
  it('a node that holds nothing gets its state, then its hints', () => {
    apply(SEED_SPEC);
    const channel = mesh.connect('edge1');
    const [snapshot, links] = channel.sent;
    const claim = claimIn(channel.last('snapshot') ?? expect.fail());
    expect(claim).toMatchObject({ node: 'edge1', epoch: mesh.store.signing.epoch, generation: 1, notAfterMs: null });
    expect(snapshot).toMatchObject({ type: 'snapshot' });
    expect(links).toEqual({
      type: 'links',
      hints: [
        {
          link: 'edge1--remote',
          mediator: null,
          peerOnline: false,
          peerRegistered: false,
          peerNat: 'unknown',
          initiate: true,
        },
      ],
    });
  });

  it('the state passes the agent’s own check and has the digest that comes with it', () => {
    apply(SEED_SPEC);
    const snapshot = mesh.connect('edge1').last('snapshot');
    const { signed, state } = snapshot ?? expect.fail();
    expect(desiredStateSchema.parse(JSON.parse(state))).toMatchObject({ node: 'edge1' });
    const statement = openStatement(signed, [mesh.signingKeys.current], stateStatementSchema);
    expect(digestOfText(state)).toBe(statement.digest);
  });

  it('a node that holds this very state is told that nothing changed', () => {
    apply(SEED_SPEC);
    const { epoch, generation, digest } = claimIn(mesh.connect('edge1').last('snapshot') ?? expect.fail());
    expect(mesh.connect('edge1', { epoch, generation, digest }).take()).toEqual(['unchanged', 'links']);
    // The statement that comes with it says which epoch that is.
    expect(mesh.connect('edge1', { epoch: 'other', generation, digest }).take()).toEqual(['unchanged', 'links']);
    expect(mesh.connect('edge1', { epoch, generation, digest: digestOf('x') }).take()).toEqual(['snapshot', 'links']);
  });

  it('a node that no spec has named is told nothing, until one does', async () => {
    await mesh.enrol('third');
    const channel = mesh.connect('third');
    apply(SEED_SPEC);
    expect(channel.take()).toEqual([]);
    apply(WITH_THIRD);
    expect(channel.take()).toEqual(['snapshot', 'links']);
  });

  it('a node that was removed from the spec is told to let go of everything', () => {
    apply(SEED_SPEC);
    apply(WITHOUT_REMOTE);
    const snapshot = mesh.connect('remote').last('snapshot') ?? expect.fail();
    expect(claimIn(snapshot)).toMatchObject({ generation: 2, allowMassRemoval: true });
    expect(JSON.parse(snapshot.state)).toMatchObject({ node: 'remote', connections: [], links: [] });
  });

  it('a node is served on a full disk as well', () => {
    apply(SEED_SPEC);
    vi.spyOn(mesh.store.renewals, 'used').mockImplementation(() => {
      throw new Error('database or disk is full');
    });
    expect(mesh.connect('edge1').take()).toEqual(['snapshot', 'links']);
  });

  it('an older channel of the node is closed, and no longer listened to', () => {
    apply(SEED_SPEC);
    const first = mesh.connect('edge1');
    const second = mesh.connect('edge1');
    expect([first.closedWith, second.closedWith]).toEqual([CLOSE_CODES.replaced, undefined]);
    mesh.core.channels.received(first, { type: 'report', report: reportOf({ generation: 77 }) });
    mesh.core.channels.closed(first);
    expect(view('edge1')).toMatchObject({ online: true, report: null });
  });
});

describe('an apply', () => {
  it('goes to the nodes that it changes, and to no other', async () => {
    await mesh.enrol('third');
    apply(SEED_SPEC);
    const [edge1, remote, third] = ['edge1', 'remote', 'third'].map((node) => mesh.connect(node)) as [
      FakeChannel,
      FakeChannel,
      FakeChannel,
    ];
    for (const channel of [edge1, remote, third]) channel.take();
    expect(apply(WITH_THIRD)).toEqual(['edge1', 'master1', 'third']);
    expect([edge1.take(), remote.take(), third.take()]).toEqual([['delta', 'links'], [], ['snapshot', 'links']]);
  });

  it('of the same spec again changes nothing', () => {
    apply(SEED_SPEC);
    expect(mesh.core.rollout.apply(SEED_SPEC, { dryRun: false })).toEqual({
      revision: 1,
      dryRun: false,
      changed: [],
      massRemovals: [],
      ...ALL_SIGNED,
    });
  });

  it('tried dry says what it would do and does nothing', () => {
    apply(SEED_SPEC);
    const channel = mesh.connect('remote');
    channel.take();
    const plan = mesh.core.rollout.apply(WITHOUT_REMOTE, { dryRun: true });
    expect(plan).toMatchObject({ revision: 1, dryRun: true });
    expect(plan.changed).toContainEqual({
      node: 'remote',
      added: [],
      changed: [],
      removed: ['cygnet-hub-master1', 'cygnet-medsrv-master1', 'cygnet-peer-edge1'],
    });
    expect(channel.take()).toEqual([]);
    expect(mesh.core.spec?.text).toBe(SEED_SPEC);
  });

  it('that is refused leaves everything as it was', () => {
    apply(SEED_SPEC);
    expect(() => apply(SEED_SPEC.replace('[edge1, remote]', '[edge1, rmeote]'))).toThrow(SpecRefused);
    expect(mesh.core.views.status().revision).toBe(1);
  });

  it('is refused when a node’s part would not fit into a frame', () => {
    const edges = Array.from({ length: 600 }, (_, index) => `e${index}`);
    const text = [
      'nodes:',
      '  hub: { roles: [hub], endpoint: 192.0.2.1, subnets: [192.168.0.0/16] }',
      ...edges.map((edge, index) => `  ${edge}: { subnets: [10.${index >> 8}.${index & 255}.0/24] }`),
      'links:',
      ...edges.map((edge) => `  - [${edge}, hub]`),
      `defaults: { child: { proposals: [${Array.from({ length: 16 }, () => 'x'.repeat(120)).join(', ')}] } }`,
    ].join('\n');
    expect(() => apply(text)).toThrow(
      expect.objectContaining({ mistakes: [expect.stringMatching(/^nodes\.hub: .*one frame can carry/)] }),
    );
  });

  it('outlives a restart, which sends nothing new', () => {
    apply(SEED_SPEC);
    const { epoch, generation, digest } = claimIn(mesh.connect('edge1').last('snapshot') ?? expect.fail());
    mesh.restart();
    expect(mesh.connect('edge1', { epoch, generation, digest }).take()).toEqual(['unchanged', 'links']);
    expect(mesh.core.views.links().map(({ id }) => id)).toEqual(['edge1--master1', 'edge1--remote', 'master1--remote']);
  });
});

describe('hints', () => {
  const hint = (channel: FakeChannel) => channel.last('links')?.hints[0];

  it('follow the reports, and are sent only when they change', () => {
    apply(SEED_SPEC);
    const [edge1, remote] = [mesh.connect('edge1'), mesh.connect('remote')];
    const report = (channel: FakeChannel): void =>
      mesh.core.channels.received(channel, { type: 'report', report: edgeReport(true) });
    report(edge1);
    report(edge1);
    edge1.take();
    report(remote);
    expect([hint(edge1), hint(remote)]).toMatchObject([
      { mediator: 'master1', peerOnline: true, peerRegistered: true, initiate: true },
      { mediator: 'master1', peerOnline: true, peerRegistered: true, initiate: false },
    ]);
    edge1.take();
    report(remote);
    expect(edge1.take()).toEqual([]);
    mesh.core.channels.closed(remote);
    expect(hint(edge1)).toMatchObject({ mediator: null, peerOnline: false, peerRegistered: false });
  });

  it('do not believe a report from before the channel was opened', () => {
    apply(SEED_SPEC);
    const [edge1, remote] = [mesh.connect('edge1'), mesh.connect('remote')];
    for (const channel of [edge1, remote]) {
      mesh.core.channels.received(channel, { type: 'report', report: edgeReport(true) });
    }
    mesh.connect('remote');
    expect(hint(edge1)).toMatchObject({ mediator: null, peerOnline: false, peerRegistered: false });
  });
});

describe('what a node tells', () => {
  const nack = (): AgentFrame => ({
    type: 'nack',
    epoch: mesh.store.signing.epoch,
    generation: 1,
    outcomes: [
      { resource: 'cygnet-peer-remote', ok: false, message: 'unknown option: mediation' },
      { resource: 'credentials', ok: true, message: null },
    ],
  });

  it('shows: a nack with its reasons, an ack that everything is well', () => {
    apply(SEED_SPEC);
    const channel = mesh.connect('edge1');
    expect(view('edge1')).toMatchObject({ state: 'pending', wantedGeneration: 1, appliedGeneration: null });
    mesh.core.channels.received(channel, nack());
    expect(view('edge1')).toMatchObject({
      state: 'refused',
      problems: [{ resource: 'cygnet-peer-remote', message: 'unknown option: mediation' }],
    });
    mesh.core.channels.received(channel, { type: 'ack', epoch: mesh.store.signing.epoch, generation: 1, outcomes: [] });
    expect(view('edge1')).toMatchObject({ state: 'ok', appliedGeneration: 1, problems: [] });
    apply(WITH_THIRD);
    expect(view('edge1')).toMatchObject({ state: 'pending', wantedGeneration: 2, appliedGeneration: 1 });
  });

  it('outlives a restart: the last report and outcome, and when it was seen', () => {
    apply(SEED_SPEC);
    const channel = mesh.connect('edge1');
    mesh.nowMs += 5000;
    mesh.core.channels.received(channel, { type: 'report', report: reportOf({ generation: 1 }) });
    mesh.core.channels.received(channel, nack());
    mesh.restart();
    expect(view('edge1')).toMatchObject({
      online: false,
      state: 'offline',
      lastSeenMs: mesh.nowMs,
      report: { agentVersion: '1.2.3' },
      problems: [{ resource: 'cygnet-peer-remote' }],
    });
  });

  it('becomes events, in one order with the coordinator’s own', () => {
    apply(SEED_SPEC);
    const channel = mesh.connect('edge1');
    const event = { atMs: 1, kind: 'ike-up', connection: 'cygnet-peer-remote', child: null, message: 'up' };
    mesh.core.channels.received(channel, { type: 'events', events: [event] });
    mesh.core.flush();
    mesh.core.channels.received(channel, nack());
    const kinds = mesh.core.events.after(0, 1000).map(({ node, kind }) => `${node ?? '-'} ${kind}`);
    expect(kinds.slice(-4)).toEqual(['- spec', 'edge1 channel', 'edge1 ike-up', 'edge1 nack']);
    const ids = mesh.core.events.after(0, 1000).map(({ id }) => id);
    expect(ids).toEqual(ids.map((_, index) => index + 1));
  });

  it('does not pile up in memory between two flushes', () => {
    const channel = mesh.connect('edge1');
    const event = { atMs: 1, kind: 'ike-up', connection: null, child: null, message: 'up' };
    const events = Array.from({ length: 1000 }, () => event);
    for (let batch = 0; batch < 6; batch += 1) mesh.core.channels.received(channel, { type: 'events', events });
    expect(mesh.store.observations.lastEventId()).toBeGreaterThanOrEqual(5000);
    expect(mesh.core.events.after(4990, 10)).toHaveLength(10);
  });

  it('a second hello ends the channel', () => {
    const channel = mesh.connect('edge1');
    const hello = { protocol: 2, agentVersion: 'x', epoch: null, generation: 0, digest: null, keys: [] };
    mesh.core.channels.received(channel, { type: 'hello', ...hello });
    expect(channel.closedWith).toBe(CLOSE_CODES.badFrame);
  });

  it('shows on its links, while it is online', () => {
    apply(SEED_SPEC);
    const channel = mesh.connect('edge1');
    mesh.core.channels.received(channel, { type: 'report', report: edgeReport(true, { 'edge1--remote': 3 }) });
    const link = (): unknown => mesh.core.views.links().find(({ id }) => id === 'edge1--remote');
    expect(link()).toMatchObject({
      ends: [
        { node: 'edge1', online: true, path: 'relay', sinceMs: 5, problem: 'symmetric NAT', directFailures: 3 },
        { node: 'remote', online: false, path: null },
      ],
      registered: false,
      initiator: 'edge1',
    });
    mesh.core.channels.closed(channel);
    expect(link()).toMatchObject({ ends: [{ path: null }, {}] });
  });
});

describe('the nodes', () => {
  it('are those of the spec and those that have enrolled', async () => {
    await mesh.enrol('guest');
    apply(WITH_THIRD);
    mesh.connect('master1');
    expect(mesh.core.views.nodes().map(({ name, state }) => `${name} ${state}`)).toEqual([
      'edge1 never-seen',
      'guest not-in-spec',
      'master1 pending',
      'remote never-seen',
      'third not-enrolled',
    ]);
    expect(mesh.core.views.status().nodes).toEqual({ inSpec: 4, enrolled: 4, online: 1 });
  });
});

describe('enrolment', () => {
  const refusal = (code: string) => expect.objectContaining({ name: 'EnrolmentRefused', code });

  it('gives certificates for the node that the token names', async () => {
    const { token } = mesh.core.tokens.issue('third' as NodeName, 60);
    const request = await enrolmentRequest(token);
    expect(await mesh.core.channels.enroll(request, '192.0.2.7')).toMatchObject({
      node: 'third',
      ca: ca.certificatePem,
    });
    const { spkiSha256 } = await verifyCsr(request.channelCsr);
    expect(mesh.core.channels.nodeOfChannelKey(spkiSha256)).toBe('third');
  });

  it('repeats its answer for the same keys, and refuses others', async () => {
    const { token } = mesh.core.tokens.issue('third' as NodeName, 60);
    const request = await enrolmentRequest(token);
    const [first, second] = await Promise.all([
      mesh.core.channels.enroll(request, 'a'),
      mesh.core.channels.enroll(request, 'b'),
    ]);
    expect(second).toEqual(first);
    expect(await mesh.core.channels.enroll(request, 'c')).toEqual(first);
    await expect(mesh.core.channels.enroll(await enrolmentRequest(token), 'd')).rejects.toThrow(refusal('token-used'));
  });

  it('issues nothing for IKE to a node that asks for none', async () => {
    const { ikeCsr: _none, ...request } = await enrolmentRequest(mesh.core.tokens.issue('third' as NodeName, 60).token);
    const reply = await mesh.core.channels.enroll(request, 'a');
    expect(reply).toMatchObject({ node: 'third' });
    expect(reply).not.toHaveProperty('ikeCertificate');
    expect(await mesh.core.channels.enroll(request, 'b')).toEqual(reply);
  });

  it('lets one of two thieves of a token in, not both', async () => {
    const { token } = mesh.core.tokens.issue('third' as NodeName, 60);
    const [one, other] = [await enrolmentRequest(token), await enrolmentRequest(token)];
    const outcomes = await Promise.allSettled([
      mesh.core.channels.enroll(one, 'a'),
      mesh.core.channels.enroll(other, 'b'),
    ]);
    expect(outcomes.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
  });

  it('refuses what is expired, unknown, or not a CSR', async () => {
    const { token } = mesh.core.tokens.issue('third' as NodeName, 60);
    const request = await enrolmentRequest(token);
    await expect(mesh.core.channels.enroll({ ...request, ikeCsr: 'x' }, 'a')).rejects.toThrow(refusal('csr-invalid'));
    await expect(mesh.core.channels.enroll({ ...request, secret: 'x' }, 'a')).rejects.toThrow(refusal('token-unknown'));
    mesh.nowMs += 60_000;
    await expect(mesh.core.channels.enroll(request, 'a')).rejects.toThrow(refusal('token-expired'));
  });

  it('is in the audit log: who was let in with which token, and who was not', async () => {
    const { token, id } = mesh.core.tokens.issue('third' as NodeName, 60);
    const request = await enrolmentRequest(token);
    const before = mesh.core.audit.head.id;
    await mesh.core.channels.enroll(request, '192.0.2.7');
    await mesh.core.channels.enroll(request, '192.0.2.7');
    await expect(mesh.core.channels.enroll(await enrolmentRequest(token), '192.0.2.8')).rejects.toThrow(
      refusal('token-used'),
    );
    const stranger = { kind: 'stranger', name: null };
    const [entry, ...rest] = mesh.core.audit.after(before, 10);
    expect(entry).toMatchObject({ actor: stranger, remote: '192.0.2.7', action: 'node.enroll', target: 'third' });
    expect(entry).toMatchObject({ outcome: 'done', details: { token: id, isNew: true } });
    expect(rest).toMatchObject([
      { actor: stranger, remote: '192.0.2.8', action: 'node.enroll', outcome: 'refused', target: null },
    ]);
    expect(JSON.stringify(mesh.core.audit.after(0, 100))).not.toContain(request.secret);
  });

  it('leaves a record of every node that is turned away', () => {
    const before = mesh.core.audit.head.id;
    mesh.core.channels.refused({
      action: 'channel.open',
      remote: '192.0.2.7',
      reason: 'revoked',
      node: 'edge1' as NodeName,
    });
    mesh.core.channels.refused({ action: 'channel.open', remote: '192.0.2.7', reason: 'unknown channel key' });
    expect(mesh.core.audit.after(before, 10)).toMatchObject([
      { actor: { kind: 'node', name: 'edge1' }, action: 'channel.open', outcome: 'refused', reason: 'revoked' },
      { actor: { kind: 'stranger', name: null }, action: 'channel.open', outcome: 'refused' },
    ]);
  });

  it('anew ends the channel that the old key opened', async () => {
    const channel = mesh.connect('edge1');
    await mesh.enrol('edge1');
    expect(channel.closedWith).toBe(CLOSE_CODES.unknownNode);
    expect(view('edge1')?.online).toBe(false);
  });
});

describe('a token of a group', () => {
  it('lets in the nodes that the spec has in it, by their names', async () => {
    apply(WITH_THIRD.replace('third: {', 'third: { groups: [edges],'));
    const { token } = mesh.core.tokens.issueForGroup('edges', 2, 60);
    const request = await enrolmentRequest(token);
    const enrol = (node?: string) =>
      mesh.core.channels.enroll({ ...request, ...(node !== undefined && { node }) }, 'a');
    await expect(enrol()).rejects.toThrow(expect.objectContaining({ code: 'node-name-needed' }));
    await expect(enrol('remote')).rejects.toThrow(expect.objectContaining({ code: 'token-not-for-this-node' }));
    await expect(enrol('nobody')).rejects.toThrow(expect.objectContaining({ code: 'token-not-for-this-node' }));
    expect(await enrol('third')).toMatchObject({ node: 'third' });
    expect(await enrol('third')).toMatchObject({ node: 'third' });
  });
});

describe('revoking a node', () => {
  const edge1 = 'edge1' as NodeName;

  beforeEach(() => void apply(SEED_SPEC));

  it('closes its channel with a code of its own, and tells the others to let go of it', () => {
    const channel = mesh.connect('edge1');
    const [remote, master1] = [mesh.connect('remote'), mesh.connect('master1')];
    mesh.core.members.revoke(edge1, 'stolen');
    expect(channel.closedWith).toBe(CLOSE_CODES.revoked);
    expect(namesOf(remote)).toEqual(['cygnet-hub-master1']);
    expect(JSON.stringify(remote.state)).not.toContain('edge1');
    expect(namesOf(master1)).toEqual(['cygnet-mediation', 'cygnet-mediation.again', 'cygnet-spoke-remote']);
    expect(stateAt(master1).connections[0]).toMatchObject({ barred: ['edge1'] });
    expect(view('edge1')).toMatchObject({
      state: 'revoked',
      inSpec: true,
      online: false,
      revoked: { reason: 'stolen' },
    });
  });

  it('holds through an apply, a restart, and a channel that was let in just before', () => {
    mesh.core.members.revoke(edge1, null);
    apply(`${SEED_SPEC}# again\n`);
    mesh.restart();
    expect(JSON.stringify(mesh.connect('remote').state)).not.toContain('edge1');
    const late = mesh.connect('edge1');
    expect(late.closedWith).toBe(CLOSE_CODES.revoked);
    expect(late.sent).toEqual([]);
    expect(view('edge1')?.online).toBe(false);
  });

  it('gives everybody a list of its certificates, before the new states', () => {
    const remote = mesh.connect('remote');
    expect(remote.take()).not.toContain('crl');
    mesh.core.members.revoke(edge1, null);
    expect(remote.take().slice(0, 2)).toEqual(['crl', 'delta']);
    expect(mesh.connect('remote').take().slice(0, 2)).toEqual(['crl', 'snapshot']);
  });

  it('changes nothing the second time', () => {
    expect(mesh.core.members.revoke(edge1, null)).toEqual({ node: edge1, changed: true, ...ALL_SIGNED });
    const { revision } = mesh.core.views.status();
    expect(mesh.core.members.revoke(edge1, null)).toEqual({ node: edge1, changed: false, ...ALL_SIGNED });
    expect(mesh.core.views.status().revision).toBe(revision);
  });

  it.each([
    ['the states', () => vi.spyOn(mesh.store.mesh, 'apply')],
    ['its record', () => vi.spyOn(mesh.store.audit, 'head')],
  ])('is not done at all when the store fails at %s', (_at, failing) => {
    const remote = mesh.connect('remote');
    const before = mesh.core.views.links();
    failing().mockImplementationOnce(() => expect.fail('disk full'));
    expect(() => mesh.core.members.revoke(edge1, null)).toThrow('disk full');
    expect(mesh.core.views.links()).toEqual(before);
    expect(view('edge1')?.revoked).toBeNull();
    expect(mesh.core.members.revoke(edge1, null)).toEqual({ node: edge1, changed: true, ...ALL_SIGNED });
    expect(namesOf(remote)).toEqual(['cygnet-hub-master1']);
  });

  it.each([
    ['revocation', () => mesh.core.members.revoke(edge1, null)],
    ['readmission', () => mesh.core.members.readmit(edge1)],
  ])('a %s says that nodes are not told of it yet, and tells them when it can be signed', (kind, order) => {
    if (kind === 'readmission') mesh.core.members.revoke(edge1, null);
    const remote = mesh.connect('remote');
    const before = namesOf(remote);
    const full = vi.spyOn(mesh.store.signing, 'issue').mockImplementation(() => {
      throw new Error('database or disk is full');
    });
    const unsigned = expect.arrayContaining(['remote']) as unknown;
    const notYet = { unsigned, signingProblem: 'database or disk is full' };
    expect(order()).toEqual({ node: edge1, changed: true, ...notYet });
    expect(order()).toEqual({ node: edge1, changed: false, ...notYet });
    expect(messages().at(-1)).toMatch(/^states could not be signed, .* disk is full$/);
    expect(view('remote')?.state).toBe('unsigned');
    keepUpFor(600_000);
    expect(namesOf(remote)).toEqual(before);
    // The longest wait is a minute.
    expect(full.mock.calls.length).toBeGreaterThan(9);

    full.mockRestore();
    keepUpFor(63_000);
    expect(namesOf(remote)).not.toEqual(before);
    expect(mesh.core.delivery.signingProblem).toBeNull();
    expect(messages().at(-1)).toBe('the states that could not be signed are signed');
  });

  /** What the process does every three seconds, so long. */
  function keepUpFor(ms: number): void {
    for (let leftMs = ms; leftMs > 0; leftMs -= 3000) {
      mesh.nowMs += 3000;
      mesh.core.keepUp();
    }
  }

  const messages = (): string[] =>
    mesh.core.events
      .after(0, 1000)
      .filter(({ kind }) => kind === 'signing')
      .map(({ message }) => message);

  it('that the others relied on leaves them without that way, and in peace', () => {
    const remote = mesh.connect('remote');
    mesh.core.members.revoke('master1' as NodeName, null);
    expect(remote.state).toMatchObject({ connections: [] });
  });

  it('is undone by a readmission, with other keys', async () => {
    const before = mesh.connect('remote').state;
    mesh.core.members.revoke(edge1, null);
    mesh.core.members.readmit(edge1);
    expect(mesh.connect('remote').state).toEqual(before);
    expect(view('edge1')).toMatchObject({ state: 'not-enrolled', revoked: null });
    await mesh.enrol('edge1');
    expect(mesh.connect('edge1').closedWith).toBeUndefined();
  });
});
