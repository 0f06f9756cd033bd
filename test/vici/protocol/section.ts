import type { ViciSection, ViciValue } from '../../../src/vici/message.ts';

/** A section as it comes from the decoder. */
export function section(fields: Readonly<Record<string, ViciValue>>): ViciSection {
  return new Map(Object.entries(fields));
}
