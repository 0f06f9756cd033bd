import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { connectionNameSchema, linkIdSchema } from '../../src/ike/connection.ts';
import type { TrapPolicy, TrapSteering } from '../../src/ike/steering.ts';
import type { Step } from '../../src/reconcile/charon.ts';
import { divertSteps, trapKey, trapSteps, type TrapConditions, type TrapInput } from '../../src/reconcile/traps.ts';

function trap(name: string, reqid: number | undefined, remote = '7.7.8.0/24'): TrapPolicy {
  return { name, localSelectors: ['7.7.7.0/24'], remoteSelectors: [remote], reqid };
}

function steering(peer: string, remote?: string): TrapSteering {
  return {
    kind: 'steering',
    name: connectionNameSchema.parse(`cygnet-via-${peer}`),
    link: linkIdSchema.parse(`edge1--${peer}`),
    lasting: [trap('receive-direct', 6, remote), trap('relay', 7, remote), trap('probe-relay', 7)],
    direct: trap('direct', 6, remote),
  };
}

/** The traps of kernel-libipsec: the last one in the list is the youngest, and one that is installed again keeps its place. */
class Traps {
  readonly #installed = new Map<string, { connection: string; name: string; localTs: string[]; remoteTs: string[] }>();
  readonly #steering: readonly TrapSteering[];

  constructor(...known: readonly TrapSteering[]) {
    this.#steering = known;
  }

  get order(): string[] {
    return [...this.#installed.keys()];
  }

  get observed(): TrapInput['observed'] {
    return { traps: new Map(this.#installed) };
  }

  carryOut(steps: readonly Step[], wanted = this.#steering): void {
    for (const step of steps) {
      if (step.kind === 'uninstall-trap') this.#installed.delete(trapKey(step.connection, step.trap));
      if (step.kind === 'install-trap') this.install(step.connection, step.trap, wanted);
    }
  }

  install(connection: string, name: string, wanted = this.#steering): void {
    const { lasting, direct } = wanted.find((each) => each.name === connection)!;
    const policy = [...lasting, direct].find((each) => each.name === name)!;
    const selectors = { localTs: [...policy.localSelectors], remoteTs: [...policy.remoteSelectors] };
    this.#installed.set(trapKey(connection, name), { connection, name, ...selectors });
  }
}

const always: TrapConditions = { isLoaded: () => true, isAllowed: () => true };

function stepsFor(
  traps: Traps,
  wanted: readonly TrapSteering[],
  takesDirect: readonly string[] = [],
  loaded = true,
): Step[] {
  const input = {
    steering: wanted,
    takesDirect: new Set(takesDirect),
    observed: traps.observed,
  };
  return [...divertSteps(input), ...trapSteps(input, { ...always, isLoaded: () => loaded })];
}

const words = (steps: readonly Step[]): string[] =>
  steps.map((step) => `${step.kind} ${'trap' in step ? trapKey(step.connection, step.trap) : ''}`);

const link = steering('remote');
const RELAYED = ['receive-direct', 'relay', 'probe-relay'].map((name) => trapKey(link.name, name));
const DIRECT = [...RELAYED, trapKey(link.name, 'direct')];

describe('the traps of a link', () => {
  it('stay as they are while one that charon refuses waits to be tried again', () => {
    const traps = new Traps(link);
    const refused = (step: Step): boolean => step.kind === 'install-trap' && step.trap === 'receive-direct';
    traps.carryOut(stepsFor(traps, [link]).filter((step) => !refused(step)));
    const input = { steering: [link], takesDirect: new Set<string>(), observed: traps.observed };
    expect(trapSteps(input, { ...always, isAllowed: (step) => !refused(step) })).toEqual([]);
    // When it is tried again, those after it have to come after it.
    expect(words(trapSteps(input, always)).filter((each) => each.startsWith('uninstall'))).toHaveLength(2);
  });

  it('are installed in their order, when their connection is loaded', () => {
    const traps = new Traps(link);
    expect(stepsFor(traps, [link], [], false)).toEqual([]);
    traps.carryOut(stepsFor(traps, [link]));
    expect(traps.order).toEqual(RELAYED);
    expect(stepsFor(traps, [link])).toEqual([]);
  });

  it('are moved to the direct tunnel and back by one step each', () => {
    const traps = new Traps(link);
    traps.carryOut(stepsFor(traps, [link]));
    const up = stepsFor(traps, [link], [link.link]);
    expect(words(up)).toEqual(['install-trap cygnet-via-remote/direct']);
    traps.carryOut(up);
    expect(traps.order).toEqual(DIRECT);
    expect(words(stepsFor(traps, [link], []))).toEqual(['uninstall-trap cygnet-via-remote/direct']);
  });

  it('are replaced in their places when the subnets change', () => {
    const traps = new Traps(link);
    traps.carryOut(stepsFor(traps, [link], [link.link]));
    const changed = steering('remote', '7.7.9.0/24');
    const steps = stepsFor(traps, [changed], [link.link]);
    expect(steps.every(({ kind }) => kind === 'install-trap')).toBe(true);
    traps.carryOut(steps, [changed]);
    expect(traps.order).toEqual(DIRECT);
    expect(stepsFor(traps, [changed], [link.link])).toEqual([]);
  });

  it('are the same however charon writes their protocol and port', () => {
    const probing = { ...link, lasting: [{ ...trap('ask-direct', 6), remoteSelectors: ['7.7.8.0/24[17/7447]'] }] };
    const observedAs = (remote: string) => {
      const seen = { connection: link.name, name: 'ask-direct', localTs: ['7.7.7.0/24'], remoteTs: [remote] };
      const observed = { traps: new Map([[trapKey(link.name, 'ask-direct'), seen]]) };
      return trapSteps({ steering: [probing], takesDirect: new Set(), observed }, always);
    };
    expect(observedAs('7.7.8.0/24[udp/7447]')).toEqual([]);
    expect(observedAs('7.7.9.0/24[17/7447]')).toHaveLength(1);
  });

  it('that drop are taken away before they are installed with other selectors, as charon would leave them', () => {
    const dropping = { ...link, lasting: [trap('refuse-clear', undefined)] };
    const traps = new Traps(dropping);
    traps.carryOut(stepsFor(traps, [dropping]));
    expect(stepsFor(traps, [dropping])).toEqual([]);
    const changed = { ...dropping, lasting: [trap('refuse-clear', undefined, '7.7.9.0/24')] };
    expect(words(stepsFor(traps, [changed]))).toEqual([
      'uninstall-trap cygnet-via-remote/refuse-clear',
      'install-trap cygnet-via-remote/refuse-clear',
    ]);
  });

  it('go with the link', () => {
    const other = steering('other');
    const traps = new Traps(link, other);
    traps.carryOut(stepsFor(traps, [link, other], [link.link]));
    traps.carryOut(stepsFor(traps, [other]));
    expect(traps.order.every((key) => key.startsWith('cygnet-via-other/'))).toBe(true);
  });

  it('come into their order from whatever is left of them, in one round', () => {
    const names = DIRECT.map((key) => key.split('/')[1]!);
    fc.assert(
      fc.property(fc.subarray(names), fc.boolean(), (left, takesDirect) => {
        const traps = new Traps(link);
        for (const name of left) traps.install(link.name, name);
        const taking = takesDirect ? [link.link] : [];
        traps.carryOut(stepsFor(traps, [link], taking));
        expect(traps.order).toEqual(takesDirect ? DIRECT : RELAYED);
        expect(stepsFor(traps, [link], taking)).toEqual([]);
      }),
    );
  });
});
