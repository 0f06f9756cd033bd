/** Bytes of the first frame of a channel, the hello: nothing larger is read from a peer that has not said who it is. */
export const HELLO_BYTES_MAX = 64 * 1024;

/** Bytes of any other frame, both ways. */
export const FRAME_BYTES_MAX = 1024 * 1024;

/** Maps and arrays inside each other; a full report needs 10. */
export const FRAME_DEPTH_MAX = 16;

/** Values of one frame, map keys included. */
export const FRAME_ELEMENTS_MAX = 200_000;

/** Keys of one map; ours have up to 14, and each is compared with the others. */
export const FRAME_KEYS_MAX = 32;

/** WebSocket fragments of one frame; ours are never fragmented. */
export const FRAME_FRAGMENTS_MAX = 16;

/** Pieces in which a frame may arrive; ours come in TLS records of 16 KiB. Each piece costs memory of its own. */
export const FRAME_CHUNKS_MAX = 4096;
