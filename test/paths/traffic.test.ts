import { describe, expect, it } from 'vitest';
import { NEW_DIRECT_PATH, type DirectPath } from '../../src/paths/direct-path.ts';
import type { PathHealth } from '../../src/paths/path-probe.ts';
import { takesDirect } from '../../src/paths/traffic.ts';

const up = (proven: boolean): DirectPath => ({ phase: 'up', failures: 0, lost: false, proven });
const ending: DirectPath = { phase: 'ending', failures: 0, lost: true, ikeSaIds: [1], abandonAtMs: 0 };

describe('the traffic of a link', () => {
  it.each<[string, DirectPath, boolean, PathHealth | undefined, boolean]>([
    ['stays on the relay without a direct tunnel', NEW_DIRECT_PATH, false, 'alive', false],
    ['stays on the relay until packets have come through the direct tunnel', up(false), false, 'alive', false],
    ['takes the direct tunnel once packets have', up(true), false, 'alive', true],
    ['waits for that also while the relay has not been heard yet', up(false), false, 'unknown', false],
    ['takes a direct tunnel that nothing has come through when there is no relay', up(false), false, undefined, true],
    ['takes it when the relay is dead', up(false), false, 'dead', true],
    ['stays in a direct tunnel that an agent before this one has taken', up(false), true, 'unknown', true],
    ['leaves a tunnel that is given up, whatever the relay does', ending, true, 'dead', false],
  ])('%s', (_what, path, isDirect, relay, expected) => expect(takesDirect({ path, isDirect, relay })).toBe(expected));
});
