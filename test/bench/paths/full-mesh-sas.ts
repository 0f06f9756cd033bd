import type { ViciIkeSa } from '../../../src/vici/index.ts';
import { tunnelIdentity, mediationIdentity } from '../../../src/identity/names.ts';
import type { NodeName } from '../../lab/topology.ts';

/** What the lab's coordinator is configured with: see `test/lab/mesh.ts`. */
const MESH = 'seed';
const SUBJECT = 'C=CN, O=Local Cluster';

/** The nodes of a mesh in which every two are linked. */
export interface FullMeshNodes {
  /** Mediator and hub at once. */
  readonly hub: NodeName;
  readonly sites: readonly NodeName[];
}

/**
 * An IKE SA as it has to be, whole: whom it is with, and its CHILD SAs, in one text. A node has each of these exactly once.
 */
type SaText = string;

/** What every node has to have once all links between sites are direct, from nothing but who is linked with whom. */
export function expectedSas(node: NodeName, { hub, sites }: FullMeshNodes): readonly SaText[] {
  const all = [hub, ...sites];
  const linksOf = (end: NodeName): readonly string[] =>
    all.filter((other) => other !== end).map((other) => [end, other].sort().join('--'));
  const registration = (other: NodeName): SaText => textOf(mediationIdentity(SUBJECT, other), []);
  const hubTunnel = (other: NodeName, site: NodeName): SaText => textOf(tunnelIdentity(MESH, other), linksOf(site));
  if (node === hub) return sites.flatMap((site) => [registration(site), hubTunnel(site, site)]);
  const peers = sites.filter((site) => site !== node);
  const direct = peers.map((peer) => textOf(mediationIdentity(SUBJECT, peer), [[node, peer].sort().join('--')]));
  return [registration(hub), hubTunnel(hub, node), ...direct];
}

/** A node that charon is held up at has one in excess, and its mediator another. */
export function isSecondRegistration({ name, state }: ViciIkeSa): boolean {
  return state === 'ESTABLISHED' && /^cygnet-(?:mediation|medsrv-[^.]+)\.again$/.test(name);
}

/** What a charon lists, in the same words, second registrations aside; what is not established or not installed says so. */
export function seenSas(ikeSas: readonly ViciIkeSa[]): readonly SaText[] {
  const counted = ikeSas.filter((ikeSa) => !isSecondRegistration(ikeSa));
  return counted.map((ikeSa) => {
    const children = [...ikeSa['child-sas'].values()].map(({ name, state }) => suffixed(name, state, 'INSTALLED'));
    return textOf(suffixed(ikeSa['remote-id'], ikeSa.state, 'ESTABLISHED'), children);
  });
}

/** What one of the two lists has and the other has not, of equal texts as many as there are too many. */
export function difference(
  expected: readonly SaText[],
  seen: readonly SaText[],
): { readonly missing: readonly SaText[]; readonly surplus: readonly SaText[] } {
  return { missing: without(expected, seen), surplus: without(seen, expected) };
}

function without(texts: readonly SaText[], others: readonly SaText[]): readonly SaText[] {
  const left = new Map<SaText, number>();
  for (const other of others) left.set(other, (left.get(other) ?? 0) + 1);
  return texts.filter((text) => {
    const count = left.get(text) ?? 0;
    left.set(text, count - 1);
    return count <= 0;
  });
}

function suffixed(name: string, state: string, usual: string): string {
  return state === usual ? name : `${name} ${state}`;
}

function textOf(remoteId: string, children: readonly string[]): SaText {
  return `${remoteId}: ${[...children].sort().join(' ')}`;
}
