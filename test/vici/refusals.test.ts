import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ViciInput } from '../../src/vici/message.ts';
import type { ViciEventName } from '../../src/vici/protocol/events.ts';
import { ViciSession } from '../../src/vici/session.ts';
import { FakeCharon } from '../../src/vici/testing/index.ts';
import { collect } from './collect.ts';
import { viciRejectionOf } from './vici-error-of.ts';

let charon: FakeCharon;
let session: ViciSession;
beforeEach(async () => {
  charon = await FakeCharon.start();
  session = await ViciSession.connect(charon.address);
});
afterEach(async () => {
  await session[Symbol.asyncDispose]();
  await charon[Symbol.asyncDispose]();
});

const LONG_NAME = 'n'.repeat(256);
const LONG_VALUE = 'v'.repeat(65_536);
/** What a program that is not type-checked may well pass. */
const untyped = (value: unknown): ViciInput => value as ViciInput;

const REQUESTS: readonly (readonly [string, ViciInput])[] = [
  ['a key of 256 bytes', { [LONG_NAME]: 'x' }],
  ['a section whose name has 256 bytes', { [LONG_NAME]: {} }],
  ['a list whose name has 256 bytes', { [LONG_NAME]: [] }],
  ['a key that is not printable', { 'a\nb': 'x' }],
  ['a key that is not ASCII', { schlüssel: 'x' }],
  ['a key deep inside that is not printable', { a: { b: { '\u0000': 'x' } } }],
  ['a value of 65,536 bytes', { a: LONG_VALUE }],
  ['a value of 65,536 bytes that are no text', { a: new Uint8Array(65_536) }],
  ['an item of 65,536 bytes', { a: ['x', LONG_VALUE] }],
  ['a value of fewer characters but 65,536 bytes', { a: 'ü'.repeat(32_768) }],
  ['half a character', { a: '\ud800' }],
  ['a list in a list', untyped({ a: [['b']] })],
  ['a section in a list', untyped({ a: [{ b: 'c' }] })],
  ['null', untyped({ a: null })],
  ['a number that is not whole', { a: 1.5 }],
  ['no number', { a: Number.NaN }],
  ['a function', untyped({ a: () => 'b' })],
  ['a date', untyped({ a: new Date(0) })],
  ['a section that contains itself', circular()],
];

function circular(): ViciInput {
  const section: Record<string, ViciInput> = {};
  section['a'] = section;
  return section;
}

describe('what VICI cannot express', () => {
  const expectNothingSent = (): void => expect(charon.bytesReceived).toBe(0);

  it.each(REQUESTS)('is refused before anything is written: %s', async (_what, request) => {
    expect((await viciRejectionOf(session.request('load-conn', request))).code).toBe('invalid-request');
    expectNothingSent();
    expect((await viciRejectionOf(session.request('load-conn', request, { lane: 'slow' }))).code).toBe(
      'invalid-request',
    );
    expectNothingSent();
    await session.call('version');
    expect(charon.commands).toEqual(['version']);
  });

  it('is refused in a stream before the command is written', async () => {
    const stream = session.stream('list-conns', { ike: LONG_VALUE });
    expect((await viciRejectionOf(collect(stream))).code).toBe('invalid-request');
    expect(charon.commands).toEqual([]);
  });

  it.each(['', LONG_NAME, 'a\nb', 'ü'])('is refused as the name of a command: %j', async (command) => {
    expect((await viciRejectionOf(session.request(command))).code).toBe('invalid-request');
    expectNothingSent();
  });

  it.each([LONG_NAME, 'a\nb', 'ü'])('is refused as the name of an event: %j', async (event) => {
    expect((await viciRejectionOf(session.subscribe([event as ViciEventName]))).code).toBe('invalid-request');
    expectNothingSent();
  });

  it('is refused where the whole is longer than a segment', async () => {
    const request = { a: Array.from({ length: 9 }, () => 'v'.repeat(65_000)) };
    expect((await viciRejectionOf(session.request('load-conn', request))).code).toBe('segment-too-large');
    expectNothingSent();
  });

  it('takes what just fits', async () => {
    const request = { ['n'.repeat(255)]: { a: 'v'.repeat(65_535), b: [new Uint8Array(65_535)] } };
    charon.on('echo', (received) => received);
    const reply = await session.request('echo', request);
    expect(reply.get('n'.repeat(255))).toEqual(
      new Map<string, unknown>([
        ['a', 'v'.repeat(65_535)],
        ['b', ['\0'.repeat(65_535)]],
      ]),
    );
  });
});
