/** Bytes of the first frame of a channel, the hello: nothing larger is read from a peer that has not said who it is. */
export const HELLO_BYTES_MAX = 64 * 1024;

/** Bytes of any other frame, both ways. */
export const FRAME_BYTES_MAX = 1024 * 1024;

/** Maps and arrays inside each other; a full report needs 10. */
export const FRAME_DEPTH_MAX = 16;

/** Values of one frame, map keys included. */
export const FRAME_ELEMENTS_MAX = 200_000;
