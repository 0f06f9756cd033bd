import { encodePacket, encodeRequest, encodeSegment, ViciSession } from '../../src/vici/index.ts';
import { CharonDaemon } from '../charon/charon-daemon.ts';
import { BareSocket } from './bare-socket.ts';
import { inProcess } from './child-process.ts';
import { CONNS, manyConns } from './many-conns.ts';
import type { MemoryReport } from './memory-child.ts';
import { comparison, interleaved, limit, timed, type Measurement } from './row.ts';
import { swanctl } from './swanctl.ts';

const WARM_UP_RUNS = 3;
const RUNS = 15;
const MEMORY_RUNS = 5;
const MEMORY_MB_MAX = 20;
const CMD_RESPONSE = 1;

const BESIDE_FLOOR = 'list-conns of 10,000 / the same bytes only framed';
const BESIDE_SWANCTL = 'list-conns of 10,000 / swanctl --list-conns --raw';
const MEMORY = 'peak of memory above idle while 10,000 list-conn events stream';

/** Every item has all its fields when it arrives. */
async function listAll(session: ViciSession): Promise<void> {
  let count = 0;
  for await (const conn of session.stream('list-conns')) {
    if (conn.remote.length === 1 && conn.children.size === 1) count += 1;
  }
  if (count !== CONNS) throw new Error(`${count} of ${CONNS} connections were listed in full`);
}

async function frameAll(socketPath: string): Promise<void> {
  const socket = await BareSocket.open(socketPath);
  const register = encodeSegment(encodePacket({ type: 'event-register', name: 'list-conn' }));
  await socket.send(Buffer.concat([register, encodeRequest('list-conns', {})]), CMD_RESPONSE, 1);
  socket.close();
}

async function peaksOfMemory(socketPath: string): Promise<readonly number[]> {
  const first = manyConns[0]?.[0] ?? '';
  const peaks: number[] = [];
  for (let run = 0; run < MEMORY_RUNS; run += 1) {
    peaks.push((await inProcess<MemoryReport>('memory-child.js', [socketPath, first])).peakMb);
  }
  return peaks;
}

export const listing: Measurement = {
  names: [BESIDE_FLOOR, BESIDE_SWANCTL, MEMORY],
  measure: async () => {
    await using charon = await CharonDaemon.start();
    const { socketPath } = charon;
    await using session = await ViciSession.connect({ socketPath });
    await Promise.all(manyConns.map(([name, conn]) => session.call('load-conn', { [name]: conn })));
    const ours = () => timed(() => listAll(session));
    const floor = { ours, other: () => timed(() => frameAll(socketPath)) };
    const raw = { ours, other: () => timed(() => swanctl(socketPath, ['--list-conns', '--raw'])) };
    await interleaved(WARM_UP_RUNS, floor);
    return [
      comparison(BESIDE_FLOOR, await interleaved(RUNS, floor), { atMost: 1.3 }),
      comparison(BESIDE_SWANCTL, await interleaved(RUNS, raw), { below: 1 }),
      limit(MEMORY, 'MB', await peaksOfMemory(socketPath), MEMORY_MB_MAX),
    ];
  },
};
