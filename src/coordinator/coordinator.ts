import { X509Certificate } from 'node:crypto';
import type { Clock } from '../clock.ts';
import { CLOSE_CODES, type AgentFrame } from '../control/frames.ts';
import type { Signed } from '../control/statement.ts';
import { assertNever } from '../errors.ts';
import type { EnrolmentReply, EnrolmentRequest } from '../identity/enrolment.ts';
import { caPinOf, type MeshCa } from '../identity/mesh-ca.ts';
import type { RenewalReply, RenewalRequest } from '../identity/renewal.ts';
import type { NodeName } from '../ike/connection.ts';
import { digestOfText } from '../json.ts';
import type { Logger } from '../log.ts';
import { Admission } from './admission.ts';
import { ApiTokens } from './api-tokens.ts';
import { AuditLog, type Attempt } from './audit-log.ts';
import type {
  ApplyReply,
  LinkView,
  NodeView,
  RevocationReply,
  SigningKeyReply,
  StatusReply,
  UnsignedReply,
} from './api.ts';
import { ApiRefused } from './api-refused.ts';
import type { Backup, Backups } from './backups.ts';
import type { CertificatePolicy } from './certificate-policy.ts';
import type { ChannelHost, NodeChannel, RefusedPeer, ShownNode } from './channel-host.ts';
import { EnrolmentRefused } from './enrol-refused.ts';
import { EnrolmentTokens } from './enrolment-tokens.ts';
import { EventLog } from './event-log.ts';
import { CaEnd } from './ca-end.ts';
import { ForgottenCertificates } from './forgotten-certificates.ts';
import { HintPace } from './hint-pace.ts';
import { LinkBoard } from './link-board.ts';
import { IssuedStates } from './issued-states.ts';
import type { SpecRevision, StateVersion } from './mesh-store.ts';
import { MeshViews } from './mesh-views.ts';
import { RevocationList } from './revocation-list.ts';
import { NodeRegistry } from './node-registry.ts';
import { PacedLog } from './paced-log.ts';
import { Renewals } from './renewals.ts';
import type { SigningKeys } from './signing-keys.ts';
import { SpecInForce, SpecRefused } from './spec-in-force.ts';
import { StateDelivery, type SigningKeyChange } from './state-delivery.ts';
import type { Store } from './store.ts';

export interface CoordinatorDeps {
  /** Stays the caller's to close, after the last `flush`. */
  readonly store: Store;
  readonly backups: Pick<Backups, 'make'>;
  readonly ca: MeshCa;
  readonly signingKeys: SigningKeys;
  readonly certificates: CertificatePolicy;
  readonly version: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface ApplySpecOptions {
  readonly dryRun: boolean;
  /** Nodes may lose most of what they have. */
  readonly allowMassRemoval?: boolean;
  /** Without one, it is the coordinator's own doing. */
  readonly attempt?: Attempt;
}

const STRANGER = { kind: 'stranger', name: null } as const;

/** The coordinator's core: what the TLS port and the operator's API both talk to. It opens nothing and has no timers but for hints. */
export class Coordinator implements ChannelHost {
  readonly #deps: CoordinatorDeps;
  readonly #startedAtMs: number;
  readonly #spec: SpecInForce;
  readonly #issued: IssuedStates;
  readonly #delivery: StateDelivery;
  readonly #registry: NodeRegistry;
  readonly #board: LinkBoard;
  readonly #hintPace: HintPace;
  readonly #admission: Admission;
  readonly #renewals: Renewals;
  readonly #forgotten: ForgottenCertificates;
  readonly #views: MeshViews;
  readonly #log: EventLog;
  readonly #crl: RevocationList;
  readonly #caEnd: CaEnd;
  readonly #warnings: PacedLog;
  /** Who did what, and who tried to. */
  readonly audit: AuditLog;
  /** By which nodes get in. */
  readonly tokens: EnrolmentTokens;
  /** Who may use the operator's API from elsewhere. */
  readonly apiTokens: ApiTokens;

