import type { ViciConnection } from './connection.ts';
import { EventQueue } from './event-queue.ts';
import { decodeMessage, type ViciInput, type ViciSection } from './message.ts';
import { ViciError } from './vici-error.ts';
import { watchLimit, type WaitLimit } from './wait-limit.ts';

/** Events that may lie ready before the socket is left unread; what follows then waits in charon. */
const READY_MAX = 256;

/** A streaming command, and how to read what it streams and answers. */
export interface Streaming<T> {
  readonly command: string;
  readonly request: ViciInput;
  readonly event: string;
  readonly readItem: (body: ViciSection) => T;
  /** Throws when the answer behind the stream says that the command failed. */
  readonly checkReply: (reply: ViciSection) => void;
}

/**
 * Runs a streaming command on a connection that serves nothing else, and closes it. The timeout is for charon's pauses,
 * not for the consumer's. Who stops early leaves the rest to be read and dropped in the background: closing at once
 * would have charon log a line for every event that it cannot deliver.
 */
export async function* streamEvents<T>(
  open: () => Promise<ViciConnection>,
  { command, request, event, readItem, checkReply }: Streaming<T>,
  limit: WaitLimit,
): AsyncGenerator<T, void, undefined> {
  const connection = await open();
  // Undecoded: what waits costs little then, and what is decoded is used and dropped at once.
  const queue = new EventQueue<Uint8Array>();
  connection.listen(({ body }) => {
    queue.push(body);
    if (queue.length >= READY_MAX) connection.pause();
  });
  let isOver = false;
  const letGo = (): void => {
    if (isOver) return;
    isOver = true;
    connection.listen(() => {});
    connection.resume();
    connection.retire(limit.timeoutMs);
  };
  // At once, also when the consumer does not come back: the place is one of few.
  const stopWatching = watchLimit({ signal: limit.signal }, command, (error) => {
    queue.fail(error);
    letGo();
  });
  try {
    await connection.register(event, limit);
    const reply = connection.command(command, request, {});
    void reply.then(
      () => queue.finish(),
      () => queue.finish(),
    );
    for (;;) {
      const body = queue.take() ?? (await nextWithin(queue, connection, command, limit.timeoutMs));
      if (body === undefined) break;
      yield readOrDestroy(connection, body, readItem);
    }
    checkReply(await reply);
  } finally {
    stopWatching();
    letGo();
  }
}

/** A charon that sends what is no item is none that we know: nothing else of it is trusted. */
function readOrDestroy<T>(connection: ViciConnection, body: Uint8Array, readItem: (body: ViciSection) => T): T {
  try {
    return readItem(decodeMessage(body));
  } catch (error) {
    if (error instanceof ViciError) connection.destroy(error);
    throw error;
  }
}

async function nextWithin(
  queue: EventQueue<Uint8Array>,
  connection: ViciConnection,
  command: string,
  timeoutMs: number | undefined,
): Promise<Uint8Array | undefined> {
  connection.resume();
  const stop = watchLimit({ timeoutMs }, command, (error) => {
    queue.fail(error);
    connection.destroy(error);
  });
  try {
    return await queue.next();
  } finally {
    stop();
  }
}
