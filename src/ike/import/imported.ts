import type { Place } from './import-error.ts';
import type { authOptions, childOptions, ikeOptions, localOptions, ValuesOf } from './options.ts';
import type { Secret } from './secret.ts';
import type { ImportWarning } from './warnings.ts';

/** A certificate or public key: a file by its absolute path, or in the configuration itself. */
export type CredentialRef = { readonly file: string } | { readonly base64: string };

/** One round of authentication of one side. */
export interface AuthRound extends ValuesOf<typeof authOptions> {
  readonly certificates: readonly CredentialRef[];
  readonly caCertificates: readonly CredentialRef[];
  readonly publicKeys: readonly CredentialRef[];
}

/** One end of a connection; `local` is this machine's. */
export interface ImportedSide extends ValuesOf<typeof localOptions> {
  /** In the order in which they take place; usually one. */
  readonly rounds: readonly AuthRound[];
}

/** What a CHILD SA should be like. */
export interface ImportedChild extends ValuesOf<typeof childOptions> {
  readonly name: string;
}

/** The connection's part in IKEv2 mediation. */
export type Mediation =
  | { readonly kind: 'none' }
  /** With a mediator, or of one. It has no children; `start`: this side brings it up. */
  | { readonly kind: 'mediation'; readonly start: boolean }
  /** Set up through the mediation connection `by`; `peer` is how the other end is known at the mediator. */
  | { readonly kind: 'mediated'; readonly by: string; readonly peer: string };

export interface ImportedConnection {
  readonly name: string;
  readonly place: Place;
  readonly mediation: Mediation;
  readonly ike: ValuesOf<typeof ikeOptions>;
  readonly local: ImportedSide;
  readonly remote: ImportedSide;
  readonly children: readonly ImportedChild[];
}

/** Folders of certificates, by strongSwan's names for what is in them. */
export type CertificateKind = 'x509' | 'x509ca' | 'x509aa' | 'x509ocsp' | 'x509ac' | 'x509crl' | 'pubkey';
export type PrivateKeyType = 'any' | 'rsa' | 'ecdsa' | 'bliss';
export type SharedKeyType = 'ike' | 'eap' | 'xauth' | 'ntlm' | 'ppk';

/** Something that charon needs besides the connections. `place`: what names it; absent for a file of a folder. */
export type ImportedCredential = { readonly place?: Place | undefined } & (
  | { readonly kind: 'certificate'; readonly type: CertificateKind; readonly file: string }
  | {
      readonly kind: 'private-key';
      readonly type: PrivateKeyType;
      readonly file: string;
      /** For whom, as noted; charon finds the key by its certificate. */
      readonly owners: readonly string[];
      readonly passphrase?: Secret | undefined;
    }
  | {
      readonly kind: 'shared-key';
      readonly type: SharedKeyType;
      /** Names the secret in charon, so that it can be replaced and unloaded. */
      readonly name: string;
      /** Identities that it is for; none: everybody. */
      readonly owners: readonly string[];
      readonly secret: Secret;
    }
);

/** A certification authority's attributes. */
export interface ImportedAuthority {
  readonly name: string;
  readonly place: Place;
  /** The CA's certificate. */
  readonly file: string;
  readonly crlUris: readonly string[];
  readonly ocspUris: readonly string[];
  readonly certificateUriBase?: string | undefined;
}

/** Addresses, and what goes with them, that peers can be given. */
export interface ImportedPool {
  readonly name: string;
  readonly place: Place;
  /** A CIDR or FROM-TO. */
  readonly addresses: string;
  /** charon's names (`dns`, `subnet`, …) and their values. */
  readonly attributes: Readonly<Record<string, readonly string[]>>;
}

/** A whole configuration in our terms. `warnings` name all that did not come over as written. */
export interface ImportedConfig {
  readonly source: 'ipsec' | 'swanctl';
  readonly connections: readonly ImportedConnection[];
  readonly credentials: readonly ImportedCredential[];
  readonly authorities: readonly ImportedAuthority[];
  readonly pools: readonly ImportedPool[];
  readonly warnings: readonly ImportWarning[];
}
