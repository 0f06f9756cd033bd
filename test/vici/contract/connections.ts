/** A configuration that every charon takes. */
export const CONFIG = {
  version: 2,
  local_addrs: ['127.0.0.1'],
  remote_addrs: ['127.0.0.2'],
  local: { auth: 'pubkey', id: 'left' },
  remote: { auth: 'pubkey', id: 'right' },
  children: { net: { local_ts: ['10.1.0.0/24'], remote_ts: ['10.2.0.0/24'] } },
} as const;

/** `prefix-000`, `prefix-001` and so on: names whose order is that of their numbers. */
export function numberedNames(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_unused, number) => `${prefix}-${String(number).padStart(4, '0')}`);
}
