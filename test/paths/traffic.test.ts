import { describe, expect, it } from 'vitest';
import { NEW_DIRECT_PATH, type DirectPath } from '../../src/paths/direct-path.ts';
import type { PathHealth } from '../../src/paths/path-probe.ts';
import { takesDirect } from '../../src/paths/traffic.ts';

const up = (proven: boolean): DirectPath => ({ phase: 'up', failures: 0, lost: false, proven });
const ending: DirectPath = { phase: 'ending', failures: 0, lost: true, ikeSaIds: [1], abandonAtMs: 0 };

describe('the traffic of a link', () => {
  it.each<[string, DirectPath, PathHealth | undefined, boolean]>([
    ['stays on the relay without a direct tunnel', NEW_DIRECT_PATH, 'alive', false],
    ['stays on the relay until packets have come through the direct tunnel', up(false), 'alive', false],
    ['takes the direct tunnel once packets have', up(true), 'alive', true],
    ['waits for that also while the relay has not been heard yet', up(false), 'unknown', false],
    ['takes a direct tunnel that nothing has come through when there is no relay', up(false), undefined, true],
    ['takes it when the relay is dead', up(false), 'dead', true],
    ['leaves a tunnel that is given up, whatever the relay does', ending, 'dead', false],
  ])('%s', (_what, path, relay, expected) => expect(takesDirect({ path, relay })).toBe(expected));
});
