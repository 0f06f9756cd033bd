import { join } from 'node:path';
import { z } from 'zod';
import { signedSchema } from '../control/statement.ts';
import { KEY_KINDS } from '../identity/keys.ts';
import { ledgerSchema, type Ledger } from '../reconcile/ledger.ts';
import { charonRestartSchema, type CharonRestart } from './charon-freeze.ts';
import { StateFile } from './disk.ts';
import { heldCertificateSchema } from './held-certificate.ts';
import { storedCrlSchema, type StoredCrl } from './held-crl.ts';
import { stateTrustSchema, type StateTrust } from './state-trust.ts';

/** Who this node is: made at enrolment, renewed in part ever after. Its keys go to charon and the TLS socket only. */
const identitySchema = z.strictObject({
  node: z.string(),
  mesh: z.string(),
  coordinatorUrl: z.string(),
  /** PEM. */
  ca: z.string(),
  /** The CAs above it, up to the root; absent when it is a root. */
  chain: z.string().exactOptional(),
  channel: heldCertificateSchema,
  /** Absent where the operator placed another one, when the node was enrolled. */
  ike: heldCertificateSchema.exactOptional(),
});
export type NodeIdentity = Readonly<z.output<typeof identitySchema>>;

/** The desired state as it was received, with its proof; both are checked again when they are read. */
const storedStateSchema = z.strictObject({ signed: signedSchema, state: z.string() });
export type StoredState = Readonly<z.output<typeof storedStateSchema>>;

/** Keys that were made for an enrolment that is not finished: a retry must come with the same ones. */
const pendingKeysSchema = z.strictObject({
  keyType: z.enum(KEY_KINDS),
  channelKey: z.string(),
  /** Absent where the operator places the certificate. */
  ikeKey: z.string().exactOptional(),
});
export type PendingKeys = Readonly<z.output<typeof pendingKeysSchema>>;

/** All that an agent keeps below its state folder. */
export interface Stored {
  readonly identity: StateFile<NodeIdentity>;
  readonly pendingKeys: StateFile<PendingKeys>;
  readonly trust: StateFile<StateTrust>;
  readonly desired: StateFile<StoredState>;
  readonly ledger: StateFile<Ledger>;
  readonly crl: StateFile<StoredCrl>;
  readonly charonRestart: StateFile<CharonRestart>;
}

export function storedIn(stateDir: string): Stored {
  return {
    identity: new StateFile(join(stateDir, 'identity.json'), identitySchema),
    pendingKeys: new StateFile(join(stateDir, 'enrolment.json'), pendingKeysSchema),
    trust: new StateFile<StateTrust>(join(stateDir, 'trust.json'), stateTrustSchema, { keepsPrevious: true }),
    desired: new StateFile(join(stateDir, 'desired.json'), storedStateSchema, { keepsPrevious: true }),
    ledger: new StateFile<Ledger>(join(stateDir, 'ledger.json'), ledgerSchema),
    crl: new StateFile<StoredCrl>(join(stateDir, 'crl.json'), storedCrlSchema),
    charonRestart: new StateFile<CharonRestart>(join(stateDir, 'charon-restart.json'), charonRestartSchema),
  };
}
