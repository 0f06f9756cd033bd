import type { LocalApi } from './local-api.ts';
import type { Terminal } from './terminal.ts';

/** What each command of agentctl works with. */
export interface AgentctlContext {
  readonly terminal: Terminal;
  /** The agent behind the socket that the user named, or the default one. */
  readonly api: () => LocalApi;
}
