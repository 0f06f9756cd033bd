import { readFileSync } from 'node:fs';
import { repositoryRoot } from '../lab/strongswan.ts';
import { procFile } from './proc-file.ts';

/**
 * What makes a program start with the limit on core files that its unit sets, as systemd would. In front of its command
 * line; whatever else this machine allows plays no part.
 */
export function underItsUnit(program: string): readonly string[] {
  const unit = readFileSync(`${repositoryRoot()}/systemd/${program}.service`, 'utf8');
  const limit = /^LimitCORE=(\S+)$/m.exec(unit)?.[1] ?? 'infinity';
  return ['prlimit', `--core=${limit.replaceAll('infinity', 'unlimited')}`];
}

/** The processes with these ids, and all that they have started and that is still there. */
export function withDescendants(pids: readonly number[]): readonly number[] {
  return pids.flatMap((pid) => {
    const children = procFile(pid, `task/${pid}/children`).split(' ').filter(Boolean).map(Number);
    return [pid, ...withDescendants(children)];
  });
}

/** Of these processes those whose memory the kernel may write to a core file, each with its name and its limits. */
export function dumpable(pids: readonly number[]): readonly string[] {
  return pids.flatMap((pid) => {
    const [, soft, hard] = /^Max core file size +(\S+) +(\S+)/m.exec(procFile(pid, 'limits')) ?? [];
    // It has ended, or it leaves none.
    if (soft === undefined || (soft === '0' && hard === '0')) return [];
    return [`${procFile(pid, 'comm').trim()}: ${soft}, ${hard}`];
  });
}
