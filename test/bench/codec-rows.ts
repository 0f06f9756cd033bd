import { decodeMessage, encodeMessage } from '../../src/vici/index.ts';
import { largeObject } from '../vici/large-message.ts';
import { comparison, interleaved, timed, type Measurement } from './row.ts';

const WARM_UP_RUNS = 30;
const RUNS = 101;
const DECODE = 'decode a message of 500 KB / JSON.parse of the same';
const ENCODE = 'encode a message of 500 KB / JSON.stringify of the same';

/** JSON begins and ends with text here, which spares it the UTF-8 that a socket would ask of it. */
export const codec: Measurement = {
  names: [DECODE, ENCODE],
  measure: async () => {
    const object = largeObject();
    const message = encodeMessage(object);
    const json = JSON.stringify(object);
    const decoding = {
      ours: () => timed(() => decodeMessage(message)),
      other: () => timed(() => JSON.parse(json) as unknown),
    };
    const encoding = {
      ours: () => timed(() => encodeMessage(object)),
      other: () => timed(() => JSON.stringify(object)),
    };
    await interleaved(WARM_UP_RUNS, decoding);
    await interleaved(WARM_UP_RUNS, encoding);
    return [
      comparison(DECODE, await interleaved(RUNS, decoding), { below: 1 }),
      comparison(ENCODE, await interleaved(RUNS, encoding), { below: 1 }),
    ];
  },
};
