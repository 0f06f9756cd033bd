import { copyFile, mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { messageOf } from '../../../src/errors.ts';
import type { Lab } from '../../lab/lab.ts';
import type { Mesh } from '../../lab/mesh.ts';

/**
 * Keeps what every program of a lab says and has logged, as the lab is about to be removed. Returns the folder: its files are
 * named after the nodes. What cannot be had is kept as an error's message.
 */
export async function keepEvidence(lab: Lab, mesh: Mesh): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'cygnet-evidence-'));
  const keep = async (name: string, output: Promise<string>): Promise<void> =>
    writeFile(join(folder, name), await output.catch(messageOf));
  await Promise.all(
    lab.nodes.flatMap((node) => [
      keep(`${node}.events.jsonl`, mesh.agentctl(node, ['events', '--json'])),
      keep(`${node}.status.json`, mesh.agentctl(node, ['status', '--json'])),
      keep(`${node}.sas`, lab.swanctl(node, ['--list-sas', '--raw'])),
      copyFile(join(lab.folderOf(node), 'charon.log'), join(folder, `${node}.charon.log`)).catch(() => undefined),
    ]),
  );
  await keep('links.json', mesh.meshctl(['links', '--json']));
  return folder;
}
