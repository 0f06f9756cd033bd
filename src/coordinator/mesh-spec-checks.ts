import type { DocumentPath } from '../yaml-document.ts';
import { linkIdOf, type LinkSpec, type MeshSpec, type NodeSpec } from './mesh-spec.ts';
import { isPairIn, roomIn } from './mesh-addresses.ts';
import { findOverlaps } from './subnet-overlap.ts';

/** Names of connections and children are limited to this; a link's id is the name of its child. */
const LINK_ID_CHARACTERS_MAX = 121;

interface Problem {
  readonly path: DocumentPath;
  readonly message: string;
}

/** What a schema cannot see: the parts of a spec that contradict each other. Empty when there is nothing. */
export function checkMeshSpec(spec: MeshSpec): readonly Problem[] {
  return [
    ...checkDefaults(spec),
    ...checkNodes(spec),
    ...checkSubnets(spec),
    ...checkMeshAddresses(spec),
    ...checkLinks(spec),
  ];
}

function* checkDefaults(spec: MeshSpec): Generator<Problem> {
  yield* checkLifetime(spec.defaults.ike, ['defaults', 'ike']);
  yield* checkLifetime(spec.defaults.child, ['defaults', 'child']);
}

/** Rekeying begins between one and two margins before the end: with less time it would begin at once, for ever. */
function* checkLifetime(times: { lifetime: number; margin: number }, path: DocumentPath): Generator<Problem> {
  if (times.lifetime === 0 || times.margin * 2 < times.lifetime) return;
  const message = `the lifetime (${times.lifetime}s) must be more than twice the margin (${times.margin}s)`;
  yield { path, message };
}

/** Without an override the defaults apply, and their mistake is told once, where it is. */
const isSet = (override: object): boolean => Object.keys(override).length > 0;

function* checkNodes(spec: MeshSpec): Generator<Problem> {
  for (const [name, node] of spec.nodes) {
    const path = ['nodes', name];
    if (node.roles.length > 0 && node.endpoints.length === 0) {
      yield { path, message: `a ${node.roles.join(' and ')} needs an endpoint: the address that others reach it at` };
    }
    if (new Set(node.roles).size < node.roles.length) {
      yield { path: [...path, 'roles'], message: 'the same role twice' };
    }
    if (new Set(node.groups).size < node.groups.length) {
      yield { path: [...path, 'groups'], message: 'the same group twice' };
    }
    if (isSet(node.ike)) yield* checkLifetime({ ...spec.defaults.ike, ...node.ike }, [...path, 'ike']);
  }
}

function* checkSubnets(spec: MeshSpec): Generator<Problem> {
  const subnets = [...spec.nodes].flatMap(([owner, node]) => node.subnets.map((cidr) => ({ owner, cidr })));
  for (const [inner, outer] of findOverlaps(subnets)) {
    const index = spec.nodes.get(inner.owner)?.subnets.indexOf(inner.cidr) ?? 0;
    const message = `${inner.cidr} overlaps ${outer.cidr} of node "${outer.owner}"`;
    yield { path: ['nodes', inner.owner, 'subnets', index], message };
  }
}

/** Who has the mesh's range: no node can be called so. */
const MESH_RANGE_OWNER = 'meshRange';

function* checkMeshAddresses(spec: MeshSpec): Generator<Problem> {
  const { meshRange: range, nodes } = spec;
  const fixed = [...nodes].flatMap(([name, { meshAddress }]) =>
    meshAddress === undefined ? [] : [{ name, meshAddress }],
  );
  if (range === 'off') {
    for (const { name } of fixed) yield { path: ['nodes', name, 'meshAddress'], message: 'meshRange is off' };
    return;
  }
  if (nodes.size > roomIn(range)) {
    yield { path: ['meshRange'], message: `${range} has room for ${roomIn(range)} nodes, and there are ${nodes.size}` };
  }
  const subnets = [...nodes].flatMap(([owner, node]) => node.subnets.map((cidr) => ({ owner: owner as string, cidr })));
  for (const pair of findOverlaps([...subnets, { owner: MESH_RANGE_OWNER, cidr: range }])) {
    const subnet = pair.find(({ owner }) => owner !== MESH_RANGE_OWNER);
    if (subnet === undefined || pair.every(({ owner }) => owner !== MESH_RANGE_OWNER)) continue;
    const message = `${range} overlaps ${subnet.cidr} of node "${subnet.owner}": choose another range, or "off"`;
    yield { path: ['meshRange'], message };
  }
  yield* checkFixedAddresses(range, fixed);
}

