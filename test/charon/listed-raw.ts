import { connect } from 'node:net';
import { once } from 'node:events';
import { ViciConnection } from '../../src/vici/connection.ts';
import { decodeMessage, type ViciSection } from '../../src/vici/message.ts';
import { ViciError } from '../../src/vici/vici-error.ts';

/** What a streaming command sends, as it comes: also the keys that no reader knows of. */
export async function listedRaw(socketPath: string, command: string, event: string): Promise<readonly ViciSection[]> {
  const socket = connect(socketPath);
  await once(socket, 'connect');
  const connection = new ViciConnection(socket, 1);
  const bodies: ViciSection[] = [];
  connection.listen(({ body }) => bodies.push(decodeMessage(body)));
  await connection.register(event, {});
  await connection.command(command, {}, {});
  connection.destroy(new ViciError('connection-closed', 'done'));
  await connection.closed;
  return bodies;
}
