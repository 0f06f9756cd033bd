/** A charon for the tests of programs that speak VICI. */
export { FakeCharon, type ArrivalHook, type FakeCharonOptions } from './fake-charon.ts';
export { NO_ANSWER, type Arrival, type FakeAnswer, type FakeClient, type FakeHandler } from './fake-client.ts';
export type { HeldCommand } from './held-command.ts';
export type { FakeTransport } from './listener.ts';
export { refusal, SUCCESS } from './replies.ts';
export type { ChildSaFields, FakeChildSa, FakeIkeSa, IkeSaAddresses, IkeSaFields } from './sa-sections.ts';
