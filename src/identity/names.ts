import { IdentityError } from './identity-error.ts';

/**
 * The names that certificates carry and IKE identities are written in. strongSwan compares a DN by its encoding, so
 * every value stays within PrintableString, which is what strongSwan makes of text that fits (`atodn`); and each is
 * free of what its parser gives a meaning: comma, slash, equals sign, a leading or trailing space.
 */

const RDN_TYPES = ['C', 'ST', 'L', 'O', 'OU'] as const;

/** One part of a distinguished name, `O=Local Cluster`. */
export interface Rdn {
  readonly type: (typeof RDN_TYPES)[number] | 'CN';
  readonly value: string;
}

const RDN_VALUE = /^[A-Za-z0-9().-](?:[A-Za-z0-9 ().-]{0,62}[A-Za-z0-9().-])?$/;
/** An IKE identity of a desired state has at most 255 characters: this, `, CN=` and a node's name. */
const SUBJECT_LENGTH_MAX = 180;

/** One label of a domain name, in lower case. */
const NODE_NAME = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
/** A domain name whose last label begins with a letter, so that no tunnel identity can read as an address. */
const MESH_NAME = /^(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)*[a-z](?:[a-z0-9-]*[a-z0-9])?$/;
/** A common name has 64 characters at most, and the longest made of a mesh is `<mesh> coordinator`. */
const MESH_NAME_LENGTH_MAX = 52;

/**
 * Reads the operator's subject, `C=CN, O=Local Cluster`: what the names of all nodes of a mesh begin with.
 * @throws IdentityError `bad-name`, naming the part that is wrong
 */
export function parseSubject(text: string): readonly Rdn[] {
  if (text.length > SUBJECT_LENGTH_MAX) {
    throw new IdentityError('bad-name', `subject: ${text.length} characters, at most ${SUBJECT_LENGTH_MAX}`);
  }
  return text.split(',').map((part) => parseRdn(part.trim()));
}

function parseRdn(part: string): Rdn {
  const [typeText = '', ...rest] = part.split('=');
  const type = RDN_TYPES.find((known) => known === typeText.trimEnd());
  if (type === undefined || rest.length === 0) {
    throw new IdentityError('bad-name', `subject: "${part}" is not TYPE=value with a TYPE of ${RDN_TYPES.join(', ')}`);
  }
  const value = rest.join('=').trimStart();
  if (!RDN_VALUE.test(value)) {
    throw new IdentityError(
      'bad-name',
      `subject: the value of ${type} must be 1 to 64 letters, digits, spaces and any of ( ) . -`,
    );
  }
  if (type === 'C' && !/^[A-Z]{2}$/.test(value)) {
    throw new IdentityError('bad-name', `subject: C must be a country code of two capital letters, not "${value}"`);
  }
  return { type, value };
}

/** The DN as charon prints it and reads it. */
export function formatDn(dn: readonly Rdn[]): string {
  return dn.map(({ type, value }) => `${type}=${value}`).join(', ');
}

/**
 * A node's identity towards mediators, and the subject of its certificates: `C=CN, O=Local Cluster, CN=edge1`.
 * @throws IdentityError `bad-name`
 */
export function mediationIdentity(subject: string, node: string): string {
  return formatDn(nodeDn(subject, node));
}

/** Matches the mediation identity of every node of the mesh; for the remote side of a mediation server. */
export function mediationWildcard(subject: string): string {
  return `${formatDn(parseSubject(subject))}, CN=*`;
}

/**
 * A node's identity towards other nodes, a dNSName of its IKE certificate: `edge1.mesh.example`.
 * @throws IdentityError `bad-name`
 */
export function tunnelIdentity(mesh: string, node: string): string {
  return `${checkNode(node)}.${checkMesh(mesh)}`;
}

/** Matches the tunnel identity of every node of the mesh; for the remote side of a mediation server. */
export function tunnelWildcard(mesh: string): string {
  return `*.${checkMesh(mesh)}`;
}

/** The distinguished name behind {@link mediationIdentity}. */
export function nodeDn(subject: string, node: string): readonly Rdn[] {
  return [...parseSubject(subject), { type: 'CN', value: checkNode(node) }];
}

/** Of the mesh's own certificates. The blank keeps them apart from every node's name. */
export function meshDn(subject: string, mesh: string, role: 'CA' | 'coordinator'): readonly Rdn[] {
  return [...parseSubject(subject), { type: 'CN', value: `${checkMesh(mesh)} ${role}` }];
}

function checkNode(node: string): string {
  if (NODE_NAME.test(node)) return node;
  throw new IdentityError('bad-name', `node name "${node}": lower case letters, digits and inner "-", at most 63`);
}

function checkMesh(mesh: string): string {
  if (mesh.length <= MESH_NAME_LENGTH_MAX && MESH_NAME.test(mesh)) return mesh;
  throw new IdentityError(
    'bad-name',
    `mesh name "${mesh}": a domain name in lower case, at most ${MESH_NAME_LENGTH_MAX} characters, its last part beginning with a letter`,
  );
}
