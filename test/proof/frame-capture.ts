import { appendFileSync } from 'node:fs';
import { captureFrames } from './captured-frames.ts';

/** To be loaded before a program of ours: it has what it sends in a file of its own in `folder`, of this module's URL. */
const folder = new URL(import.meta.url).searchParams.get('folder') ?? '.';
captureFrames((frame) => appendFileSync(`${folder}/${process.pid}.frames`, frame));
