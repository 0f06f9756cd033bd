import { readFile, writeFile } from 'node:fs/promises';

/** Mesh addresses and LANs of a peer, which a node has a neighbour for on charon's TUN device. */
const PER_PEER = 4;
/** From the first one on the kernel throws entries away that are in use, at the second it takes none. */
const LIMITS = ['gc_thresh2', 'gc_thresh3'].map((name) => `/proc/sys/net/ipv4/neigh/default/${name}`);

/**
 * Raises the limits of the machine's neighbour table, and leaves them raised, where so many nodes with a tunnel to each
 * other need more. A TUN device takes an entry for every address that is sent to, the table is one for all network
 * namespaces, and when it is full every packet into a tunnel is lost with ENOBUFS. A data plane in the kernel takes none.
 */
export async function makeRoomForNeighbours(nodes: number): Promise<void> {
  const entries = PER_PEER * nodes * nodes;
  for (const limit of LIMITS.toReversed()) {
    if (Number(await readFile(limit, 'utf8')) < entries) await writeFile(limit, String(entries));
  }
}
