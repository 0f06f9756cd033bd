import type { X509Certificate } from 'node:crypto';
import type { Clock } from '../clock.ts';
import { CLOSE_CODES, type AgentFrame } from '../control/frames.ts';
import { assertNever } from '../errors.ts';
import type { EnrolmentReply, EnrolmentRequest } from '../identity/enrolment.ts';
import type { RenewalReply, RenewalRequest } from '../identity/renewal.ts';
import type { NodeName } from '../ike/connection.ts';
import type { Admission } from './admission.ts';
import type { AuditLog } from './audit-log.ts';
import type { ChannelHost, NodeChannel, RefusedPeer, ShownNode } from './channel-host.ts';
import type { ForgottenCertificates } from './forgotten-certificates.ts';
import type { HintDelivery } from './hint-delivery.ts';
import type { NodeRegistry } from './node-registry.ts';
import type { Observations } from './observations.ts';
import type { PacedLog } from './paced-log.ts';
import type { Renewals } from './renewals.ts';
import type { RevocationList } from './revocation-list.ts';
import type { StateAnswers } from './state-answers.ts';
import type { StateDelivery } from './state-delivery.ts';
import type { Store } from './store.ts';

export interface NodeChannelsDeps {
  readonly store: Pick<Store, 'admission' | 'renewals'>;
  readonly registry: NodeRegistry;
  readonly observations: Observations;
  readonly admission: Admission;
  readonly renewals: Renewals;
  readonly forgotten: ForgottenCertificates;
  readonly crl: Pick<RevocationList, 'frame'>;
  readonly delivery: StateDelivery;
  readonly answers: StateAnswers;
  readonly hints: HintDelivery;
  readonly audit: Pick<AuditLog, 'begin'>;
  readonly warnings: PacedLog;
  readonly clock: Pick<Clock, 'nowMs'>;
}

/** Passes what comes from nodes to the part that it is for. */
export class NodeChannels implements ChannelHost {
  readonly #deps: NodeChannelsDeps;

  constructor(deps: NodeChannelsDeps) {
    this.#deps = deps;
  }

  nodeOfChannelKey(spkiSha256: string): NodeName | undefined {
    return this.#deps.store.admission.nodeOfChannelKey(spkiSha256);
  }

  revokedNodeOf(spkiSha256: string): NodeName | undefined {
    return this.#deps.store.admission.revocations.formerOwnerOf(spkiSha256);
  }

  adoptForgotten(certificate: X509Certificate, remote: string): NodeName | undefined {
    return this.#deps.forgotten.adoptChannel(certificate, remote);
  }

  opened(channel: NodeChannel, hello: Extract<AgentFrame, { type: 'hello' }>): void {
    const { store, registry, observations, forgotten, crl, delivery, hints, clock } = this.#deps;
    const { node } = channel;
    // It was let in a moment ago, and may have been thrown out since.
    if (store.admission.revocations.of(node) !== undefined) {
      return channel.close(CLOSE_CODES.revoked, 'this node is revoked');
    }
    this.#noteUse(node, channel.key);
    registry.open(channel, clock.nowMs());
    observations.note(node, 'channel', `control channel opened from ${channel.remote}, agent ${hello.agentVersion}`);
    if (hello.ikeCertificate !== undefined) forgotten.noteIke(channel, hello.ikeCertificate);
    if (crl.frame !== undefined) channel.send(crl.frame);
    delivery.greet(node, hello);
    hints.greet(node);
  }

  received(channel: NodeChannel, frame: AgentFrame): void {
    const { registry, observations, delivery, answers, hints, clock } = this.#deps;
    const { node } = channel;
    if (!registry.isCurrent(channel)) return;
    switch (frame.type) {
      case 'hello':
        return channel.close(CLOSE_CODES.badFrame, 'a second hello');
      case 'ack':
      case 'nack':
        return answers.take(node, frame);
      case 'resend':
        return delivery.resend(node, frame.reason);
      case 'report':
        registry.reported(node, frame.report, clock.nowMs());
        return hints.changed(node);
      case 'events':
        return observations.append(node, frame.events);
      default:
        return assertNever(frame);
    }
  }

  closed(channel: NodeChannel): void {
    const { registry, observations, hints, clock } = this.#deps;
    if (!registry.closed(channel, clock.nowMs())) return;
    observations.note(channel.node, 'channel', 'control channel closed');
    hints.changed(channel.node);
  }

  refused({ action, remote, reason, node }: RefusedPeer): void {
    const actor = { kind: node === undefined ? 'stranger' : 'node', name: node ?? null } as const;
    this.#deps.audit.begin(action, { actor, remote }).refused(reason);
  }

  enroll(request: EnrolmentRequest, remote: string): Promise<EnrolmentReply> {
    return this.#deps.admission.enroll(request, remote);
  }

  mayRenewExpired(node: NodeName, certificate: X509Certificate): boolean {
    return this.#deps.renewals.mayRenewExpired(node, certificate);
  }

  renew(node: ShownNode, request: RenewalRequest): Promise<RenewalReply> {
    return this.#deps.renewals.renew(node, request);
  }

  /** As long as that cannot be written, the certificate before it is good as well, and a full disk keeps no node out. */
  #noteUse(node: NodeName, key: string): void {
    const { store, warnings } = this.#deps;
    try {
      store.renewals.used(node, key);
    } catch (error) {
      warnings.note(node, { node, err: error }, 'first use of a certificate could not be written');
    }
  }
}
