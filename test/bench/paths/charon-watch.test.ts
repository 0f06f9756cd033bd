import { expect, it, onTestFinished } from 'vitest';
import { LabProcess } from '../../lab/lab-process.ts';
import type { NodeName } from '../../lab/topology.ts';
import { CharonWatch, type WatchedLab } from './charon-watch.ts';

/** A node whose charon is a process that does nothing. */
class OneNode implements WatchedLab {
  readonly nodes = ['edge1'] as const;
  isAnswering = true;
  #charon: LabProcess | undefined;

  charonOf(): LabProcess {
    if (this.#charon === undefined) throw new Error('never started');
    return this.#charon;
  }

  async killCharon(): Promise<void> {
    await this.charonOf().stop('SIGKILL');
  }

  async startCharon(): Promise<void> {
    this.#charon = await LabProcess.start({ name: 'charon', argv: ['sleep', '600'], logFile: '/dev/null' });
  }

  swanctl(): Promise<string> {
    return this.isAnswering ? Promise.resolve('') : Promise.reject(new Error('no answer'));
  }
}

async function watched(): Promise<{ readonly lab: OneNode; readonly watch: CharonWatch }> {
  const lab = new OneNode();
  await lab.startCharon();
  onTestFinished(() => lab.killCharon());
  return { lab, watch: await CharonWatch.begin(lab) };
}

const none: readonly NodeName[] = [];

it('a charon that is killed and started here has not failed', async () => {
  const { watch } = await watched();
  expect(await watch.failed()).toEqual(none);
  await watch.kill('edge1');
  await watch.start('edge1');
  expect(await watch.failed()).toEqual(none);
});

it('one that has ended by itself has, also when another one is there now', async () => {
  const { lab, watch } = await watched();
  await lab.killCharon();
  expect(await watch.failed()).toEqual(['edge1']);
  await lab.startCharon();
  expect(await watch.failed()).toEqual(['edge1']);
});

it('so has one that was gone before it was to be killed', async () => {
  const { lab, watch } = await watched();
  await lab.killCharon();
  await watch.kill('edge1');
  await watch.start('edge1');
  expect(await watch.failed()).toEqual(['edge1']);
});

it('and one that does not answer', async () => {
  const { lab, watch } = await watched();
  lab.isAnswering = false;
  expect(await watch.failed()).toEqual(['edge1']);
});
