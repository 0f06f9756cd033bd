import { decodeMessage, type ViciSection } from '../../../src/vici/message.ts';
import { ViciError } from '../../../src/vici/vici-error.ts';
import { checkMessage, checkPacket, checkReaders, checkSegments } from './invariants.ts';
import type { Random } from './random.ts';

/** All that must hold for the bytes as a message, a packet and a stream; throws an Error that says what does not. */
export function checkInput(bytes: Uint8Array, random: Random): void {
  checkMessage(bytes);
  checkPacket(bytes);
  checkSegments(bytes, [random.below(bytes.length + 1), random.below(8)]);
  const section = decoded(bytes);
  if (section !== undefined) checkReaders(section, random);
}

function decoded(bytes: Uint8Array): ViciSection | undefined {
  try {
    return decodeMessage(bytes);
  } catch (error) {
    if (error instanceof ViciError) return undefined;
    throw error;
  }
}
