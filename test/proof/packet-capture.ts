import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import type { Lab } from '../lab/lab.ts';
import type { LabProcess } from '../lab/lab-process.ts';
import type { NodeName } from '../lab/topology.ts';
import { waitFor } from '../lab/wait-for.ts';

const TIMEOUT_MS = 10_000;
/** What a ping can carry again and again. */
const MARK_BYTES = 16;
/** KiB that the kernel keeps for tcpdump while that has no time. */
const BUFFER_KIB = 16_384;

interface Wire {
  readonly node: NodeName;
  readonly file: string;
  readonly tcpdump: LabProcess;
}

/** Every packet that the nodes of a lab send or receive, on any interface, the loopback included; by tcpdump. */
export class PacketCapture {
  readonly #lab: Lab;
  readonly #wires: readonly Wire[];

  private constructor(lab: Lab, wires: readonly Wire[]) {
    this.#lab = lab;
    this.#wires = wires;
  }

  /** Resolves when no packet is missed any more. It goes with the lab. */
  static async start(lab: Lab): Promise<PacketCapture> {
    const wires = await Promise.all(
      lab.nodes.map(async (node): Promise<Wire> => {
        const file = `${lab.folder}/${node}.pcap`;
        // As root, or it could not write there; each packet at once.
        const argv = ['tcpdump', '-i', 'any', '-n', '-U', '-B', `${BUFFER_KIB}`, '-Z', 'root', '-w', file];
        return { node, file, tcpdump: await lab.spawn(node, `tcpdump-${node}`, argv) };
      }),
    );
    for (const { tcpdump } of wires) await said(tcpdump, /listening on any/);
    return new PacketCapture(lab, wires);
  }

  /** Ends it; all that was seen. Rejects when it was not everything: a mark that each node sends at last must be there. */
  async stop(): Promise<Uint8Array[]> {
    const mark = randomBytes(MARK_BYTES);
    const { hub } = this.#lab.network.topology;
    return await Promise.all(
      this.#wires.map(async ({ node, file, tcpdump }) => {
        await this.#lab.exec(node, ['ping', '-c', '1', '-p', mark.toString('hex'), '-s', '64', hub.address]);
        await waitFor({
          what: `the mark of ${node} among its packets`,
          observe: () => readFile(file),
          until: (packets) => packets.includes(mark),
          timeoutMs: TIMEOUT_MS,
        });
        await tcpdump.stop();
        await said(tcpdump, /^0 packets dropped by kernel/m);
        return readFileSync(file);
      }),
    );
  }
}

async function said({ name, logFile }: LabProcess, words: RegExp): Promise<void> {
  await waitFor({
    what: `"${words.source}" from ${name}`,
    observe: () => readFile(logFile, 'utf8'),
    until: (log) => words.test(log),
    timeoutMs: TIMEOUT_MS,
  });
}
