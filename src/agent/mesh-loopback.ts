import { networkInterfaces } from 'node:os';
import { messageOf } from '../errors.ts';
import { ip } from './ip-command.ts';

/** Marks our addresses on the loopback, so that only those are ever taken away. */
export const MESH_LABEL = 'lo:cygnet';
/** A refusal is not asked about again before. */
const RETRY_AFTER_MS = 30_000;

/**
 * The node's mesh addresses on its loopback interface. They stay when the agent ends: the tunnels that carry them do too.
 * Needs CAP_NET_ADMIN and `ip`.
 */
export class MeshLoopback {
  readonly #monotonicMs: () => number;
  #problem: string | null = null;
  #failedAtMs = Number.NEGATIVE_INFINITY;

  constructor(monotonicMs: () => number) {
    this.#monotonicMs = monotonicMs;
  }

  /** Why the addresses are not there, in words; null when they are. */
  get problem(): string | null {
    return this.#problem;
  }

  /** Makes exactly these our addresses; the new ones come first. Costs nothing while they are there already. */
  async hold(addresses: readonly string[]): Promise<void> {
    const present = (networkInterfaces()[MESH_LABEL] ?? []).map(({ address }) => address);
    const missing = addresses.filter((address) => !present.includes(address));
    const surplus = present.filter((address) => !addresses.includes(address));
    if (missing.length === 0 && surplus.length === 0) {
      this.#problem = null;
      return;
    }
    if (this.#problem !== null && this.#monotonicMs() - this.#failedAtMs < RETRY_AFTER_MS) return;
    try {
      for (const address of missing) await change('replace', address);
      for (const address of surplus) await change('del', address);
      this.#problem = null;
    } catch (error) {
      this.#failedAtMs = this.#monotonicMs();
      this.#problem = `mesh address not set, so paths cannot be probed: ${messageOf(error)}`;
    }
  }
}

function change(action: 'replace' | 'del', address: string): Promise<unknown> {
  const argv = [
    'address',
    action,
    `${address}/32`,
    'dev',
    'lo',
    ...(action === 'replace' ? ['label', MESH_LABEL] : []),
  ];
  return ip(argv);
}
