import type { ViciInput } from './message.ts';
import { writeMessage } from './message.ts';
import { writePacketHead } from './packet.ts';
import { writtenSegment } from './segment.ts';
import { ViciError } from './vici-error.ts';

/**
 * A command's request as it goes over the wire: a whole segment. Throws before there is anything to send:
 * `invalid-request` for what VICI cannot express, `segment-too-large` for what charon would hang up on.
 */
export function encodeRequest(command: string, request: ViciInput): Uint8Array {
  if (command === '') throw new ViciError('invalid-request', 'a command has no name');
  return writtenSegment((writer) => {
    writePacketHead(writer, 'cmd-request', command);
    writeMessage(writer, request);
  });
}
