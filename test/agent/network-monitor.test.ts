import { appendFileSync, chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { isOwnTouched, isWorthALook, NetworkMonitor } from '../../src/agent/network-monitor.ts';
import { createLogger } from '../../src/log.ts';
import { ManualClock } from '../reconcile/memory-charon.ts';
import { temporaryFolder } from './temporary-folder.ts';

const ROUTE = 'default via 10.0.0.1 dev eth-none proto dhcp metric 100';

let folder: string;

/** An `ip` whose routes are files, and whose messages are what the test appends to one. */
beforeEach(() => {
  folder = temporaryFolder();
  const path = process.env['PATH'];
  onTestFinished(() => void (process.env['PATH'] = path));
  process.env['PATH'] = `${folder}:${path}`;
  write('messages', '');
  write('route-4', `${ROUTE}\n`);
  write('route-6', '');
  write(
    'ip',
    `#!/bin/sh
case "$1 $2" in
  monitor*) echo $$ >> ${folder}/monitors; exec tail -n +1 -s 0.05 -f ${folder}/messages ;;
  "-o -6") echo >> ${folder}/looks; cat ${folder}/route-6 ;;
  "-o -4") cat ${folder}/route-4; [ ! -e ${folder}/slow ] || exec ${folder}/slow ;;
esac
`,
  );
  chmodSync(join(folder, 'ip'), 0o755);
});

function write(name: string, text: string): void {
  writeFileSync(join(folder, name), text);
}

/** The lines of a file that the `ip` writes. */
function linesOf(name: 'monitors' | 'looks'): string[] {
  const file = join(folder, name);
  return existsSync(file) ? readFileSync(file, 'utf8').split('\n').slice(0, -1) : [];
}

function message(line = '2: eth-none    inet 10.0.0.2/24 scope global eth-none'): void {
  appendFileSync(join(folder, 'messages'), `${line}\n`);
}

class Watching {
  changes = 0;
  touches = 0;
  readonly clock = new ManualClock();
  /** Which attempts in a row have failed, as they are logged. */
  readonly failed: number[] = [];
  readonly stop = new AbortController();
  readonly ended: Promise<void>;

  constructor() {
    const logger = createLogger('test', 'warn', { write: (line) => void this.failed.push(attemptIn(line)) });
    const monitor = new NetworkMonitor({
      clock: this.clock,
      random: () => 0,
      logger,
      onChange: () => (this.changes += 1),
      onOwnTouched: () => (this.touches += 1),
    });
    this.ended = monitor.run(this.stop.signal);
    onTestFinished(() => {
      this.stop.abort();
      return this.ended;
    });
  }

  /** It has looked once, and follows the messages. */
  async follows(monitors = 1): Promise<void> {
    await until(() => linesOf('monitors').length === monitors && linesOf('looks').length > 0);
  }

  /** A message comes, and is looked into. */
  async looksAgain(): Promise<void> {
    const before = linesOf('looks').length;
    message();
    await until(() => linesOf('looks').length > before);
  }
}

function attemptIn(logged: string): number {
  return (JSON.parse(logged) as { readonly attempt: number }).attempt;
}

function until(condition: () => boolean): Promise<unknown> {
  return vi.waitUntil(condition, { timeout: 15_000, interval: 5 });
}

describe('a message of the kernel is worth a look', () => {
  it.each([
    '2: d0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UNKNOWN group default ',
    'Deleted 2: d0    inet 10.9.9.1/24 scope global d0',
    'default via 10.9.9.2 dev d0 ',
    'Deleted default via fe80::1 dev d0 metric 1024 pref medium',
    'unreachable default ',
  ])('%s', (line) => expect(isWorthALook(line)).toBe(true));

  it.each([
    '7.7.7.0/24 dev ipsec0 table 220 proto static src 10.9.9.1 ',
    'Deleted 10.9.9.0/24 dev d0 proto kernel scope link src 10.9.9.1 ',
    'local 10.9.9.1 dev d0 table local proto kernel scope host src 10.9.9.1 ',
    '    link/ether 72:bf:6d:d5:c0:a0 brd ff:ff:ff:ff:ff:ff',
  ])('not: %s', (line) => expect(isWorthALook(line)).toBe(false));
});

describe('a message of the kernel tells that somebody has touched what this node has made', () => {
  it.each([
    'Deleted 214:\tnot from all fwmark 0x20000000/0x20000000 lookup 7447 proto 74',
    'Deleted 7.7.8.0/24 dev cygnet-direct table 7447 proto 74 scope link ',
    '97: cygnet-direct@NONE: <NOARP> mtu 1480 qdisc noqueue state DOWN group default ',
    'Deleted 98: cygnet-relay@NONE: <NOARP> mtu 1480 qdisc noop state DOWN group default ',
  ])('%s', (line) => expect(isOwnTouched(line)).toBe(true));

  it.each([
    '7.7.8.0/24 dev cygnet-direct table 7447 proto 74 scope link ',
    '214:\tfrom all lookup 7447 proto 74',
    'Deleted 220:\tfrom all lookup 220',
    'Deleted 7.7.8.0/24 dev eth0 proto 740 ',
    '3: cygnet-other: <NOARP> mtu 1480 qdisc noqueue state DOWN group default ',
  ])('not: %s', (line) => expect(isOwnTouched(line)).toBe(false));

  it('as soon as it comes', async () => {
    const watching = new Watching();
    await watching.follows();
    message('Deleted 214:\tfrom all lookup 7447 proto 74');
    await until(() => watching.touches === 1);
  });
});

describe('the network of a machine', () => {
  it.each([
    ['IPv4', 'route-4', ROUTE.replace('10.0.0.1', '10.0.1.1')],
    ['IPv6', 'route-6', 'default via fe80::1 dev eth-none'],
    ['no IPv4', 'route-4', ''],
  ])('has changed with another default route, %s', async (_what, file, route) => {
    const watching = new Watching();
    await watching.follows();
    write(file, `${route}\n`);
    await watching.looksAgain();
    await until(() => watching.changes === 1);
  });

  it('has not changed with what changes by itself, however many messages there are', async () => {
    write('route-6', 'default via fe80::1 dev eth-none expires 1700sec\n');
    const watching = new Watching();
    await watching.follows();
    write('route-6', 'default via fe80::1 dev eth-none expires 1500sec\n');
    for (let count = 0; count < 20; count += 1) message();
    await watching.looksAgain();
    write('route-4', '');
    await watching.looksAgain();
    await until(() => watching.changes > 0);
    await watching.looksAgain();
    // Twenty messages, and not twenty looks; and only that of the route saw a change.
    expect(linesOf('looks').length).toBeLessThan(10);
    expect(watching.changes).toBe(1);
  });

  it('is looked at once at a time, so that no older answer comes last', async () => {
    const watching = new Watching();
    await watching.follows();
    // A look that lasts until another one has been made beside it, or for a second.
    write(
      'slow',
      `#!/bin/sh
rm ${folder}/slow
sleep 0.1
before=$(wc -l < ${folder}/looks)
for round in $(seq 45); do
  [ "$(wc -l < ${folder}/looks)" -eq "$before" ] || { sleep 0.2; break; }
  sleep 0.02
done
`,
    );
    chmodSync(join(folder, 'slow'), 0o755);
    write('route-4', 'default via 10.0.0.2 dev eth-none\n');
    message();
    await until(() => !existsSync(join(folder, 'slow')));
    write('route-4', 'default via 10.0.0.3 dev eth-none\n');
    await watching.looksAgain();
    await until(() => watching.changes === 2);
    await watching.looksAgain();
    await watching.looksAgain();
    expect(watching.changes).toBe(2);
  });

  it('is looked at again when its messages have ended, for what came meanwhile', async () => {
    const watching = new Watching();
    await watching.follows();
    write('route-4', '');
    process.kill(Number(linesOf('monitors')[0]));
    await until(() => watching.changes === 1);
    await watching.follows(2);
  });

  it('is followed again after failures, which do not count any more once it was followed for a minute', async () => {
    const watching = new Watching();
    const endsAfter = async (ms: number): Promise<void> => {
      const ended = watching.failed.length;
      await watching.follows(ended + 1);
      watching.clock.advance(ms);
      process.kill(Number(linesOf('monitors').at(-1)));
      await until(() => watching.failed.length > ended);
    };
    for (const ms of [0, 59_999, 60_000, 0]) await endsAfter(ms);
    expect(watching.failed).toEqual([1, 2, 1, 2]);
  });

  it('is not told of without `ip`, and that harms nothing', async () => {
    process.env['PATH'] = '/nowhere';
    const watching = new Watching();
    watching.stop.abort();
    await watching.ended;
    expect(watching.changes).toBe(0);
  });

  it('is followed until the agent stops', async () => {
    const watching = new Watching();
    await watching.follows();
    watching.stop.abort();
    await watching.ended;
    const [pid] = linesOf('monitors');
    await until(() => !existsSync(`/proc/${pid}`));
  });
});
