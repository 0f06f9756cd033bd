import type { Clock } from '../clock.ts';
import { publicKeySchema } from '../control/signing-key.ts';
import { enroll } from '../identity/enroll.ts';
import { createCsr } from '../identity/csr.ts';
import { IdentityError } from '../identity/identity-error.ts';
import { generatePrivateKey, type KeyKind } from '../identity/keys.ts';
import type { EnrollCommand } from './api.ts';
import { StateFileError } from './disk.ts';
import type { HeldCertificate } from './held-certificate.ts';
import { LocalRefusal } from './local-server.ts';
import type { PinnedKeys, StateTrust } from './state-trust.ts';
import type { NodeIdentity, PendingKeys, Stored } from './stored.ts';

const TIMEOUT_MS = 30_000;

/** Who this node is now, and whom it believes about its desired state. */
export interface Enrolled {
  readonly identity: NodeIdentity;
  readonly trust: StateTrust;
}

export interface EnrolDeps {
  readonly stored: Stored;
  readonly keyType: KeyKind;
  /** The operator places the node's IKE certificate: it needs none of the coordinator's. */
  readonly isIkePlaced: boolean;
  readonly clock: Pick<Clock, 'nowMs'>;
  /** Whom the node is to believe now, which depends on whom it has believed and what it holds. */
  readonly pinned: (keys: PinnedKeys) => StateTrust;
  /** Who the node is until then; undefined before its first enrolment. */
  readonly identity: () => NodeIdentity | undefined;
  /** A file that cannot be used, and is replaced; or not removed. */
  readonly onUnusable: (error: Error) => void;
}

/**
 * Makes this node's keys, has the coordinator certify them, and stores the identity. The keys are on disk before they
 * are used, so that a retry after a crash, a lost reply or a write that failed comes with the same ones and gets the same
 * certificates. Rejects with a LocalRefusal that says what to do, or with a StateFileError.
 */
export async function enrolNode(
  deps: EnrolDeps,
  request: Pick<EnrollCommand, 'coordinator' | 'token' | 'name'>,
  signal: AbortSignal,
): Promise<Enrolled> {
  const { stored } = deps;
  try {
    const keys = await pendingKeys(deps);
    const reply = await enroll({
      coordinatorUrl: request.coordinator,
      token: request.token,
      ...(request.name !== undefined && { node: request.name }),
      channelCsr: await createCsr(keys.channelKey),
      ...(keys.ikeKey !== undefined && { ikeCsr: await createCsr(keys.ikeKey) }),
      nowMs: deps.clock.nowMs(),
      signal,
      timeoutMs: TIMEOUT_MS,
    });
    const { node, mesh, ca, chain, channelCertificate, ikeCertificate, signingKeys } = reply;
    const trust = deps.pinned({ mesh, node, keys: signingKeys.map((key) => publicKeySchema.parse(key)) });
    const identity: NodeIdentity = {
      node,
      mesh,
      coordinatorUrl: new URL(request.coordinator).origin,
      ca,
      ...(chain !== undefined && { chain }),
      channel: { key: keys.channelKey, certificate: channelCertificate },
      ...(keys.ikeKey !== undefined &&
        ikeCertificate !== undefined && { ike: { key: keys.ikeKey, certificate: ikeCertificate } }),
    };
    writeEnrolled(stored, { identity, trust });
    removePendingKeys(deps);
    return { identity, trust };
  } catch (error) {
    if (!(error instanceof IdentityError)) throw error;
    // Kept for a retry, they would be refused for ever.
    if (error.code === 'keys-refused') stored.pendingKeys.remove();
    throw refusalOf(error);
  }
}

/** The trust first: with the identity alone the node would believe no state. */
function writeEnrolled(stored: Stored, { identity, trust }: Enrolled): void {
  stored.trust.write(trust);
  try {
    stored.identity.write(identity);
  } catch (error) {
    // It is the node that it was, and however often that happens, it needs the trust of that one.
    stored.trust.discount();
    throw error;
  }
}

/** The node is enrolled all the same: the next enrolment finds that they are used. */
function removePendingKeys({ stored, onUnusable }: EnrolDeps): void {
  try {
    stored.pendingKeys.remove();
  } catch (error) {
    if (!(error instanceof StateFileError)) throw error;
    onUnusable(error);
  }
}

async function pendingKeys({ stored, keyType, isIkePlaced, identity, onUnusable }: EnrolDeps): Promise<PendingKeys> {
  const kept = stored.pendingKeys.readIfUsable(onUnusable);
  const isWanted = kept?.keyType === keyType && (kept.ikeKey === undefined) === isIkePlaced;
  if (isWanted && !isFinished(kept, identity())) return kept;
  const keys: PendingKeys = {
    keyType,
    channelKey: await generatePrivateKey('ecdsa-p256'),
    ...(!isIkePlaced && { ikeKey: await generatePrivateKey(keyType) }),
  };
  stored.pendingKeys.write(keys);
  return keys;
}

/**
 * A crash has left the keys behind that the node has: another enrolment has to come with new ones. By what is in force, not by
 * what is on disk: a write that failed at its end has left the new identity there, and the enrolment is not finished.
 */
function isFinished({ channelKey, ikeKey }: PendingKeys, identity: NodeIdentity | undefined): boolean {
  if (identity === undefined) return false;
  const { channel, ike } = identity;
  const isOf = (held: HeldCertificate, key: string | undefined): boolean => [held.key, held.former?.key].includes(key);
  return isOf(channel, channelKey) || (ike !== undefined && ikeKey !== undefined && isOf(ike, ikeKey));
}

function refusalOf(error: IdentityError): LocalRefusal {
  const isOurs = error.code === 'bad-token' || error.code === 'bad-url';
  return new LocalRefusal(isOurs ? 400 : 502, error.code, error.message, { cause: error });
}
