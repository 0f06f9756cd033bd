import { endLifeOn, isRestart, type NextLife, type ViciLife } from './life.ts';
import type { ViciEvent, ViciEventName } from './protocol/events.ts';
import type { ViciSubscribeOptions } from './session.ts';

/** Says that events were missed: at the beginning, and whenever charon was away. */
export interface ViciResync {
  /** Tells it from the events. */
  readonly name: 'resync';
  /** What is new. */
  readonly body: {
    /** Another charon process than before: unique ids begin anew, and nothing is loaded. False at the beginning. */
    readonly restarted: boolean;
    /** What is subscribed: without the optional events that this charon lacks. */
    readonly events: ReadonlySet<ViciEventName>;
  };
}

/** What {@link ViciClient.events} yields. */
export type ViciClientEvent = ViciEvent | ViciResync;

/** One subscription after the other, each on the session of its time. */
export async function* clientEvents(
  nextLife: NextLife,
  names: readonly ViciEventName[],
  options: ViciSubscribeOptions,
): AsyncGenerator<ViciClientEvent, void> {
  let before: ViciLife | undefined;
  for (;;) {
    const life = await nextLife(options.signal);
    try {
      await using subscription = await life.session.subscribe(names, options);
      const restarted = isRestart(before, life);
      before = life;
      yield { name: 'resync', body: { restarted, events: subscription.events } };
      for await (const event of subscription) yield event;
    } catch (error) {
      await endLifeOn(error, life);
    }
  }
}
