import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { Command } from 'commander';
import {
  SIGNATURES_PER_REQUEST,
  signaturesReplySchema,
  signStatement,
  unsignedReplySchema,
  type Signed,
  type SigningKey,
  type UnsignedReply,
} from '../coordinator/api.ts';
import { parseDurationSeconds } from '../duration.ts';
import { CliError } from './cli-error.ts';
import { jsonBody, type LocalApi } from './local-api.ts';
import type { MeshctlContext } from './meshctl-context.ts';
import { readSigningKey } from './signing-key-file.ts';
import { reviewOf, type Review } from './signing-review.ts';
import { changeLines, printable, type Style } from './style.ts';

interface SignFlags {
  readonly key: string;
  readonly expires?: string;
  readonly yes?: true;
  readonly json?: true;
}

export function signCommand({ terminal, clock, stdin, api }: MeshctlContext): Command {
  return new Command('sign')
    .description('show what waits for the signature of the offline key, sign it, and hand it in')
    .requiredOption('--key <file>', 'the private signing key, of meshctl signing-key create')
    .option('--expires <duration>', 'nodes that have not taken it by then must not take it any more: 30d')
    .option('--yes', 'sign without asking')
    .option('--json', 'as JSON; without --yes it shows what waits and signs nothing')
    .action(async (flags: SignFlags) => {
      const key = readSigningKey('--key', flags.key);
      const expiresMs = expiryMs(flags.expires);
      const waiting = await unsignedStates(api(), key);
      const reviews = waiting.states.map((state) => reviewOf(state, waiting.mesh, key));
      if (!flags.json) terminal.out(renderReviews(reviews, terminal.style));
      const isWanted = reviews.length > 0 && (flags.yes ?? (!flags.json && (await confirmed(terminal, stdin))));
      const nowMs = clock.nowMs();
      const notAfterMs = expiresMs === undefined ? null : nowMs + expiresMs;
      const nodes = isWanted ? await handIn(api(), signAll(waiting, reviews, key, { nowMs, notAfterMs })) : [];
      if (flags.json) terminal.out(`${JSON.stringify({ waiting: reviews, signed: nodes })}\n`);
      else if (isWanted) terminal.out(`signed for ${nodes.length} ${nodes.length === 1 ? 'node' : 'nodes'}\n`);
    });
}

function expiryMs(duration: string | undefined): number | undefined {
  if (duration === undefined) return undefined;
  const seconds = parseDurationSeconds(duration);
  if (seconds !== undefined && seconds > 0) return seconds * 1000;
  throw new CliError('bad-input', `--expires ${duration}: must be a duration such as 30d`);
}

/** All that waits, in portions. */
async function unsignedStates(api: LocalApi, key: SigningKey): Promise<UnsignedReply> {
  const states: UnsignedReply['states'] = [];
  for (;;) {
    const after = encodeURIComponent(states.at(-1)?.node ?? '');
    const reply = await api.get(`/v1/unsigned?after=${after}`, unsignedReplySchema);
    if (reply.key !== key.publicKey) {
      const details = [`--key: ${key.publicKey}`, `nodes:  ${reply.key}`];
      throw new CliError('bad-input', '--key is not the key that the nodes of this mesh trust', { details });
    }
    states.push(...reply.states);
    if (!reply.more || reply.states.length === 0) return { ...reply, states };
  }
}

function signAll(
  { mesh, epoch }: UnsignedReply,
  reviews: readonly Review[],
  key: SigningKey,
  { nowMs, notAfterMs }: { readonly nowMs: number; readonly notAfterMs: number | null },
): readonly Signed[] {
  return reviews.map(({ node, generation, digest, allowMassRemoval }) => {
    const about = { kind: 'state', mesh, node, epoch, generation, digest, allowMassRemoval } as const;
    return signStatement({ ...about, issuedAtMs: nowMs, notAfterMs }, key);
  });
}

async function handIn(api: LocalApi, signatures: readonly Signed[]): Promise<readonly string[]> {
  const nodes: string[] = [];
  for (let at = 0; at < signatures.length; at += SIGNATURES_PER_REQUEST) {
    const portion = signatures.slice(at, at + SIGNATURES_PER_REQUEST);
    const body = jsonBody({ signatures: portion });
    nodes.push(...(await api.send('POST', '/v1/signatures', signaturesReplySchema, body)).nodes);
  }
  return nodes;
}

async function confirmed(terminal: MeshctlContext['terminal'], stdin: Readable): Promise<boolean> {
  terminal.err('sign this? [y/N] ');
  const lines = createInterface({ input: stdin });
  try {
    for await (const line of lines) return /^y(es)?$/i.test(line.trim());
    return false;
  } finally {
    lines.close();
  }
}

function renderReviews(reviews: readonly Review[], style: Style): string {
  if (reviews.length === 0) return 'nothing waits for a signature\n';
  const count = reviews.length === 1 ? '1 state waits' : `${reviews.length} states wait`;
  return [`${count} for a signature\n`, ...reviews.map((review) => renderReview(review, style))].join('');
}

function renderReview(review: Review, style: Style): string {
  const { node, generation, digest, loss, allowMassRemoval, isCompared } = review;
  const notes = [
    ...(isCompared ? [] : ['    nothing of this key to compare it with: all of it is shown']),
    ...(loss === null
      ? []
      : [style.bad(`    takes ${loss}${allowMassRemoval ? ', which was consented to' : ': the node will refuse'}`)]),
  ];
  const head = `  ${printable(node)}, generation ${generation}, ${digest.slice(0, 16)}`;
  return [head, ...notes, ...changeLines(review, style)].map((line) => `${line}\n`).join('');
}
