import { writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { LabProcess } from './lab-process.ts';
import type { Network } from './network.ts';
import type { StrongswanInstallation } from './strongswan.ts';
import { dataPlane } from './surroundings.ts';
import type { NodeName } from './topology.ts';
import { waitFor } from './wait-for.ts';

export interface CharonOptions {
  readonly node: NodeName;
  readonly network: Network;
  readonly installation: StrongswanInstallation;
  /** The node's folder: takes configuration, log and socket. */
  readonly folder: string;
}

/** The VICI socket of a node, seen from outside. */
export function viciSocketIn(folder: string): string {
  return `${folder}/charon.vici`;
}

/**
 * Starts a charon and waits until it answers on its VICI socket. charon-systemd runs in the foreground without systemd
 * and keeps no PID file, so that many can run on one machine.
 */
export async function startCharon({ node, network, installation, folder }: CharonOptions): Promise<LabProcess> {
  const seen = installation.seenFrom(folder);
  await writeFile(`${folder}/strongswan.conf`, strongswanConf(seen));
  const daemon = await LabProcess.start({
    name: `charon of ${node}`,
    argv: network.argvOn(node, installation.command(folder, ['/usr/sbin/charon-systemd'])),
    logFile: `${folder}/charon.out`,
    env: { STRONGSWAN_CONF: `${seen}/strongswan.conf` },
  });
  // The data plane is in charon here. In a kernel it would not wait until all other programs have had their turn.
  await daemon.goBeforeOthers();
  await socketAnswers(daemon, viciSocketIn(folder));
  return daemon;
}

/** Waits until a daemon accepts connections on a Unix socket; throws LabError when it ends first. */
export async function socketAnswers(daemon: LabProcess, path: string): Promise<void> {
  await waitFor({
    what: `${daemon.name} to accept connections on ${path}`,
    observe: async () => {
      await daemon.assertRunning();
      return connectOnce(path);
    },
    until: (seen) => seen === 'accepted',
    timeoutMs: 30_000,
    intervalMs: 50,
  });
}

function connectOnce(path: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('error', (error) => resolve(error.message));
    socket.once('connect', () => {
      socket.destroy();
      resolve('accepted');
    });
  });
}

/** What `systemd/strongswan-cygnet.conf` asks for, and what makes many daemons on one machine possible. */
function strongswanConf(folder: string): string {
  return `charon-systemd {
  threads = 32
  interfaces_ignore = lan0
  retransmit_tries = 3
  retransmit_timeout = 2.0
  retransmit_base = 1.5
  load_modular = no
  load = random nonce openssl x509 revocation constraints pubkey pkcs1 pkcs8 pem gmp curve25519 hmac kdf gcm aes sha2 sha1 ${kernelPlugins()} socket-default vici updown
  plugins {
    vici { socket = unix://${viciSocketIn(folder)} }
    # The marks keep IKE and ESP packets of kernel-libipsec out of its tunnel routes; without them a relay tunnel swallows
    # the connectivity checks.
    kernel-netlink { fwmark = !0x42 }
    socket-default { fwmark = 0x42 }
    kernel-libipsec { allow_peer_ts = yes }
  }
  journal { default = -1 }
  filelog {
    log {
      path = ${folder}/charon.log
      append = yes
      time_format = %H:%M:%S
      time_add_ms = yes
      default = 1
      ike = 2
      flush_line = yes
    }
  }
}
`;
}

/** Not every kernel has ESP. The first plugin that can do it is the one that does. */
function kernelPlugins(): string {
  return dataPlane() === 'kernel' ? 'kernel-netlink' : 'kernel-libipsec kernel-netlink';
}
