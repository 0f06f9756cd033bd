import { ViciSession } from '../../src/vici/index.ts';
import { LEFT, RIGHT } from '../charon/charon-pair.ts';

/** IKE SAs that a burst brings up, each of a connection of its own and with one CHILD SA. */
export const SAS = 2000;
/** Connections by name. */
export const burstNames: readonly string[] = Array.from({ length: SAS }, (_unused, index) => `client-${index}`);
/** Those whose SAs go down again: three of four. */
export const leavingNames: readonly string[] = burstNames.filter((_name, index) => index % 4 !== 0);

/** Settings for both charons: many set-ups from one address are what their defences are made for. */
export const MANY_SAS_SETTINGS = `dos_protection = no
  ikesa_table_size = 4096
  ikesa_table_segments = 16
  filelog { log { default = 0 } }`;

const CHILD = 'net';
const BURST_MS_MAX = 180_000;

const common = {
  version: 2,
  proposals: ['aes128gcm16-prfsha256-x25519'],
  unique: 'never',
  mobike: false,
} as const;

/** Loads all connections into the left charon, and into the right one what answers them. */
export async function loadMany(left: ViciSession, right: ViciSession): Promise<void> {
  for (const session of [left, right]) await session.call('load-shared', { type: 'IKE', data: 'for the bench only' });
  await right.call('load-conn', {
    server: {
      ...common,
      local_addrs: [RIGHT.address],
      local: { auth: 'psk', id: RIGHT.id },
      remote: { auth: 'psk', id: '%any' },
      children: { [CHILD]: { local_ts: [RIGHT.subnet], remote_ts: [LEFT.subnet] } },
    },
  });
  await Promise.all(burstNames.map((name) => left.call('load-conn', { [name]: client(name) })));
}

function client(name: string) {
  return {
    ...common,
    local_addrs: [LEFT.address],
    remote_addrs: [RIGHT.address],
    local: { auth: 'psk', id: `${name}.example` },
    remote: { auth: 'psk', id: RIGHT.id },
    children: { [CHILD]: { local_ts: [LEFT.subnet], remote_ts: [RIGHT.subnet] } },
  };
}

/**
 * Sets all up, and takes three of four down again as soon as it is up, while others still come. Resolves when each is
 * where it should be.
 */
export async function burst(socketPath: string): Promise<void> {
  await using starting = await ViciSession.connect({ socketPath });
  // Of its own, so that the ends need not wait behind the beginnings.
  await using ending = await ViciSession.connect({ socketPath });
  await using events = await starting.subscribe(['ike-updown', 'child-updown'], {
    capacity: 100_000,
    signal: AbortSignal.timeout(BURST_MS_MAX),
  });
  const leaving = new Set(leavingNames);
  const follow = async (): Promise<void> => {
    let unsettled = SAS;
    for await (const event of events) {
      if (event.name === 'ike-updown' && !event.body.up) unsettled -= 1;
      if (event.name === 'child-updown' && event.body.up) {
        const { name, uniqueid } = event.body.ikeSa;
        if (leaving.has(name)) await begin(ending, 'terminate', { 'ike-id': uniqueid });
        else unsettled -= 1;
      }
      if (unsettled === 0) return;
    }
  };
  await Promise.all([follow(), ...burstNames.map((ike) => begin(starting, 'initiate', { ike, child: CHILD }))]);
}

/** Only queues the work, so it need not go the way of the slow commands, which would make no burst. */
async function begin(
  session: ViciSession,
  command: string,
  request: Readonly<Record<string, string | number>>,
): Promise<void> {
  const reply = await session.request(command, { ...request, timeout: -1 });
  if (reply.get('success') !== 'yes') throw new Error(`charon refused a ${command}`);
}
