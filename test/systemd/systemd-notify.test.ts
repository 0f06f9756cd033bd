import { execFile, execFileSync, spawn } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { notifierFromEnvironment } from '../../src/systemd-notify.ts';
import { listenForNotifications } from './notify-listener.ts';

const run = promisify(execFile);
const NOTIFY_EXEC = resolve('systemd/notify-exec');
const folder = mkdtempSync(join(tmpdir(), 'cygnet-notify-'));

/** Runs a program under notify-exec as a unit would; resolves with its standard output. */
async function underNotifyExec(
  address: string | undefined,
  program: readonly string[],
  extraEnv: Readonly<Record<string, string>> = {},
): Promise<string> {
  const env = { PATH: process.env['PATH'], ...extraEnv, ...(address === undefined ? {} : { NOTIFY_SOCKET: address }) };
  return (await run(NOTIFY_EXEC, program, { env })).stdout;
}

/** Node 20 runs no TypeScript, so the module is compiled first, as in a release. */
beforeAll(() => {
  const options = '--ignoreConfig --skipLibCheck --module nodenext --target es2022 --types node --outDir';
  execFileSync('node_modules/.bin/tsc', [...options.split(' '), folder, 'src/systemd-notify.ts']);
});
afterAll(() => rmSync(folder, { recursive: true }));

/** A Node program with a `notifier` of the real module. */
function notifying(body: string): readonly string[] {
  const module = pathToFileURL(join(folder, 'systemd-notify.js')).href;
  const source = `import { notifierFromEnvironment } from ${JSON.stringify(module)};
    const notifier = notifierFromEnvironment(process.env);
    ${body}`;
  return [process.execPath, '--input-type=module', '--eval', source];
}

describe('a service under notify-exec', () => {
  it.each([
    ['a path', join(folder, 'socket')],
    ['an abstract address', `@cygnet-test-${process.pid}`],
  ])('reaches systemd at %s, one datagram per message', async (_kind, address) => {
    await using systemd = await listenForNotifications(address);
    await underNotifyExec(
      systemd.address,
      notifying(`notifier.status('starting'); notifier.ready('3 links'); notifier.alive(); notifier.stopping();`),
    );
    const datagrams = [await systemd.next(), await systemd.next(), await systemd.next(), await systemd.next()];
    expect(datagrams).toEqual(['STATUS=starting', 'READY=1\nSTATUS=3 links', 'WATCHDOG=1', 'STOPPING=1']);
  });

  it('cannot announce more than a status with a status text', async () => {
    await using systemd = await listenForNotifications(join(folder, 'status'));
    await underNotifyExec(systemd.address, notifying(`notifier.status('a\\nMAINPID=1\\r\\nb' + 'x'.repeat(2000));`));
    const datagram = await systemd.next();
    expect(datagram).toMatch(/^STATUS=a MAINPID=1 bx+$/);
    expect(datagram.length).toBeLessThan(600);
  });

  it('goes on when systemd does not listen any more', async () => {
    await using systemd = await listenForNotifications(join(folder, 'gone'));
    const child = spawn(
      NOTIFY_EXEC,
      [
        ...notifying(
          `process.stdin.once('data', () => {
             notifier.ready();
             console.log('still here');
             process.exit(0);
           });
           console.log('up');`,
        ),
      ],
      {
        env: { PATH: process.env['PATH'], NOTIFY_SOCKET: systemd.address },
        stdio: ['pipe', 'pipe', 'inherit'],
      },
    );
    const output = child.stdout.setEncoding('utf8')[Symbol.asyncIterator]();
    expect((await output.next()).value).toBe('up\n');
    await systemd[Symbol.asyncDispose]();
    child.stdin.end('now');
    expect((await output.next()).value).toBe('still here\n');
  });

  it('goes on when the queue of systemd is full', async () => {
    await using systemd = await listenForNotifications(join(folder, 'full'));
    systemd.stopReading();
    const many = `for (let i = 0; i < 2000; i += 1) notifier.status(String(i)); console.log('done');`;
    expect(await underNotifyExec(systemd.address, notifying(many))).toBe('done\n');
  });

  it('keeps its process id, which systemd knows it by', async () => {
    const child = spawn(NOTIFY_EXEC, [process.execPath, '-p', 'process.pid'], { stdio: ['ignore', 'pipe', 'inherit'] });
    const output = child.stdout.setEncoding('utf8')[Symbol.asyncIterator]();
    expect((await output.next()).value).toBe(`${child.pid}\n`);
  });
});

describe('the watchdog interval', () => {
  const intervalWith = async (name: string, extraEnv: Readonly<Record<string, string>>): Promise<string> => {
    await using systemd = await listenForNotifications(join(folder, name));
    const program = notifying('console.log(notifier.watchdogIntervalMs);');
    return (await underNotifyExec(systemd.address, program, extraEnv)).trim();
  };

  it.each([
    ['half the time that systemd waits', '30000000', '15000'],
    ['at least a millisecond', '1', '1'],
    ['never more than a timer can wait', '9999999999999999', '2147483647'],
    ['absent for what is no time', '30s', 'undefined'],
    ['absent for no time at all', '0', 'undefined'],
  ])('is %s', async (_what, periodUs, interval) => {
    expect(await intervalWith(`watchdog-${periodUs}`, { WATCHDOG_USEC: periodUs })).toBe(interval);
  });

  it('is absent when systemd watches another process', async () => {
    expect(await intervalWith('watchdog-pid', { WATCHDOG_USEC: '30000000', WATCHDOG_PID: '1' })).toBe('undefined');
  });
});

describe('notify-exec without systemd', () => {
  it('passes arguments unchanged and hands over no descriptor', async () => {
    const program = [process.execPath, '-p', 'JSON.stringify([process.argv.slice(1), process.env.CYGNET_NOTIFY_FD])'];
    const output = await underNotifyExec(undefined, [...program, 'a b', '$HOME', '']);
    expect(JSON.parse(output)).toEqual([['a b', '$HOME', ''], null]);
  });

  it('starts the program although nobody listens', async () => {
    expect(await underNotifyExec(join(folder, 'nobody'), [process.execPath, '-p', '1 + 1'])).toBe('2\n');
  });

  it('says which program it cannot execute', async () => {
    await expect(underNotifyExec(undefined, ['/nowhere/node'])).rejects.toThrow('cannot execute /nowhere/node');
  });
});

describe('notifierFromEnvironment', () => {
  it('does nothing without a descriptor', () => {
    const notifier = notifierFromEnvironment({ WATCHDOG_USEC: '30000000' });
    expect(() => {
      notifier.ready();
      notifier.status('text');
      notifier.alive();
      notifier.stopping();
    }).not.toThrow();
    expect(notifier.watchdogIntervalMs).toBeUndefined();
  });

  it.each(['2', '0', '-1', '3.5', '3x', ' 3', '99999', '4294967296000'])('refuses the descriptor "%s"', (fd) => {
    expect(() => notifierFromEnvironment({ CYGNET_NOTIFY_FD: fd })).toThrow(/CYGNET_NOTIFY_FD must be .*"/);
  });

  it('refuses the descriptor of a file, which it would write into', () => {
    const fd = openSync(join(folder, 'file'), 'w');
    try {
      expect(() => notifierFromEnvironment({ CYGNET_NOTIFY_FD: String(fd) })).toThrow(RangeError);
    } finally {
      closeSync(fd);
    }
  });
});
