import type { ViciInputValue, ViciSection } from '../message.ts';
import type { FakeAnswer, FakeHandler } from './fake-client.ts';
import { unloadHandler, type Loaded } from './loaded.ts';
import { refusal, SUCCESS } from './replies.ts';
import { sectionsIn, textOf } from './section-text.ts';

/** The commands about pools of virtual addresses. Nobody ever takes one. */
export function poolHandlers(): readonly (readonly [string, FakeHandler])[] {
  const pools: Loaded = new Map();
  const unknown = (name: string): string => `${name} not found`;
  return [
    ['load-pool', (request) => loadPools(pools, request)],
    ['unload-pool', unloadHandler(pools, { key: 'name', missing: 'missing pool name to unload', unknown })],
    ['get-pools', (request) => listPools(pools, request)],
  ];
}

function loadPools(pools: Loaded, request: ViciSection): FakeAnswer {
  for (const [name, pool] of sectionsIn(request)) {
    if (textOf(pool, 'addrs') === undefined) return refusal(`missing addrs for pool '${name}'`);
    pools.set(name, pool);
  }
  return SUCCESS;
}

function listPools(pools: Loaded, request: ViciSection): FakeAnswer {
  const filter = textOf(request, 'name');
  const wanted = [...pools].filter(([name]) => filter === undefined || filter === name);
  const leases = textOf(request, 'leases') === 'yes' ? { leases: {} } : {};
  return new Map<string, ViciInputValue>(wanted.map(([name, pool]) => [name, { ...sizeOf(pool), ...leases }]));
}

/** Of an IPv4 subnet, as charon counts it: without the first and the last address. */
function sizeOf(pool: ViciSection): { readonly base: string; readonly size: number; online: number; offline: number } {
  const [base = '', prefix = '32'] = (textOf(pool, 'addrs') ?? '').split('/');
  return { base, size: Math.max(1, 2 ** (32 - Number(prefix)) - 2), online: 0, offline: 0 };
}