  constructor(deps: CoordinatorDeps) {
    const { store, ca, certificates, clock, signingKeys: keys } = deps;
    const { mesh } = ca;
    this.#deps = deps;
    this.#startedAtMs = clock.nowMs();
    this.#registry = new NodeRegistry(store.observations.statuses());
    this.#board = new LinkBoard((node) => this.#registry.factsOf(node));
    this.#hintPace = new HintPace((node) => this.#registry.sendHints(node, this.#board.hintsFor(node)));
    this.#log = new EventLog(store.observations);
    this.#spec = new SpecInForce(store.mesh, ca, store.admission.revocations);
    this.#admission = new Admission(ca, store.admission, certificates, (node) => this.#spec.groupsOf(node));
    this.#warnings = new PacedLog(deps.logger, clock);
    this.apiTokens = new ApiTokens({
      store: store.apiTokens,
      caPin: caPinOf(ca.certificatePem),
      nowMs: () => clock.nowMs(),
      warnings: this.#warnings,
    });
    this.audit = new AuditLog({ store: store.audit, clock, logger: deps.logger });
    this.#renewals = new Renewals({
      ca,
      policy: certificates,
      store: store.renewals,
      revocations: store.admission.revocations,
      audit: this.audit,
      clock,
      note: (node, message) => this.#note(node, 'certificate', message),
    });
    this.#forgotten = new ForgottenCertificates({
      ca,
      store,
      audit: this.audit,
      clock,
      logger: deps.logger,
      note: (node, message) => this.#note(node, 'certificate', message),
    });
    this.tokens = new EnrolmentTokens({
      admission: this.#admission,
      store: store.admission,
      spec: this.#spec,
      audit: this.audit,
      now: () => this.#now(),
      note: (node, kind, message) => this.#note(node, kind, message),
    });
    this.#issued = new IssuedStates({ mesh, states: store.mesh, store: store.signing, keys });
    this.#delivery = new StateDelivery({
      mesh,
      issued: this.#issued,
      keys,
      registry: this.#registry,
      revision: () => this.#spec.revision?.revision ?? 0,
      clock,
      random: Math.random,
      logger: deps.logger,
      note: (node, kind, message) => this.#note(node, kind, message),
    });
    this.#views = new MeshViews({
      store,
      spec: this.#spec,
      issued: this.#issued,
      registry: this.#registry,
      board: this.#board,
      now: () => this.#now(),
    });
    this.#crl = new RevocationList({ ca, store: store.admission.revocations, clock, logger: deps.logger });
    this.#caEnd = new CaEnd({
      notAfterMs: this.caNotAfterMs,
      clock,
      logger: deps.logger,
      note: (message) => this.#note(null, 'certificate', message),
    });
    this.#recompile({ allowMassRemoval: false })();
    this.#push();
    if (this.#issued.isHeldBack) this.#noteHeldBack();
    this.renewCrl();
  }

  // What the TLS port calls.

  nodeOfChannelKey(spkiSha256: string): NodeName | undefined {
    return this.#deps.store.admission.nodeOfChannelKey(spkiSha256);
  }

  revokedNodeOf(spkiSha256: string): NodeName | undefined {
    return this.#deps.store.admission.revocations.formerOwnerOf(spkiSha256);
  }

  adoptForgotten(certificate: X509Certificate, remote: string): NodeName | undefined {
    return this.#forgotten.adoptChannel(certificate, remote);
  }

  opened(channel: NodeChannel, hello: Extract<AgentFrame, { type: 'hello' }>): void {
    const { node } = channel;
    // It was let in a moment ago, and may have been thrown out since.
    if (this.#deps.store.admission.revocations.of(node) !== undefined) {
      return channel.close(CLOSE_CODES.revoked, 'this node is revoked');
    }
    this.#noteUse(node, channel.key);
    this.#registry.open(channel, this.#now());
    this.#note(node, 'channel', `control channel opened from ${channel.remote}, agent ${hello.agentVersion}`);
    if (hello.ikeCertificate !== undefined) this.#forgotten.noteIke(channel, hello.ikeCertificate);
    if (this.#crl.frame !== undefined) channel.send(this.#crl.frame);
    this.#delivery.greet(node, hello);
    this.#refreshHints([node, ...this.#board.changed(node)]);
  }

  received(channel: NodeChannel, frame: AgentFrame): void {
    const { node } = channel;
    if (!this.#registry.isCurrent(channel)) return;
    switch (frame.type) {
      case 'hello':
        return channel.close(CLOSE_CODES.badFrame, 'a second hello');
      case 'ack':
      case 'nack':
        return this.#applied(node, frame);
      case 'resend':
        return this.#delivery.resend(node, frame.reason);
      case 'report':
        this.#registry.reported(node, frame.report, this.#now());
        return this.#refreshHints(this.#board.changed(node));
      case 'events':
        this.#log.append(node, frame.events);
        if (this.#log.isFull) this.flush();
        return;
      default:
        return assertNever(frame);
    }
  }

  /** As long as that cannot be written, the certificate before it is good as well, and a full disk keeps no node out. */
  #noteUse(node: NodeName, key: string): void {
    try {
      this.#deps.store.renewals.used(node, key);
    } catch (error) {
      this.#warnings.note(node, { node, err: error }, 'first use of a certificate could not be written');
    }
  }

  closed(channel: NodeChannel): void {
    if (!this.#registry.closed(channel, this.#now())) return;
    this.#note(channel.node, 'channel', 'control channel closed');
    this.#refreshHints(this.#board.changed(channel.node));
  }

  refused({ action, remote, reason, node }: RefusedPeer): void {
    const actor = node === undefined ? STRANGER : ({ kind: 'node', name: node } as const);
    this.audit.begin(action, { actor, remote }).refused(reason);
  }

  async enroll(request: EnrolmentRequest, remote: string): Promise<EnrolmentReply> {
    const attempt = this.audit.begin('node.enroll', { actor: STRANGER, remote });
    try {
      const { reply, isNew } = await this.#admission.enroll(request, this.#now(), attempt);
      if (isNew) this.#enrolled(reply.node as NodeName, remote);
      return { ...reply, signingKeys: this.#delivery.keysFor(reply.node as NodeName) };
    } catch (error) {
      if (error instanceof EnrolmentRefused) attempt.refused(error.message);
      else attempt.failed(error);
      throw error;
    }
  }

  #enrolled(node: NodeName, remote: string): void {
    this.#note(node, 'enrol', `enrolled from ${remote}`);
    // A channel that is open now was let in with the key of an earlier enrolment.
    this.#registry.drop(node, CLOSE_CODES.unknownNode, 'this node was enrolled anew');
    this.#refreshHints(this.#board.changed(node));
  }

  mayRenewExpired(node: NodeName, certificate: X509Certificate): boolean {
    return this.#renewals.mayRenewExpired(node, certificate);
  }

  renew(node: ShownNode, request: RenewalRequest): Promise<RenewalReply> {
    return this.#renewals.renew(node, request);
  }

  // What the operator's API calls.

  /**
   * Puts a spec into force and tells the nodes that are here, or (dry run) says what that would do. Throws a SpecRefused or
   * a MassRemovalRefused.
   */
  applySpec(text: string, options: ApplySpecOptions): ApplyReply {
    const { dryRun, allowMassRemoval = false, attempt = this.audit.beginOwn('spec.apply') } = options;
    attempt.about(null, { specSha256: digestOfText(text), allowMassRemoval });
    if (dryRun) {
      const plan = this.#spec.plan(text);
      attempt.changedNothing();
      return { revision: this.#spec.revision?.revision ?? 0, dryRun, ...plan, unsigned: [], signingProblem: null };
    }
    const consent = { allowMassRemoval, hasTaken: this.#hasTaken };
    // With the spec or not at all: what a backup held is in force again, or replaced.
    const commit: Attempt['commit'] = (change, detailsOf) =>
      attempt.commit(() => {
        this.#deps.store.signing.release();
        return change();
      }, detailsOf);
    const { revision, changed, plan } = this.#spec.apply(text, this.#now(), consent, { commit });
    this.#issued.released();
    if (changed.length > 0) this.#note(null, 'spec', `mesh spec revision ${revision} changes ${changed.length} nodes`);
    this.#push();
    return { revision, dryRun, ...plan, ...this.#delivery.waiting() };
  }

  /** States that wait for the operator's signature. */
  unsignedStates(after: string): UnsignedReply {
    return this.#delivery.unsigned(after);
  }

  /** Throws a SignaturesRefused. */
  signStates(signatures: readonly Signed[], attempt = this.audit.beginOwn('state.sign')): readonly NodeName[] {
    attempt.about(null, { signatures: signatures.length });
    return this.#delivery.sign(signatures, (change) => attempt.commit(change));
  }

  /** Why states could not be signed, which is tried again; null when nothing is wrong. */
  get signingProblem(): string | null {
    return this.#delivery.signingProblem;
  }

  signingKey(): SigningKeyReply {
    return this.#delivery.signingKey();
  }

  /** Throws a SigningError. */
  changeSigningKey(change: SigningKeyChange, attempt = this.audit.beginOwn('signing-key.rotate')): SigningKeyReply {
    attempt.about(this.signingKey().key);
    return this.#delivery.changeKey(change, (write) => attempt.commit(write));
  }

  get spec(): SpecRevision | undefined {
    return this.#spec.revision;
  }

  /**
   * Throws a node out, with every key that it ever had: its channel is closed, and all others are told to let go of it, as
   * soon as what they are told is signed. Idempotent. Throws an ApiRefused when neither the spec nor the store knows such
   * a node.
   */
  revokeNode(node: NodeName, reason: string | null, attempt = this.audit.beginOwn('node.revoke')): RevocationReply {
    attempt.about(node, reason === null ? {} : { why: reason });
    const { admission } = this.#deps.store;
    const isKnown = this.#spec.nodes.has(node) || admission.node(node) !== undefined;
    if (!isKnown && admission.revocations.of(node) === undefined) {
      throw new ApiRefused('not-found', `there is no node "${node}": the mesh spec has none, and none has enrolled`);
    }
    const changed = this.#changeMembers(attempt, () => admission.revoke(node, reason, this.#now()));
    this.#registry.drop(node, CLOSE_CODES.revoked, 'this node is revoked');
    if (changed) this.#note(node, 'revoke', `revoked${reason === null ? '' : `: ${reason}`}`);
    // First, so that no charon lets it in again after it has let go of it.
    this.renewCrl();
    this.#push();
    return { node, changed, ...this.#delivery.waiting() };
  }

  /** The node may enrol again, with a new token and new keys. Idempotent, as {@link revokeNode} is. */
  readmitNode(node: NodeName, attempt = this.audit.beginOwn('node.readmit')): RevocationReply {
    attempt.about(node);
    const { admission } = this.#deps.store;
    const changed = this.#changeMembers(attempt, () => admission.readmit(node, this.#now()));
    if (changed) {
      this.#registry.forget(node);
      this.#note(node, 'readmit', 'may enrol again');
    }
    this.#push();
    return { node, changed, ...this.#delivery.waiting() };
  }

  /** Changes who may be a member, and all states by it, in one transaction. */
  #changeMembers(attempt: Attempt, change: () => boolean): boolean {
    const { changed, adopt } = attempt.commit(
      () => ({ changed: change(), adopt: this.#recompile({ allowMassRemoval: true }) }),
      ({ changed }) => ({ changed }),
    );
    adopt();
    return changed;
  }

  /** See {@link MeshViews.nodes}. */
  nodes(): NodeView[] {
    return this.#views.nodes();
  }

  /** End of the mesh CA: ms since the epoch. */
  get caNotAfterMs(): number {
    return Date.parse(new X509Certificate(this.#deps.ca.certificatePem).validTo);
  }

  links(): LinkView[] {
    return this.#views.links();
  }

  status(): StatusReply {
    return {
      version: this.#deps.version,
      mesh: this.#deps.ca.mesh,
      epoch: this.#issued.epoch,
      revision: this.#spec.revision?.revision ?? 0,
      startedAtMs: this.#startedAtMs,
      nodes: {
        inSpec: this.#spec.nodes.size,
        enrolled: this.#deps.store.admission.nodes().length,
        online: this.#registry.online.length,
      },
    };
  }

  /** A copy of the store to be sent; undefined while another one is. */
  backup(options: { readonly withKeys: boolean }): Backup | undefined {
    this.flush();
    const backup = this.#deps.backups.make(options);
    if (backup !== undefined) this.#note(null, 'backup', `backup made ${options.withKeys ? 'with' : 'without'} keys`);
    return backup;
  }

  get events(): Pick<EventLog, 'after' | 'lastId' | 'more'> {
    return this.#log;
  }

  /** Does what is due by now: writes what nodes told, a new CRL, states that could not be signed. To be called every few seconds. */
  keepUp(): void {
    this.flush();
    this.renewCrl();
    this.#delivery.retry();
    this.#caEnd.tell();
  }

  /** Issues and sends a new CRL if it is time for one. */
  renewCrl(): void {
    try {
      if (!this.#crl.renew()) return;
    } catch (error) {
      // The desired states keep the others away from a revoked node without it; it is tried again soon.
      this.#deps.logger.error({ err: error }, 'CRL could not be issued');
      return;
    }
    const { frame } = this.#crl;
    if (frame === undefined) return;
    for (const node of this.#registry.online) this.#registry.send(node, frame);
  }

  /** Writes what nodes told since the last time. To be called after the last channel. */
  flush(): void {
    this.audit.flush();
    const statuses = this.#registry.takeUnwritten();
    const events = this.#log.takeUnwritten();
    if (statuses.size === 0 && events.length === 0) return;
    try {
      this.#deps.store.observations.write(statuses, events);
    } catch (error) {
      // A full disk must not close channels: tunnels depend on the desired states, not on what is observed.
      this.#deps.logger.error({ err: error }, 'reports and events could not be written');
    }
  }

  /** See {@link SpecInForce.recompile}. */
  #recompile(consent: { readonly allowMassRemoval: boolean }): () => void {
    try {
      return this.#spec.recompile(this.#now(), { ...consent, hasTaken: this.#hasTaken });
    } catch (error) {
      if (!(error instanceof SpecRefused)) throw error;
      this.#deps.logger.error({ mistakes: error.mistakes }, 'stored mesh spec is refused by this version');
      return () => undefined;
    }
  }

  /** Tells the nodes that are here of what is new for them, and everybody of what follows for the links. */
  #push(): void {
    this.#delivery.issue();
    this.#board.use(this.#spec.mediatedLinks);
    this.#refreshHints(this.#registry.online);
  }

  #noteHeldBack(): void {
    const { epoch } = this.#issued;
    this.#note(
      null,
      'epoch',
      `restored, in the new epoch ${epoch}: nodes keep what they have until a mesh spec is applied`,
    );
  }

  readonly #hasTaken = (node: NodeName, { generation }: StateVersion): boolean => {
    const outcome = this.#registry.statusOf(node)?.outcome;
    return outcome?.ok === true && outcome.generation >= generation;
  };

  #applied(node: NodeName, frame: Extract<AgentFrame, { type: 'ack' | 'nack' }>): void {
    const { type, generation, outcomes } = frame;
    const failed = outcomes.filter(({ ok }) => !ok);
    if (this.#isNews(node, frame)) {
      this.#registry.applied(node, { generation, ok: type === 'ack', outcomes: failed }, this.#now());
    }
    const reasons = failed.map(({ resource, message }) => `${resource}: ${message ?? 'refused without a reason'}`);
    const text = type === 'ack' ? `generation ${generation} is in charon` : reasons.join('; ');
    this.#note(node, type, text);
  }

  /** What a node says of a state that it has kept does not hide that it has refused the wanted one. */
  #isNews(node: NodeName, { type, epoch, generation }: Extract<AgentFrame, { type: 'ack' | 'nack' }>): boolean {
    if (type === 'nack' && generation === this.#spec.versionOf(node)?.generation) return true;
    if (epoch !== this.#issued.epoch) return type === 'nack';
    const last = this.#registry.statusOf(node)?.outcome;
    const wanted = this.#spec.versionOf(node)?.generation;
    return generation === wanted || last?.ok !== false || last.generation !== wanted;
  }

  #refreshHints(nodes: Iterable<NodeName>): void {
    for (const node of nodes) {
      if (this.#spec.versionOf(node) !== undefined) this.#hintPace.changed(node);
    }
  }

  /** An event of the coordinator's own. */
  #note(node: NodeName | null, kind: string, message: string): void {
    const text = message.slice(0, 1024);
    this.#log.append(node, [{ atMs: this.#now(), kind, connection: null, child: null, message: text }]);
    if (this.#log.isFull) this.flush();
  }

  #now(): number {
    return this.#deps.clock.nowMs();
  }
}
