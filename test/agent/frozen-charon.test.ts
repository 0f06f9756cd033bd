import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { RESTART_PAUSE_MS, type CharonRestart } from '../../src/agent/charon-freeze.ts';
import { FrozenCharon, type FrozenCharonDeps } from '../../src/agent/frozen-charon.ts';
import type { NodeEvent } from '../../src/control/report.ts';
import { createLogger } from '../../src/log.ts';
import { temporaryFolder } from './temporary-folder.ts';

const SERVICE = 'strongswan.service';
const STEP_MS = 11_000;

/** A charon whose socket is a file, and systemd as a list of what it was asked. */
class Scene {
  readonly viciSocket = join(temporaryFolder(), 'charon.vici');
  readonly restarts: string[] = [];
  readonly events: NodeEvent[] = [];
  readonly written: CharonRestart[] = [];
  readonly order: string[] = [];
  refuses: Error | undefined;
  diskProblem: Error | undefined;
  nowMs = 10_000_000;

  constructor() {
    this.newCharon();
  }

  watch(change: Partial<FrozenCharonDeps> = {}): FrozenCharon {
    return new FrozenCharon({
      viciSocket: this.viciSocket,
      service: SERVICE,
      restart: (service) => {
        this.restarts.push(service);
        this.order.push('asked');
        return this.refuses === undefined ? Promise.resolve() : Promise.reject(this.refuses);
      },
      restartFile: {
        write: (restart) => {
          if (this.diskProblem !== undefined) throw this.diskProblem;
          this.written.push(restart);
          this.order.push('written');
        },
      },
      lastRestart: undefined,
      bootMs: () => this.nowMs,
      nowMs: () => 0,
      logger: createLogger('test', 'silent'),
      onEvent: (event) => this.events.push(event),
      ...change,
    });
  }

  /** Another process has made its socket. */
  newCharon(): void {
    rmSync(this.viciSocket, { force: true });
    writeFileSync(this.viciSocket, '');
  }

  /** Deadlines pass for more than a minute; what people are told at the last one. */
  async freeze(frozen: FrozenCharon, deadlines = 7): Promise<string> {
    let told = '';
    for (let deadline = 0; deadline < deadlines; deadline += 1) {
      this.nowMs += STEP_MS;
      told = frozen.unanswered();
      await new Promise(setImmediate);
    }
    return told;
  }
}

describe('a frozen charon', () => {
  it('is told of, with what to do, and left alone when that is how it should be', async () => {
    const scene = new Scene();
    const told = await scene.freeze(scene.watch({ service: undefined }), 20);
    expect(told).toMatch(/^charon is frozen.*systemctl restart strongswan.*restartFrozenCharon/);
    expect([scene.restarts, scene.written, scene.events]).toEqual([[], [], []]);
  });

  it('is restarted once, where that is allowed', async () => {
    const scene = new Scene();
    const told = await scene.freeze(scene.watch(), 20);
    expect(scene.restarts).toEqual([SERVICE]);
    expect(scene.order).toEqual(['written', 'asked']);
    expect(told).toBe(
      'charon was frozen: systemd was asked to restart strongswan.service, and kills it if it does not stop',
    );
    expect(scene.events.map(({ message }) => message)).toEqual([
      'charon was frozen, systemd was asked to restart strongswan.service',
    ]);
  });

  it('is only said to be silent before', async () => {
    const scene = new Scene();
    expect(await scene.freeze(scene.watch(), 6)).toMatch(/^charon does not answer: it may be frozen/);
    expect(scene.restarts).toEqual([]);
  });

  it.each<[string, (scene: Scene, frozen: FrozenCharon) => void]>([
    ['has answered', (_scene, frozen) => frozen.answered()],
    ['has hung up', (_scene, frozen) => frozen.gone()],
    ['is another process', (scene) => scene.newCharon()],
    ['has no socket any more', (scene) => rmSync(scene.viciSocket)],
  ])('is none when it %s', async (_what, happens) => {
    const scene = new Scene();
    const frozen = scene.watch();
    await scene.freeze(frozen, 6);
    happens(scene, frozen);
    expect(await scene.freeze(frozen, 1)).toMatch(/^charon does not answer/);
    expect(scene.restarts).toEqual([]);
  });

  it('is not restarted again within the pause, also not by the next agent', async () => {
    const scene = new Scene();
    const frozen = scene.watch();
    await scene.freeze(frozen);
    scene.newCharon();
    expect(await scene.freeze(frozen)).toMatch(/^charon is frozen again.*systemctl restart strongswan\.service$/);
    expect(await scene.freeze(scene.watch({ lastRestart: scene.written[0] }))).toMatch(/^charon is frozen again/);
    expect(scene.restarts).toEqual([SERVICE]);
    scene.nowMs += RESTART_PAUSE_MS;
    await scene.freeze(frozen);
    expect(scene.restarts).toEqual([SERVICE, SERVICE]);
  });

  it('that systemd does not restart is told of, with the reason and what to do', async () => {
    const scene = new Scene();
    scene.refuses = new Error('Access denied');
    const words = 'charon is frozen, and strongswan.service could not be restarted: Access denied';
    expect(await scene.freeze(scene.watch(), 8)).toBe(`${words}. What helps is systemctl restart strongswan.service`);
    expect(scene.events.map(({ message }) => message)).toEqual([words]);
    expect(scene.restarts).toHaveLength(1);
  });

  it('is not restarted when that cannot be written down', async () => {
    const scene = new Scene();
    scene.diskProblem = new Error('ENOSPC');
    expect(await scene.freeze(scene.watch(), 20)).toMatch(/could not be restarted: ENOSPC/);
    expect(scene.restarts).toEqual([]);
  });
});
