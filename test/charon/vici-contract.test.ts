import { describe } from 'vitest';
import { ViciSession } from '../../src/vici/session.ts';
import type { CharonUnderTest, CharonWithPeer } from '../vici/contract/charon-under-test.ts';
import { describeClient } from '../vici/contract/client-contract.ts';
import { describeSas } from '../vici/contract/sas-contract.ts';
import { describeSession } from '../vici/contract/session-contract.ts';
import { describeTraps } from '../vici/contract/traps-contract.ts';
import { describeWire } from '../vici/contract/wire-contract.ts';
import { canRunCharon, CharonDaemon } from './charon-daemon.ts';
import { CharonPair } from './charon-pair.ts';
import { TcpCharon } from './tcp-charon.ts';

async function startOnUnix(): Promise<CharonUnderTest> {
  const charon = await CharonDaemon.start();
  return {
    address: { socketPath: charon.socketPath },
    kill: () => charon.stop('SIGKILL'),
    restart: () => charon.restart(),
    [Symbol.asyncDispose]: () => charon[Symbol.asyncDispose](),
  };
}

async function startOnTcp(): Promise<CharonUnderTest> {
  const charon = await TcpCharon.start();
  return {
    address: charon.address,
    kill: () => charon.kill(),
    restart: () => charon.restart(),
    [Symbol.asyncDispose]: () => charon[Symbol.asyncDispose](),
  };
}

async function startWithPeer(): Promise<CharonWithPeer> {
  const pair = await CharonPair.start();
  const tunnel = 'tunnel';
  await using left = await ViciSession.connect({ socketPath: pair.left.socketPath });
  await using right = await ViciSession.connect({ socketPath: pair.right.socketPath });
  await pair.loadLeft(left, tunnel);
  await pair.loadRight(right, tunnel);
  return {
    address: { socketPath: pair.left.socketPath },
    tunnel,
    [Symbol.asyncDispose]: () => pair[Symbol.asyncDispose](),
  };
}

/** What the unit tier asks of the fake, asked of the real daemon. */
describe.skipIf(!canRunCharon)('VICI', () => {
  describeWire('charon', startOnUnix);
  describeSession('charon', startOnUnix);
  describeClient('charon', startOnUnix);
  describeTraps('charon', startOnUnix);

  describeWire('charon on TCP', startOnTcp);
  // charon writes the length and the rest apart, so that Nagle's algorithm costs 40 ms for each answer.
  describeSession('charon on TCP', startOnTcp, 20);
  describeClient('charon on TCP', startOnTcp);

  describeSas('charon', startWithPeer);
});
