import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseDemoOptions, type DemoOptions } from './demo-options.ts';
import type { DemoReport } from './demo-report.ts';
import { DemoRun } from './demo-run.ts';
import { DemoScreen } from './demo-screen.ts';
import { Lab } from './lab.ts';
import { Mesh } from './mesh.ts';
import { lastLines } from './run.ts';

/** The program behind `scripts/demo`, which has the help. */

const FOREVER_MS = 2 ** 31 - 1;

const stop = new AbortController();
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(name, () => stop.abort(new Error(`interrupted by ${name}`)));
}
// Who reads may leave (`scripts/demo | head`): that ends the demo like Ctrl-C, so that the lab is removed all the same.
process.stdout.on('error', (error) => stop.abort(error));

process.exitCode = await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<number> {
  let options: DemoOptions;
  try {
    options = parseDemoOptions(args);
  } catch (error) {
    process.stderr.write(`demo: ${messageOf(error)}\n`);
    return 2;
  }
  return options.remove === undefined ? demonstrate(options) : remove(options.remove);
}

async function remove(id: string): Promise<number> {
  const removed = await Lab.remove(id);
  process.stderr.write(removed ? `demo: removed lab ${id}\n` : `demo: there is no lab ${id} without an owner\n`);
  return removed ? 0 : 1;
}

async function demonstrate(options: DemoOptions): Promise<number> {
  const screen = new DemoScreen(options.json ? process.stderr : process.stdout);
  const publish = (report: DemoReport): number => {
    screen.line(report.ok ? 'The mesh is up, and direct.' : `FAILED: ${report.error}`);
    if (options.json) process.stdout.write(`${JSON.stringify(report)}\n`);
    return report.ok ? 0 : 1;
  };
  return showMesh(options, screen, publish).catch((error: unknown) => publish(failure(options, error)));
}

/** Makes the lab, shows the mesh, publishes the report, and removes the lab before it returns, unless it is to be left. */
async function showMesh<T>(options: DemoOptions, screen: DemoScreen, publish: (report: DemoReport) => T): Promise<T> {
  const { strongswan } = options;
  const notes: string[] = [];
  await using lab = await screen.step('a lab: three nodes, two of them behind NATs', () =>
    Lab.create({ strongswan, log: (note) => notes.push(note) }),
  );
  for (const note of notes) screen.line(`    ${note}`);
  const mesh = new Mesh(lab);
  const run = new DemoRun(lab, mesh, screen, stop.signal);
  const reportNow = (): Omit<DemoReport, 'ok'> => {
    const { relay, direct, ...findings } = run.findings;
    return { ...findings, seconds: { install: options.installSeconds, relay, direct } };
  };
  try {
    await run.run();
    await showResult(lab, mesh, screen, run);
  } catch (error) {
    if (!stop.signal.aborted) await showFailure(lab, screen, options);
    return publish({ ok: false, ...reportNow(), error: messageOf(error) });
  }
  const published = publish({ ok: true, ...reportNow() });
  if (!options.once) await stayUp(lab, mesh, screen);
  return published;
}

function failure(options: DemoOptions, error: unknown): DemoReport {
  const seconds = { install: options.installSeconds, relay: null, direct: null };
  return { ok: false, strongswan: null, links: [], seconds, error: messageOf(error) };
}

async function showResult(lab: Lab, mesh: Mesh, screen: DemoScreen, { findings }: DemoRun): Promise<void> {
  for (const node of lab.nodes) {
    screen.line(`\nagentctl status on ${node}:`);
    screen.line((await mesh.agentctl(node, ['status'])).trimEnd());
  }
  screen.line(`\nLinks, with strongSwan ${findings.strongswan}:`);
  const rows = findings.links.map(({ a, b, path, ping }) => [a, b, path, `${ping.received} of ${ping.sent}`]);
  screen.table(['FROM', 'TO', 'PATH', 'PINGS'], rows);
  screen.line(`First packet through after ${findings.relay} s, direct after ${findings.direct} s.`);
}

async function stayUp(lab: Lab, mesh: Mesh, screen: DemoScreen): Promise<void> {
  screen.line('\nThe lab stays up until Ctrl-C, which removes all of it. To try, in another terminal:');
  screen.line(`  ${mesh.agentctlArgv('edge1', ['status']).join(' ')}`);
  screen.line(`  ${mesh.meshctlArgv(['links']).join(' ')}`);
  screen.line(`  ${lab.network.argvOn('edge1', ['ping', '-I', '7.7.7.1', '7.7.8.1']).join(' ')}`);
  screen.line(`  logs of all daemons: ${lab.folder}\n`);
  await sleep(FOREVER_MS, undefined, { signal: stop.signal }).catch(() => undefined);
  screen.line('Removing the lab.');
}

/** The ends of the logs, since the lab's folder will be gone unless it is to be left. */
async function showFailure(lab: Lab, screen: DemoScreen, { keepFailed }: DemoOptions): Promise<void> {
  const logs = ['coordinator.log', ...lab.nodes.flatMap((node) => [`agent-${node}.log`, `${node}/charon.log`])];
  for (const log of logs) {
    const text = await readFile(`${lab.folder}/${log}`, 'utf8').catch(() => '');
    if (text !== '') screen.line(`\n--- the end of ${log}:\n${lastLines(text)}`);
  }
  screen.line();
  if (keepFailed) await leave(lab, screen);
}

async function leave(lab: Lab, screen: DemoScreen): Promise<void> {
  await lab.keep();
  screen.line(`The lab was left as it is. Its files and logs: ${lab.folder}`);
  screen.line(`  a shell on a node:  ${lab.network.argvOn('edge1', ['bash']).join(' ')}`);
  screen.line(`  remove it:          scripts/demo --remove ${lab.id}\n`);
}

function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
