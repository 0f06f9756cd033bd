import type { ViciAddress } from '../../../src/vici/dial.ts';

/** A charon that a suite runs against: the fake, or a real one. It has nothing loaded when a suite begins. */
export interface CharonUnderTest extends AsyncDisposable {
  readonly address: ViciAddress;
  /** Resolves when the process is gone and nobody listens. */
  kill(): Promise<void>;
  /** A new process at the same place; what was loaded is gone. */
  restart(): Promise<void>;
}

/** One of two charons that can have a tunnel with each other: the one that initiates. */
export interface CharonWithPeer extends AsyncDisposable {
  readonly address: ViciAddress;
  /** Name of a connection that is loaded, and of its only child. */
  readonly tunnel: string;
}
