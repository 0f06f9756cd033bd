import type { ApplyReply } from '../coordinator/api.ts';

/** What a change is still waiting for, as one line; empty when all nodes may be told of it. */
export function unsignedLine({ unsigned, signingProblem }: Pick<ApplyReply, 'unsigned' | 'signingProblem'>): string {
  if (unsigned.length === 0) return '';
  const nodes = unsigned.length === 1 ? '1 node is' : `${unsigned.length} nodes are`;
  return signingProblem === null
    ? `${nodes} told nothing until it is signed: meshctl sign --key FILE\n`
    : `${nodes} told nothing until the coordinator, which tries again, can sign it: ${signingProblem}\n`;
}
