import { dirname, join } from 'node:path';
import { ConfigError } from '../config-file.ts';
import { systemCodeOf } from '../errors.ts';
import type { Logger } from '../log.ts';
import { READ_SOCKET_NAME } from './api.ts';
import type { AgentConfig } from './config.ts';
import { groupIdOf } from './group-id.ts';
import { serveLocalApi, serveReaders, type LocalApiHandlers } from './local-server.ts';

/**
 * Opens the agent's two sockets: one for its owner, one for a group that may look. Until disposed. Rejects when either
 * cannot be served; with a ConfigError when that is the configuration's fault.
 */
export async function openLocalSockets(
  { socket, readSocket = join(dirname(socket), READ_SOCKET_NAME), readGroup }: AgentConfig,
  handlers: LocalApiHandlers,
  logger: Logger,
): Promise<AsyncDisposable> {
  const groupId = readGroup === undefined ? {} : { groupId: await groupIdOf(readGroup) };
  const owner = await serveLocalApi(socket, handlers, logger);
  try {
    const readers = await serveReaders({ path: readSocket, ...groupId }, handlers, logger);
    return {
      [Symbol.asyncDispose]: async () => {
        await Promise.all([owner[Symbol.asyncDispose](), readers[Symbol.asyncDispose]()]);
      },
    };
  } catch (error) {
    await owner[Symbol.asyncDispose]();
    if (systemCodeOf(error) !== 'EPERM' || readGroup === undefined) throw error;
    const message = `readGroup: the agent may not give its socket to group "${readGroup}": it must be a member: run scripts/install agent again, or see SupplementaryGroups= in its unit`;
    throw new ConfigError(message, { cause: error });
  }
}
