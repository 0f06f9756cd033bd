import type { ViciConnConfig } from '../../src/vici/index.ts';

/** How many connections the benchmark loads and lists. */
export const CONNS = 10_000;

const names = Array.from({ length: CONNS }, (_unused, index) => `site-${String(index).padStart(5, '0')}`);

/** Names and configurations. */
export const manyConns: readonly (readonly [string, ViciConnConfig])[] = names.map((name, index) => [
  name,
  {
    version: 2,
    remote_addrs: ['192.0.2.1'],
    local: { auth: 'psk', id: 'hub.example' },
    remote: { auth: 'psk', id: `${name}.example` },
    children: { lan: { local_ts: ['10.0.0.0/16'], remote_ts: [`10.${100 + (index >> 8)}.${index & 255}.0/24`] } },
  },
]);

/** The same as a swanctl.conf. */
export function swanctlConf(): string {
  return `connections {\n${manyConns.map(([name, conn]) => `${name} {\n${options(conn)}}\n`).join('')}}\n`;
}

function options(section: object): string {
  const lines = Object.entries(section).map(([key, value]: [string, unknown]) => {
    if (Array.isArray(value)) return `${key} = ${value.join(',')}\n`;
    return typeof value === 'object' && value !== null
      ? `${key} {\n${options(value)}}\n`
      : `${key} = ${String(value)}\n`;
  });
  return lines.join('');
}
