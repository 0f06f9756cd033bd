import { FakeCharon, type FakeCharonOptions } from '../../src/vici/testing/index.ts';
import type { CharonUnderTest, CharonWithPeer } from './contract/charon-under-test.ts';
import { describeClient } from './contract/client-contract.ts';
import { CONFIG } from './contract/connections.ts';
import { describeSas } from './contract/sas-contract.ts';
import { describeSession } from './contract/session-contract.ts';
import { describeTraps } from './contract/traps-contract.ts';
import { describeWire } from './contract/wire-contract.ts';

async function start(options: FakeCharonOptions): Promise<CharonUnderTest> {
  const fake = await FakeCharon.start(options);
  return {
    address: fake.address,
    kill: () => fake.die(),
    restart: () => fake.restart(),
    [Symbol.asyncDispose]: () => fake[Symbol.asyncDispose](),
  };
}

/** The fake's peer needs no charon of its own. */
async function startWithPeer(): Promise<CharonWithPeer> {
  const fake = await FakeCharon.start();
  const tunnel = 'tunnel';
  fake.load({ [tunnel]: { ...CONFIG, children: { [tunnel]: CONFIG.children.net } } });
  return { address: fake.address, tunnel, [Symbol.asyncDispose]: () => fake[Symbol.asyncDispose]() };
}

const KINDS: readonly (readonly [string, FakeCharonOptions])[] = [
  ['a fake charon', {}],
  ['a fake charon on TCP', { transport: 'tcp' }],
  ['a fake charon that writes 7 bytes at a time', { chunkBytes: 7 }],
];
for (const [name, options] of KINDS) {
  describeWire(name, () => start(options));
  describeSession(name, () => start(options));
  describeClient(name, () => start(options));
  describeTraps(name, () => start(options));
}
describeSas('a fake charon', startWithPeer);
