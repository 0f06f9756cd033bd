import { readFileSync } from 'node:fs';

/** Counters of this network namespace. In `/proc/self`, which a service that sees no other process still has. */
const COUNTER_FILES = ['/proc/self/net/snmp', '/proc/self/net/snmp6'];

/**
 * How many IP fragments the kernel has made so far; always 0 where it does not tell. Node offers no way to forbid
 * fragments, and once the kernel has learnt the MTU of a way it cuts larger datagrams without a word.
 */
export function fragmentsMade(): number {
  return COUNTER_FILES.reduce((sum, file) => sum + fragmentsIn(contentOf(file)), 0);
}

/** Of IPv4 as a table with a line of headings (`Ip: … FragCreates …`), of IPv6 as a line (`Ip6FragCreates 3`). Pure. */
export function fragmentsIn(counters: string): number {
  const lines = counters.split('\n').map((line) => line.trim().split(/\s+/));
  const [headings = [], values = []] = lines.filter(([name]) => name === 'Ip:');
  const ipv4 = values[headings.indexOf('FragCreates')] ?? '0';
  const ipv6 = lines.find(([name]) => name === 'Ip6FragCreates')?.[1] ?? '0';
  return (Number(ipv4) || 0) + (Number(ipv6) || 0);
}

function contentOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
