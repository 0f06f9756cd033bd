import type { Readable } from 'node:stream';
import type { Clock } from '../clock.ts';
import type { LocalApi } from './local-api.ts';
import type { Terminal } from './terminal.ts';

/** What each command of meshctl works with. */
export interface MeshctlContext {
  readonly terminal: Terminal;
  readonly clock: Clock;
  /** For `-f -`. */
  readonly stdin: Readable;
  /** The coordinator behind the socket that the user named, or the default one. */
  readonly api: () => LocalApi;
}
