import type { LinkPath } from './node-status.ts';
import type { PingCount } from './ping.ts';
import type { NodeName } from './topology.ts';

export interface DemoLink {
  readonly a: NodeName;
  readonly b: NodeName;
  readonly path: LinkPath;
  /** From LAN to LAN. */
  readonly ping: PingCount;
}

/** The object of `--json`. A part that the demo did not get to is empty or null. */
export interface DemoReport {
  readonly ok: boolean;
  /** The version that charon itself told. */
  readonly strongswan: string | null;
  readonly links: readonly DemoLink[];
  readonly seconds: {
    readonly install: number;
    /** From the spec's apply until the two sites first reached each other, by whichever path. */
    readonly relay: number | null;
    /** From the spec's apply until both sites called their path direct. */
    readonly direct: number | null;
  };
  readonly error?: string;
}

/** What is wrong with the first link that is not as it should be: up, without a lost packet, direct between two sites. */
export function problemOf(links: readonly DemoLink[]): string | undefined {
  const broken = links.find((link) => !isGood(link));
  if (broken === undefined) return undefined;
  const { a, b, path, ping } = broken;
  return `link ${a}-${b}: path ${path}, ${ping.received} of ${ping.sent} packets came back`;
}

function isGood({ a, b, path, ping }: DemoLink): boolean {
  const pathIsGood = a === 'master1' || b === 'master1' ? path !== 'none' : path === 'direct';
  return pathIsGood && ping.sent > 0 && ping.received === ping.sent;
}
