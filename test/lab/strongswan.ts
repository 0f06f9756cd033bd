import { access, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { run } from './run.ts';

/** 5.9 is the machine's own (Debian 12), 6.0 that of Debian 13 in a folder, run under chroot. */
export const STRONGSWAN_VERSIONS = ['5.9', '6.0'] as const;
export type StrongswanVersion = (typeof STRONGSWAN_VERSIONS)[number];

/** How to run one version's programs. */
export interface StrongswanInstallation {
  /** The argv that runs a program with a node's state folder in its reach. It belongs after `ip netns exec`. */
  command(stateFolder: string, argv: readonly string[]): readonly string[];
  /** The state folder as those programs see it. */
  seenFrom(stateFolder: string): string;
}

/** Finds the installation; that of 6.0 is made now when the machine does not have it yet. */
export async function findStrongswan(version: StrongswanVersion): Promise<StrongswanInstallation> {
  if (version === '5.9') return onThisMachine(await leaveAppArmor());
  const { stdout } = await run([`${repositoryRoot()}/scripts/strongswan-6.0`], { timeoutMs: 900_000 });
  return underChroot(stdout.trim());
}

/** The repository's folder, from the sources and from the builds alike. */
export function repositoryRoot(): string {
  const here = fileURLToPath(new URL('.', import.meta.url));
  return here.replace(/\/(?:(?:dist-(?:bench|proof)\/)?test\/lab|dist-lab)\/$/, '');
}

function onThisMachine(prefix: readonly string[]): StrongswanInstallation {
  return { command: (_stateFolder, argv) => [...prefix, ...argv], seenFrom: (stateFolder) => stateFolder };
}

/** Debian's profiles let charon write below /run and /var only. Where there is no AppArmor, there is nothing to leave. */
async function leaveAppArmor(): Promise<readonly string[]> {
  const enabled = await readFile('/sys/module/apparmor/parameters/enabled', 'utf8').catch(() => 'N');
  const leavable = await access('/usr/bin/aa-exec').then(
    () => true,
    () => false,
  );
  return enabled.startsWith('Y') && leavable ? ['aa-exec', '-p', 'unconfined', '--'] : [];
}

/**
 * `ip netns exec` gives each program a mount namespace of its own. What is mounted here lives in it, is seen by nobody
 * else, and is gone with the program: any number of labs share the one folder.
 */
const ENTER_ROOT = `set -e
root=$1 state=$2; shift 2
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount --bind "$state" "$root/srv"
exec chroot "$root" "$@"`;

function underChroot(root: string): StrongswanInstallation {
  return {
    command: (stateFolder, argv) => ['sh', '-c', ENTER_ROOT, 'sh', root, stateFolder, ...argv],
    seenFrom: () => '/srv',
  };
}
