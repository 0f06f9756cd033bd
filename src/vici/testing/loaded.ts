import type { ViciSection } from '../message.ts';
import type { FakeHandler } from './fake-client.ts';
import { refusal, SUCCESS } from './replies.ts';
import { textOf } from './section-text.ts';

/** What clients have loaded of one kind: by name, as it was sent. */
export type Loaded = Map<string, ViciSection>;

/** How charon speaks of one kind of thing when it is unloaded. */
export interface UnloadWords {
  /** The key of the request that names it. */
  readonly key: 'id' | 'name';
  /** The refusal of a request that names nothing. */
  readonly missing: string;
  /** The refusal of a name that is not loaded; without it, charon does not mind. */
  readonly unknown?: (name: string) => string;
}

/** Forgets what the request names. */
export function unloadHandler(loaded: Loaded, { key, missing, unknown }: UnloadWords): FakeHandler {
  return (request) => {
    const name = textOf(request, key);
    if (name === undefined) return refusal(missing);
    const wasThere = loaded.delete(name);
    return wasThere || unknown === undefined ? SUCCESS : refusal(unknown(name));
  };
}
