import type { AuthRound, CredentialRef, ImportedChild, ImportedConnection, Mediation } from './imported.ts';
import {
  authOptions,
  childOptions,
  formatOptions,
  ikeOptions,
  localOptions,
  mediationOptions,
  remoteOptions,
} from './options.ts';

/** Sections, values and lists in charon's spelling. `B` is what stands for a certificate or key: bytes, or text. */
export interface ConfigTree<B> {
  readonly [key: string]: string | B | readonly (string | B)[] | ConfigTree<B>;
}

/** How certificates and raw public keys are written. */
export type WriteBlob<B> = (ref: CredentialRef, kind: 'certificate' | 'public-key') => B;

/**
 * A connection as `load-conn` and swanctl.conf have it, without its name. Mediated connections are not started by it:
 * charon may do that only while the mediation connection is up.
 */
export function connectionTree<B>(connection: ImportedConnection, writeBlob: WriteBlob<B>): ConfigTree<B> {
  const { ike, local, remote, mediation, children } = connection;
  return {
    ...formatOptions(ikeOptions, ike),
    ...formatOptions(mediationOptions, mediationValues(mediation)),
    ...formatOptions(localOptions, local),
    ...formatOptions(remoteOptions, remote),
    ...roundSections('local', local.rounds, writeBlob),
    ...roundSections('remote', remote.rounds, writeBlob),
    ...(children.length > 0 && {
      children: Object.fromEntries(children.map((child) => [child.name, childTree(child, mediation)])),
    }),
  };
}

function mediationValues(mediation: Mediation): Parameters<typeof formatOptions<typeof mediationOptions>>[1] {
  switch (mediation.kind) {
    case 'none':
      return {};
    case 'mediation':
      return { mediation: true };
    case 'mediated':
      return { mediatedBy: mediation.by, mediationPeer: mediation.peer };
  }
}

function roundSections<B>(
  side: 'local' | 'remote',
  rounds: readonly AuthRound[],
  writeBlob: WriteBlob<B>,
): ConfigTree<B> {
  const name = (index: number): string => (index === 0 ? side : `${side}-${index + 1}`);
  return Object.fromEntries(rounds.map((round, index) => [name(index), roundTree(round, writeBlob)]));
}

function roundTree<B>(round: AuthRound, writeBlob: WriteBlob<B>): ConfigTree<B> {
  const { certificates, caCertificates, publicKeys } = round;
  return {
    ...formatOptions(authOptions, round),
    ...(certificates.length > 0 && { certs: certificates.map((ref) => writeBlob(ref, 'certificate')) }),
    ...(caCertificates.length > 0 && { cacerts: caCertificates.map((ref) => writeBlob(ref, 'certificate')) }),
    ...(publicKeys.length > 0 && { pubkeys: publicKeys.map((ref) => writeBlob(ref, 'public-key')) }),
  };
}

function childTree(child: ImportedChild, mediation: Mediation): ConfigTree<never> {
  return formatOptions(childOptions, mediation.kind === 'mediated' ? { ...child, startAction: 'none' } : child);
}
