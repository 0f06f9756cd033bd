import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeAgentFrame, decodeCoordinatorFrame, encodeFrame } from '../../src/control/codec.ts';
import { FrameError, type FrameErrorCode } from '../../src/control/frame-error.ts';
import { FRAME_BYTES_MAX, HELLO_BYTES_MAX } from '../../src/control/limits.ts';
import { agentFrames, coordinatorFrames, firstHello } from './frame-builders.ts';
import { signedState } from './statements.ts';

function codeOf(decode: () => unknown): FrameErrorCode | 'accepted' {
  try {
    decode();
    return 'accepted';
  } catch (error) {
    if (error instanceof FrameError) return error.code;
    throw error;
  }
}

/** `{"type": "links", "hints": []}`, and any entry more. */
function linksFrame(entries = 2, ...more: readonly Buffer[]): Buffer {
  return Buffer.concat([
    Buffer.from([0x80 + entries]),
    Buffer.from('\xa4type\xa5links\xa5hints\x90', 'latin1'),
    ...more,
  ]);
}

describe('a frame', () => {
  it('from a node survives the wire', () => {
    fc.assert(fc.property(agentFrames, (frame) => void expect(decodeAgentFrame(encodeFrame(frame))).toEqual(frame)));
  });

  it('from the coordinator survives the wire', () => {
    fc.assert(
      fc.property(coordinatorFrames, (frame) => void expect(decodeCoordinatorFrame(encodeFrame(frame))).toEqual(frame)),
    );
  });

  it('is plain MessagePack', () => {
    expect(Buffer.from(encodeFrame({ type: 'links', hints: [] }))).toEqual(linksFrame());
  });

  it('is read from the middle of a larger buffer', () => {
    const padded = Buffer.concat([Buffer.from([0xff]), linksFrame(), Buffer.from([0xff])]);
    expect(decodeCoordinatorFrame(new Uint8Array(padded).subarray(1, -1))).toEqual({ type: 'links', hints: [] });
  });

  it('is not accepted from the wrong end', () => {
    expect(codeOf(() => decodeCoordinatorFrame(encodeFrame(firstHello)))).toBe('invalid-frame');
  });

  it('above a limit fails at the sender', () => {
    const signed = signedState('');
    expect(codeOf(() => encodeFrame({ type: 'snapshot', signed, state: 'x'.repeat(FRAME_BYTES_MAX) }))).toBe(
      'too-large',
    );
    const links = (hints: unknown) => ({ type: 'links' as const, hints: hints as [] });
    const nested = Array.from({ length: 20 }).reduce<unknown>((inner) => [inner], 1);
    expect(codeOf(() => encodeFrame(links(nested)))).toBe('too-deep');
    expect(codeOf(() => encodeFrame(links(Array.from({ length: 200_000 }, () => 1))))).toBe('too-many-elements');
  });
});

describe('refuses', () => {
  const cases: Record<string, readonly [FrameErrorCode, Buffer]> = {
    'no bytes': ['malformed', Buffer.alloc(0)],
    'a byte behind the end': ['malformed', Buffer.concat([linksFrame(), Buffer.from([0xc0])])],
    'an extension type': ['malformed', linksFrame(3, Buffer.from('\xa1x\xd4\x01\x00', 'latin1'))],
    'binary data': ['malformed', linksFrame(3, Buffer.from('\xa1x\xc4\x01\x00', 'latin1'))],
    'the unused type byte': ['malformed', linksFrame(3, Buffer.from('\xa1x\xc1', 'latin1'))],
    'a key twice': ['malformed', linksFrame(3, Buffer.from('\xa5hints\x90', 'latin1'))],
    'a key that is a number': ['malformed', linksFrame(3, Buffer.from([0x01, 0x01]))],
    'a key that is a map': ['malformed', linksFrame(3, Buffer.from([0x80, 0x01]))],
    'the key __proto__': ['malformed', linksFrame(3, Buffer.from('\xa9__proto__\x80', 'latin1'))],
    'text that is not UTF-8': ['malformed', linksFrame(3, Buffer.from('\xa1x\xa2\xc1\x9f', 'latin1'))],
    'an unknown field': ['invalid-frame', linksFrame(3, Buffer.from('\xa1x\x01', 'latin1'))],
    'a number alone': ['invalid-frame', Buffer.from([0x01])],
    'an array that claims 4 billion values': ['malformed', Buffer.from('ddffffffff', 'hex')],
    'a map that claims 4 billion entries': ['malformed', Buffer.from('dfffffffff', 'hex')],
    'text that claims 4 billion bytes': ['malformed', Buffer.from('dbffffffff', 'hex')],
    'a frame above the limit': ['too-large', Buffer.alloc(FRAME_BYTES_MAX + 1, 0x90)],
    'a million arrays inside each other': ['too-deep', Buffer.alloc(FRAME_BYTES_MAX, 0x91)],
    'a thousand maps inside each other': ['too-deep', Buffer.from('\x81\xa1a'.repeat(1000), 'latin1')],
    'a map of many keys': [
      'too-many-elements',
      Buffer.concat([Buffer.of(0xde, 0, 33), ...Array.from({ length: 33 }, (_, key) => Buffer.of(0xa1, key, 0xc0))]),
    ],
    'text beyond ASCII that is not UTF-8': [
      'malformed',
      linksFrame(3, Buffer.from(`\xa1x\xd9\x50${'a'.repeat(79)}\xff`, 'latin1')),
    ],
    'a million values': [
      'too-many-elements',
      Buffer.concat([Buffer.from('dd000ffffb', 'hex'), Buffer.alloc(FRAME_BYTES_MAX - 5, 0x01)]),
    ],
  };
  it.each(Object.entries(cases))('%s', (_name, [code, bytes]) => {
    expect(codeOf(() => decodeCoordinatorFrame(bytes))).toBe(code);
  });

  it('a frame cut at any byte', () => {
    const whole = encodeFrame(firstHello);
    for (let cut = 0; cut < whole.length; cut += 1) {
      expect(codeOf(() => decodeAgentFrame(whole.subarray(0, cut)))).toBe('malformed');
    }
  });

  it('a first frame above the limit for those', () => {
    const bytes = Buffer.alloc(HELLO_BYTES_MAX + 1);
    expect(codeOf(() => decodeAgentFrame(bytes, HELLO_BYTES_MAX))).toBe('too-large');
  });

  it('random bytes, with nothing worse than a FrameError', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => void codeOf(() => decodeAgentFrame(bytes))));
  });

  it('or accepts a damaged frame, with nothing worse than a FrameError', () => {
    const damaged = fc.tuple(agentFrames, fc.nat(), fc.nat({ max: 255 })).map(([frame, position, byte]) => {
      const bytes = Uint8Array.from(encodeFrame(frame));
      bytes[position % bytes.length] = byte;
      return bytes;
    });
    fc.assert(fc.property(damaged, (bytes) => void codeOf(() => decodeAgentFrame(bytes))));
  });

  it('in few words, however long the frame', () => {
    const keys = Array.from({ length: 30 }, (_, index) => `\xd9\xf0key-${String(index).padStart(236, '0')}\x01`).join(
      '',
    );
    const bytes = Buffer.concat([Buffer.from('de0020', 'hex'), linksFrame().subarray(1), Buffer.from(keys, 'latin1')]);
    expect(() => decodeCoordinatorFrame(bytes)).toThrow(expect.objectContaining({ code: 'invalid-frame' }));
    try {
      decodeCoordinatorFrame(bytes);
    } catch (error) {
      expect((error as Error).message.length).toBeLessThan(300);
    }
  });
});
