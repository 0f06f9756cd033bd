import { z } from 'zod';
import { epochNumber, epochSchema } from '../control/epoch.ts';
import { TRUSTED_KEYS_MAX } from '../control/frames.ts';
import { publicKeySchema, type SigningPublicKey } from '../control/signing-key.ts';
import { nextKeyStatementSchema, openStatement, type Signed, type StateStatement } from '../control/statement.ts';

const placeSchema = z.strictObject({ epoch: epochSchema, generation: z.number().int().min(1), digest: z.string() });
/** Where a state stands in the order of all that this node was ever told. */
export type StatePlace = Readonly<z.output<typeof placeSchema>>;

/** Whom this node believes about its desired state, and how far it has got. Written at enrolment, kept on disk. */
export const stateTrustSchema = z.strictObject({
  mesh: z.string(),
  node: z.string(),
  /** The mesh's signing key; during a rotation the new one and then the former. */
  keys: z.array(publicKeySchema).min(1).max(TRUSTED_KEYS_MAX),
  /** A key from before the last rotation: what it signed is believed from this node's own disk, and from nowhere else. */
  retired: publicKeySchema.nullable(),
  /** The last state that was ever taken: none before it is taken again, even when the disk has lost it. */
  latest: placeSchema.nullable(),
});
export type StateTrust = Readonly<z.output<typeof stateTrustSchema>>;

/** Whom an enrolment says to believe. */
export interface PinnedKeys extends Pick<StateTrust, 'mesh' | 'node'> {
  readonly keys: readonly SigningPublicKey[];
}

/**
 * What an enrolment pins. `former` is what the node has believed until then: a node that is enrolled anew as the same
 * one, with a key that it knows, has not forgotten how far it had got. `heldKey` has signed the state that it holds, and
 * lives on until another one is on disk, in whatever step of a rotation the enrolment falls.
 */
export function pinnedTrust(
  { mesh, node, keys }: PinnedKeys,
  former: StateTrust | undefined,
  heldKey: SigningPublicKey | undefined,
): StateTrust {
  const before = former?.mesh === mesh && former.node === node ? former : undefined;
  const isKnown = before?.keys.some((key) => keys.includes(key)) === true;
  const isHeldFormer = before !== undefined && heldKey !== undefined && !keys.includes(heldKey);
  return {
    mesh,
    node,
    keys: [...keys],
    retired: isHeldFormer ? heldKey : isKnown ? before.retired : null,
    latest: isKnown ? before.latest : null,
  };
}

/**
 * With the keys that have come after the one that is trusted, each introduced by the one before it; the same object when there
 * is none. A former key has no say any more. `heldKey` has signed the state that is held: however many keys have come since,
 * that state is believed until another one is on disk.
 * @throws SigningError
 */
export function withNextKeys(
  trust: StateTrust,
  introductions: readonly Signed[],
  heldKey: SigningPublicKey | undefined,
): StateTrust {
  let current = trust;
  for (const signed of introductions) {
    const [newest, former] = current.keys;
    if (newest === undefined || signed.key === former) continue;
    const { mesh, replaces, key } = openStatement(signed, [newest], nextKeyStatementSchema);
    if (mesh !== trust.mesh || replaces !== newest || key === newest) continue;
    const isHeldFormer = heldKey !== undefined && heldKey !== key && heldKey !== newest;
    current = { ...current, keys: [key, newest], retired: isHeldFormer ? heldKey : (former ?? current.retired) };
  }
  return current;
}

/**
 * After a state was taken: what its statement proves. A rotation ends with the first state that the new key has signed; the
 * one before it, which `heldKey` has signed, stays on disk.
 */
export function trustAfter(
  trust: StateTrust,
  { key, heldKey }: { readonly key: SigningPublicKey; readonly heldKey: SigningPublicKey | undefined },
  { epoch, generation, digest }: StateStatement,
): StateTrust {
  const [newest, former] = trust.keys;
  const isRotated = key === newest && former !== undefined;
  const retired = heldKey === undefined || heldKey === key ? former : heldKey;
  return {
    ...trust,
    ...(isRotated && { keys: [key], retired }),
    latest: { epoch, generation, digest },
  };
}

/** What a state on the node's own disk proves: it may be later than the note of it, when a crash fell between the two. */
export function trustWithHeld(trust: StateTrust, { epoch, generation, digest }: StateStatement): StateTrust {
  const place = { epoch, generation, digest };
  const isBehind = trust.latest === null || outOfOrder(place, trust.latest) === undefined;
  return isBehind ? { ...trust, latest: place } : trust;
}

/**
 * Why a state is not to be taken after the one at `latest`; undefined when it is, or when it is that very one. Epochs are in the
 * order of their numbers, and within one generations are.
 */
export function outOfOrder(offered: StatePlace, latest: StatePlace): string | undefined {
  const [number, latestNumber] = [epochNumber(offered.epoch), epochNumber(latest.epoch)];
  if (number > latestNumber) return undefined;
  if (number < latestNumber) {
    return `it is of epoch ${offered.epoch}, and this node has a state of the later one ${latest.epoch}: the coordinator was restored from a backup, and needs an epoch of its own`;
  }
  if (offered.epoch !== latest.epoch) {
    return `it is of epoch ${offered.epoch}, and this node follows ${latest.epoch}, made at the same time: two coordinators were restored from one backup`;
  }
  if (offered.generation > latest.generation) return undefined;
  if (offered.generation < latest.generation)
    return `it is older than generation ${latest.generation}, which this node has`;
  return offered.digest === latest.digest ? undefined : `generation ${latest.generation} was another state before`;
}
