import { z } from 'zod';
import type { ConnectionName } from '../ike/connection.ts';
import type { ObservedState, Step } from './charon.ts';

/**
 * What this charon process was given, as digests: charon does not show its configuration well enough to compare, and
 * loading the same again ends SAs from strongSwan 6.0 on. Kept on disk, so that a new agent loads nothing twice.
 */
export const ledgerSchema = z.strictObject({
  charonStartMs: z.number(),
  credentials: z.string().nullable(),
  /** Id of the private key that charon answered with. */
  keyId: z.string().nullable(),
  /** Ids of the keys that this one replaced and that charon still has. */
  formerKeyIds: z.array(z.string()).default([]),
  /** Digest of the list of revoked certificates; absent when it was given none. */
  crl: z.string().exactOptional(),
  connections: z.record(z.string(), z.string()),
});
export type Ledger = Readonly<z.output<typeof ledgerSchema>>;

/** The ledger of a charon process that was given nothing yet. */
export function emptyLedger(charonStartMs: number): Ledger {
  return { charonStartMs, credentials: null, keyId: null, formerKeyIds: [], connections: {} };
}

/** Two starts nearer than this are one process; a faster restart shows by its missing connections and keys. */
const SAME_START_MS = 4000;

/** True when the ledger was written for the charon that was observed. */
export function isOfThisCharon(ledger: Ledger, observed: ObservedState): boolean {
  return Math.abs(ledger.charonStartMs - observed.charonStartMs) < SAME_START_MS;
}

/** The part of the ledger that is still true: nothing after a restart, less what another client has unloaded. */
export function validLedger(ledger: Ledger | undefined, observed: ObservedState): Ledger {
  if (ledger === undefined || !isOfThisCharon(ledger, observed)) {
    return emptyLedger(observed.charonStartMs);
  }
  const keyIsThere = ledger.keyId !== null && observed.keyIds.has(ledger.keyId);
  const connections = Object.entries(ledger.connections).filter(([name]) => observed.connections.has(name));
  return {
    charonStartMs: ledger.charonStartMs,
    credentials: keyIsThere ? ledger.credentials : null,
    keyId: keyIsThere ? ledger.keyId : null,
    formerKeyIds: ledger.formerKeyIds.filter((id) => observed.keyIds.has(id)),
    // Whoever takes the key away takes the certificates along.
    ...(keyIsThere && ledger.crl !== undefined && { crl: ledger.crl }),
    connections: Object.fromEntries(connections),
  };
}

/** The ledger after a step that worked; the same object when the step changes nothing in it. */
export function ledgerAfter(ledger: Ledger, step: Step, keyId: string | undefined): Ledger {
  switch (step.kind) {
    case 'load-credentials':
      return { ...ledger, credentials: step.digest, keyId: keyId ?? null, formerKeyIds: formerKeyIds(ledger, keyId) };
    case 'load-crl':
      return { ...ledger, crl: step.digest };
    case 'load-conn':
      if (ledger.connections[step.connection.name] === step.digest) return ledger;
      return { ...ledger, connections: { ...ledger.connections, [step.connection.name]: step.digest } };
    case 'unload-conn':
      return without(ledger, step.connection);
    case 'unload-key':
      return { ...ledger, formerKeyIds: ledger.formerKeyIds.filter((id) => id !== step.keyId) };
    case 'install-trap':
    case 'uninstall-trap':
    case 'set-routes':
    case 'divert-routes':
    case 'remove-routes':
    case 'terminate-ike':
    case 'abandon-ike':
    case 'rekey-child':
    case 'terminate-child':
    case 'initiate-ike':
    case 'initiate-child':
      return ledger;
  }
}

/** The ledger after a step that charon has refused: a load that it told of ahead has not come about. */
export function ledgerAfterRefusal(ledger: Ledger, step: Step): Ledger {
  const isAhead = step.kind === 'load-conn' && ledger.connections[step.connection.name] === step.digest;
  return isAhead ? without(ledger, step.connection.name) : ledger;
}

function without(ledger: Ledger, connection: ConnectionName): Ledger {
  const { [connection]: _gone, ...connections } = ledger.connections;
  return { ...ledger, connections };
}

/** The key may be an old one again, or the same with another certificate: what is in use is not to be unloaded. */
function formerKeyIds(ledger: Ledger, keyId: string | undefined): string[] {
  const replaced = ledger.keyId === null ? [] : [ledger.keyId];
  return [...new Set([...ledger.formerKeyIds, ...replaced])].filter((id) => id !== keyId);
}
