import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { VICI_EVENTS, type ViciEventName } from '../../src/vici/protocol/events.ts';
import { ViciSession } from '../../src/vici/session.ts';
import { viciRejectionOf } from '../vici/vici-error-of.ts';
import { canRunCharon, CharonDaemon } from './charon-daemon.ts';

/** What the fake does not know of: versions, and the checking of configurations. */
describe.skipIf(!canRunCharon)('a session with a real charon', () => {
  let charon: CharonDaemon;
  let session: ViciSession;
  beforeAll(async () => {
    charon = await CharonDaemon.start();
    session = await ViciSession.connect({ socketPath: charon.socketPath });
  });
  afterAll(async () => {
    await session[Symbol.asyncDispose]();
    await charon[Symbol.asyncDispose]();
  });

  it('registers for every event that this version has', async () => {
    const { version } = await session.call('version');
    const [major = 0, minor = 0, patch = 0] = version.split('.').map((part) => Number.parseInt(part, 10));
    const hasAlert = major * 10_000 + minor * 100 + patch >= 60_003;
    await using subscription = await session.subscribe([], { optional: VICI_EVENTS });
    const lacking = VICI_EVENTS.filter((event: ViciEventName) => !subscription.events.has(event));
    expect(lacking).toEqual(hasAlert ? [] : ['alert']);
  });

  it('says that a refused option is unknown, in the words of charon', async () => {
    const misspelt = new Map([['typo', new Map([['remote_adrs', '127.0.0.2']])]]);
    expect(await viciRejectionOf(session.call('load-conn', misspelt))).toMatchObject({
      code: 'command-failed',
      detail: 'unknown option: remote_adrs, config discarded',
    });
  });
});