function* checkFixedAddresses(
  range: string,
  fixed: readonly { readonly name: string; readonly meshAddress: string }[],
): Generator<Problem> {
  const owners = new Map<string, string>();
  for (const { name, meshAddress } of fixed) {
    const path = ['nodes', name, 'meshAddress'];
    if (!isPairIn(range, meshAddress)) {
      const message = `${meshAddress} is not an even address inside ${range}; its first and last two stay free`;
      yield { path, message };
    }
    const owner = owners.get(meshAddress);
    if (owner !== undefined) yield { path, message: `${meshAddress} is the address of node "${owner}" already` };
    owners.set(meshAddress, owner ?? name);
  }
}

function* checkLinks(spec: MeshSpec): Generator<Problem> {
  const firstAt = new Map<string, number>();
  const has = { hub: hasRole(spec, 'hub'), mediator: hasRole(spec, 'mediator') };
  for (const [index, link] of spec.links.entries()) {
    const path = ['links', index];
    const [a, b] = link.between;
    const id = linkIdOf(a, b);
    const earlier = firstAt.get(id);
    if (earlier !== undefined) yield { path, message: `links "${a}" and "${b}" again, after links[${earlier}]` };
    firstAt.set(id, earlier ?? index);
    if (a === b) {
      yield { path, message: `links "${a}" with itself` };
      continue;
    }
    if (id.length > LINK_ID_CHARACTERS_MAX) {
      yield { path, message: `the two names are longer than ${LINK_ID_CHARACTERS_MAX - 2} characters together` };
    }
    if (isSet(link.child)) yield* checkLifetime({ ...spec.defaults.child, ...link.child }, [...path, 'child']);
    yield* checkEnds(spec, link, has, path);
  }
}

function* checkEnds(
  spec: MeshSpec,
  link: LinkSpec,
  has: { readonly hub: boolean; readonly mediator: boolean },
  path: DocumentPath,
): Generator<Problem> {
  const ends = link.between.map((name) => spec.nodes.get(name));
  for (const [index, name] of link.between.entries()) {
    const node = ends[index];
    if (node === undefined) yield { path, message: `unknown node "${name}"` };
    else if (node.subnets.length === 0 && spec.meshRange === 'off') {
      yield { path, message: `node "${name}" has no subnets to link, and no mesh address` };
    }
  }
  const [first, second] = ends;
  if (first === undefined || second === undefined) return;
  const message = pathProblem(link, [first, second], has);
  if (message !== undefined) yield { path, message };
}

/** Why no path of the wanted kind can be there between two nodes, or undefined when one can. */
function pathProblem(
  link: LinkSpec,
  ends: readonly [NodeSpec, NodeSpec],
  has: { readonly hub: boolean; readonly mediator: boolean },
): string | undefined {
  if (ends.some((end) => end.roles.includes('hub'))) {
    return link.path === 'relay' ? 'a link to a hub is direct: there is nothing to relay it' : undefined;
  }
  const canMediate = has.mediator && !ends.some((end) => end.roles.includes('mediator'));
  if (link.path === 'relay' && !has.hub) return 'path relay needs a node with the role hub';
  if (link.path === 'direct' && !canMediate) {
    return has.mediator
      ? 'a mediator cannot have a direct path through itself; give it the role hub, or the link path auto'
      : 'path direct needs a node with the role mediator';
  }
  if (has.hub || canMediate) return undefined;
  return 'needs a node with the role hub (to relay) or mediator (for a direct path), and there is none that can';
}

function hasRole(spec: MeshSpec, role: 'hub' | 'mediator'): boolean {
  return [...spec.nodes.values()].some((node) => node.roles.includes(role));
}
