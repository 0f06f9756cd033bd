import { X509Certificate, type KeyObject } from 'node:crypto';
import { isIP } from 'node:net';
import { IdentityError } from './identity-error.ts';
import type { MeshCa } from './mesh-ca.ts';
import { meshDn, nodeDn, tunnelIdentity, type Rdn } from './names.ts';
import { signCertificate, type Issuer } from './sign.ts';
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate as X509Reader,
  type JsonGeneralNames,
} from './x509.ts';

/** The certificates that a mesh's CA issues. Every name comes from the arguments, never from a CSR. */

const DAY_MS = 86_400_000;
/** Short, because a certificate that was lost is good for no longer; renewed when half of it is over. */
export const CHANNEL_DAYS_DEFAULT = 7;
/** Longer: when the coordinator is away, a node without it can set up no tunnel any more. */
export const IKE_DAYS_DEFAULT = 30;
const SERVER_DAYS = 90;
/** `id-kp-ipsecIKE`. Without a usage of its own a node's IKE certificate would also do for TLS. */
export const IKE_USAGE = '1.3.6.1.5.5.7.3.17';
const HOST_NAME =
  /^(?=.{1,253}$)(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)*[A-Za-z](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/;

interface Issuance {
  readonly publicKey: KeyObject;
  /** Wall-clock time, ms since the epoch. */
  readonly nowMs: number;
  /** May be a fraction. The certificate never ends after the CA's own. */
  readonly validityDays?: number;
}

export interface NodeIssuance extends Issuance {
  readonly node: string;
}

export interface ServerIssuance extends Issuance {
  /** Addresses and host names under which nodes reach the coordinator. */
  readonly hosts: readonly string[];
}

/**
 * What a node shows on its control channel: client authentication, subject `<subject>, CN=<node>`. The coordinator
 * knows the node by the key, not by the name.
 * @throws IdentityError `bad-name`
 */
export function issueChannelCertificate(ca: MeshCa, issuance: NodeIssuance): Promise<string> {
  const { node, validityDays = CHANNEL_DAYS_DEFAULT } = issuance;
  return issue(ca, nodeDn(ca.subject, node), ExtendedKeyUsage.clientAuth, [], { ...issuance, validityDays });
}

/**
 * What a node shows to other nodes in IKE. Carries both of its identities: the subject `<subject>, CN=<node>` for
 * mediators, and the dNSName `<node>.<mesh>` for tunnels.
 * @throws IdentityError `bad-name`
 */
export function issueIkeCertificate(ca: MeshCa, issuance: NodeIssuance): Promise<string> {
  const { node, validityDays = IKE_DAYS_DEFAULT } = issuance;
  const names = [{ type: 'dns', value: tunnelIdentity(ca.mesh, node) } as const];
  return issue(ca, nodeDn(ca.subject, node), IKE_USAGE, names, { ...issuance, validityDays });
}

/**
 * For the coordinator's TLS port. Serve it together with the CA's certificate: a node that enrols knows only its hash.
 * @throws IdentityError `bad-name` for a host that is neither an address nor a host name
 */
export function issueServerCertificate(ca: MeshCa, issuance: ServerIssuance): Promise<string> {
  const { hosts, validityDays = SERVER_DAYS } = issuance;
  const subject = meshDn(ca.subject, ca.mesh, 'coordinator');
  return issue(ca, subject, ExtendedKeyUsage.serverAuth, hosts.map(hostAlternativeName), { ...issuance, validityDays });
}

function issue(
  ca: MeshCa,
  subject: readonly Rdn[],
  usage: string,
  alternativeNames: JsonGeneralNames,
  { publicKey, nowMs, validityDays }: Required<Issuance>,
): Promise<string> {
  const caEndMs = Date.parse(new X509Certificate(ca.certificatePem).validTo);
  return signCertificate(
    {
      subject,
      issuer: issuerOf(ca),
      publicKey,
      nowMs,
      notAfterMs: Math.min(nowMs + validityDays * DAY_MS, caEndMs),
      extensions: [
        new BasicConstraintsExtension(false, undefined, true),
        new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
        new ExtendedKeyUsageExtension([usage]),
        ...(alternativeNames.length > 0 ? [new SubjectAlternativeNameExtension(alternativeNames)] : []),
      ],
    },
    ca.privateKeyPem,
  );
}

/** Name and key identifier are taken from the CA's certificate as they are: in an operator's PKI they can be any. */
function issuerOf(ca: MeshCa): Issuer {
  const certificate = new X509Reader(ca.certificatePem);
  const keyIdentifier = certificate.getExtension(SubjectKeyIdentifierExtension)?.keyId;
  return { name: certificate.subjectName, ...(keyIdentifier !== undefined && { keyIdentifier }) };
}

function hostAlternativeName(host: string): JsonGeneralNames[number] {
  if (isIP(host) !== 0) return { type: 'ip', value: host };
  if (HOST_NAME.test(host)) return { type: 'dns', value: host };
  throw new IdentityError('bad-name', `"${host}" is neither an address nor a host name`);
}
