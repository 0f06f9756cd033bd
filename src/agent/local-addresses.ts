import { networkInterfaces } from 'node:os';
import { MESH_LABEL } from './mesh-loopback.ts';

/** All addresses of this machine's interfaces that are up, but for its mesh addresses: nothing outside is reached from those. */
export function localAddresses(): ReadonlySet<string> {
  const others = Object.entries(networkInterfaces()).filter(([name]) => name !== MESH_LABEL);
  return new Set(others.flatMap(([, all = []]) => all.map(({ address }) => address)));
}
