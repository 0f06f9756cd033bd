import { X509Certificate } from 'node:crypto';
import type { Clock } from '../clock.ts';
import { caPinOf, type MeshCa } from '../identity/mesh-ca.ts';
import type { NodeName } from '../ike/connection.ts';
import type { Logger } from '../log.ts';
import { Admission } from './admission.ts';
import { ApiTokens } from './api-tokens.ts';
import { AuditLog } from './audit-log.ts';
import type { Backup, Backups } from './backups.ts';
import { CaEnd } from './ca-end.ts';
import type { CertificatePolicy } from './certificate-policy.ts';
import type { ChannelHost } from './channel-host.ts';
import { EnrolmentTokens } from './enrolment-tokens.ts';
import { ForgottenCertificates } from './forgotten-certificates.ts';
import { HintDelivery } from './hint-delivery.ts';
import { IssuedStates } from './issued-states.ts';
import { Membership } from './membership.ts';
import type { SpecRevision } from './mesh-store.ts';
import { MeshViews } from './mesh-views.ts';
import { NodeChannels } from './node-channels.ts';
import { NodeRegistry } from './node-registry.ts';
import { Observations } from './observations.ts';
import { PacedLog } from './paced-log.ts';
import { Renewals } from './renewals.ts';
import { RevocationList } from './revocation-list.ts';
import { Rollout } from './rollout.ts';
import type { SigningKeys } from './signing-keys.ts';
import { SpecInForce } from './spec-in-force.ts';
import { StateAnswers } from './state-answers.ts';
import { StateDelivery } from './state-delivery.ts';
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

/**
 * The coordinator's core, put together: what the TLS port and the operator's API both talk to. It opens nothing and has no
 * timers but for hints.
 */
export class Coordinator {
  readonly #backups: Pick<Backups, 'make'>;
  readonly #spec: SpecInForce;
  readonly #observations: Observations;
  readonly #crl: RevocationList;
  readonly #caEnd: CaEnd;
  /** What the TLS port calls. */
  readonly channels: ChannelHost;
  /** Puts mesh specs into force. */
  readonly rollout: Rollout;
  /** Throws nodes out, and lets them in again. */
  readonly members: Membership;
  /** What waits for a signature, and the keys that sign. */
  readonly delivery: StateDelivery;
  /** What the operator sees. */
  readonly views: MeshViews;
  /** Who did what, and who tried to. */
  readonly audit: AuditLog;
  /** By which nodes get in. */
  readonly tokens: EnrolmentTokens;
  /** Who may use the operator's API from elsewhere. */
  readonly apiTokens: ApiTokens;
  /** End of the mesh CA: ms since the epoch. */
  readonly caNotAfterMs: number;

  constructor({ store, backups, ca, signingKeys: keys, certificates, version, clock, logger }: CoordinatorDeps) {
    const { mesh } = ca;
    const { revocations } = store.admission;
    const caPin = caPinOf(ca.certificatePem);
    const caNotAfterMs = Date.parse(new X509Certificate(ca.certificatePem).validTo);

    const registry = new NodeRegistry(store.observations.statuses());
    const observations = new Observations({ store: store.observations, registry, clock, logger });
    const note: Observations['note'] = (node, kind, message) => observations.note(node, kind, message);
    const noteCertificate = (node: NodeName | null, message: string): void => note(node, 'certificate', message);
    const audit = new AuditLog({ store: store.audit, clock, logger });
    const warnings = new PacedLog(logger, clock);

    const spec = new SpecInForce(store.mesh, ca, revocations);
    const issued = new IssuedStates({ mesh, states: store.mesh, store: store.signing, keys });
    const answers = new StateAnswers({ registry, spec, issued, clock, note });
    const delivery = new StateDelivery({
      mesh,
      issued,
      keys,
      registry,
      revision: () => spec.revision?.revision ?? 0,
      clock,
      random: Math.random,
      logger,
      note,
    });
    const hints = new HintDelivery({ registry, spec });
    const crl = new RevocationList({ ca, store: revocations, registry, clock, logger });

    const rollout = new Rollout({
      spec,
      store: store.signing,
      issued,
      answers,
      delivery,
      hints,
      audit,
      clock,
      logger,
      note,
    });
    const members = new Membership({
      store: store.admission,
      spec,
      registry,
      crl,
      rollout,
      delivery,
      audit,
      clock,
      note,
    });

    const admission = new Admission({
      ca,
      policy: certificates,
      store: store.admission,
      spec,
      registry,
      delivery,
      hints,
      audit,
      clock,
      note,
    });
    const renewals = new Renewals({
      ca,
      policy: certificates,
      store: store.renewals,
      revocations,
      audit,
      clock,
      note: noteCertificate,
    });
    const forgotten = new ForgottenCertificates({ ca, store, audit, clock, logger, note: noteCertificate });

    this.#backups = backups;
    this.#spec = spec;
    this.#observations = observations;
    this.#crl = crl;
    this.#caEnd = new CaEnd({
      notAfterMs: caNotAfterMs,
      clock,
      logger,
      note: (message) => noteCertificate(null, message),
    });
    this.channels = new NodeChannels({
      store,
      registry,
      observations,
      admission,
      renewals,
      forgotten,
      crl,
      delivery,
      answers,
      hints,
      audit,
      warnings,
      clock,
    });
    this.rollout = rollout;
    this.members = members;
    this.delivery = delivery;
    this.views = new MeshViews({ version, mesh, store, spec, issued, registry, hints, clock });
    this.audit = audit;
    this.tokens = new EnrolmentTokens({ caPin, store: store.admission, spec, audit, clock, note });
    this.apiTokens = new ApiTokens({ store: store.apiTokens, caPin, nowMs: () => clock.nowMs(), warnings });
    this.caNotAfterMs = caNotAfterMs;

    rollout.resume();
    crl.keepUp();
  }

  /** Undefined until a mesh spec was applied. */
  get spec(): SpecRevision | undefined {
    return this.#spec.revision;
  }

  get events(): Observations['events'] {
    return this.#observations.events;
  }

  /** A copy of the store to be sent; undefined while another one is. */
  backup(options: { readonly withKeys: boolean }): Backup | undefined {
    this.flush();
    const backup = this.#backups.make(options);
    if (backup === undefined) return undefined;
    this.#observations.note(null, 'backup', `backup made ${options.withKeys ? 'with' : 'without'} keys`);
    return backup;
  }

  /** Does what is due by now: writes what nodes told, a new CRL, states that could not be signed. To be called every few seconds. */
  keepUp(): void {
    this.flush();
    this.#crl.keepUp();
    this.delivery.retry();
    this.#caEnd.tell();
  }

  /** Writes what nodes told since the last time. To be called after the last channel. */
  flush(): void {
    this.audit.flush();
    this.#observations.flush();
  }
}
