import { viciCommands, type ViciStreamCommand } from './commands.ts';
import type { ViciConnection } from './connection.ts';
import { EventQueue } from './event-queue.ts';
import type { ViciSection } from './message.ts';
import { readReply } from './reply.ts';
import { watchLimit, type WaitLimit } from './wait-limit.ts';

/** Events that may lie ready before the socket is left unread; what follows then waits in charon. */
const READY_MAX = 256;

/**
 * Runs a streaming command on a connection that serves nothing else, and closes it. The timeout is for charon's pauses,
 * not for the consumer's. Who stops early leaves the rest to be read and dropped in the background: closing at once
 * would have charon log a line for every event that it cannot deliver.
 */
export async function* streamEvents(
  connection: ViciConnection,
  command: ViciStreamCommand,
  request: ViciSection,
  limit: WaitLimit,
): AsyncGenerator<ViciSection, void, undefined> {
  const spec = viciCommands[command];
  const queue = new EventQueue<ViciSection>();
  connection.listen((event) => {
    queue.push(event.body);
    if (queue.length >= READY_MAX) connection.pause();
  });
  const stopWatching = watchLimit({ signal: limit.signal }, command, (error) => queue.fail(error));
  try {
    await connection.register(spec.event, limit);
    const reply = connection.command(command, request, {});
    void reply.then(
      () => queue.finish(),
      () => queue.finish(),
    );
    for (;;) {
      const body = await nextWithin(queue, connection, command, limit.timeoutMs);
      if (body === undefined) break;
      yield body;
    }
    readReply(command, await reply, spec.reply);
  } finally {
    stopWatching();
    connection.listen(() => {});
    connection.resume();
    connection.retire(limit.timeoutMs);
  }
}

async function nextWithin(
  queue: EventQueue<ViciSection>,
  connection: ViciConnection,
  command: string,
  timeoutMs: number | undefined,
): Promise<ViciSection | undefined> {
  if (queue.length > 0) return queue.next();
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
