import type { NatKind } from '../../paths/path-cause.ts';
import { sameEndpoint, type Endpoint } from './endpoint.ts';

/** How one destination sees a socket of this node. */
export interface Sighting {
  /** The socket, with the address that the kernel sends from on the way to that destination. */
  readonly local: Endpoint;
  readonly mapped: Endpoint;
}

/** The kind that hinders hole punching most comes first. */
const MOST_TELLING = ['symmetric', 'cone', 'unknown', 'none'] as const;

/**
 * The kind of NAT in front of this node. `heard`: something answered over UDP, be it only an IKE daemon. Sightings are
 * compared only with those from the same local address: another uplink, or IPv6, may have another NAT.
 */
export function natKindOf(sightings: readonly Sighting[], heard: boolean): NatKind {
  if (sightings.length === 0) return heard ? 'unknown' : 'blocked';
  const addresses = new Set(sightings.map(({ local }) => local.address));
  const kinds = new Set(
    [...addresses].map((own) => kindOfUplink(sightings.filter(({ local }) => local.address === own))),
  );
  return MOST_TELLING.find((kind) => kinds.has(kind)) ?? 'unknown';
}

/** A destination on this side of the NAT sees the socket as it is, and says nothing about how others see it. */
function kindOfUplink(sightings: readonly Sighting[]): (typeof MOST_TELLING)[number] {
  const [first, ...others] = sightings.filter(({ local, mapped }) => !sameEndpoint(local, mapped));
  if (first === undefined) return 'none';
  if (others.length === 0) return 'unknown';
  return others.every(({ mapped }) => sameEndpoint(mapped, first.mapped)) ? 'cone' : 'symmetric';
}
