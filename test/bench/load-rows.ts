import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { encodeRequest, ViciSession } from '../../src/vici/index.ts';
import { CharonDaemon } from '../charon/charon-daemon.ts';
import { BareSocket } from './bare-socket.ts';
import { CONNS, manyConns, swanctlConf } from './many-conns.ts';
import { comparison, interleaved, timed, type Measurement } from './row.ts';
import { swanctl } from './swanctl.ts';

const SWANCTL_RUNS = 5;
const FLOOR_RUNS = 11;
const CMD_RESPONSE = 1;

/** charon's log goes to a file in tests, flushed line by line; that is not what is measured here. */
const QUIET = 'filelog { log { default = -1 } }';

const BESIDE_SWANCTL = 'load 10,000 connections / swanctl --load-conns';
const BESIDE_FLOOR = 'load 10,000 connections / prebuilt frames, answers only counted';

/** Every run gets an empty charon, and must leave all connections in it. */
async function withCharon(load: (charon: CharonDaemon) => Promise<number>): Promise<number> {
  await using charon = await CharonDaemon.start({ settings: QUIET });
  const ms = await load(charon);
  await using session = await ViciSession.connect({ socketPath: charon.socketPath });
  const { conns } = await session.call('get-conns');
  if (conns.length !== CONNS) throw new Error(`${conns.length} of ${CONNS} connections were loaded`);
  return ms;
}

const loadAll = (): Promise<number> =>
  withCharon(async ({ socketPath }) => {
    await using session = await ViciSession.connect({ socketPath });
    // Awaited here: the session closes with this scope.
    return await timed(() => Promise.all(manyConns.map(([name, conn]) => session.call('load-conn', { [name]: conn }))));
  });

const writeFrames = (): Promise<number> => {
  const frames = manyConns.map(([name, conn]) => encodeRequest('load-conn', { [name]: conn }));
  const bytes = Buffer.concat(frames);
  return withCharon(async ({ socketPath }) => {
    const socket = await BareSocket.open(socketPath);
    const ms = await timed(() => socket.send(bytes, CMD_RESPONSE, CONNS));
    socket.close();
    return ms;
  });
};

const loadBySwanctl = (): Promise<number> =>
  withCharon(async ({ folder, socketPath }) => {
    const file = join(folder, 'swanctl.conf');
    await writeFile(file, swanctlConf());
    return timed(() => swanctl(socketPath, ['--load-conns', '--file', file]));
  });

export const loading: Measurement = {
  names: [BESIDE_SWANCTL, BESIDE_FLOOR],
  measure: async () => [
    comparison(BESIDE_SWANCTL, await interleaved(SWANCTL_RUNS, { ours: loadAll, other: loadBySwanctl }), {
      atMost: 0.25,
    }),
    comparison(BESIDE_FLOOR, await interleaved(FLOOR_RUNS, { ours: loadAll, other: writeFrames }), { atMost: 1.15 }),
  ],
};
