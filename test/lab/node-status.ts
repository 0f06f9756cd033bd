import { z } from 'zod';

/** The part of `agentctl status --json` that the lab looks at. */
export const nodeStatusSchema = z.object({
  charon: z.object({ version: z.string().nullable() }),
  coordinator: z.object({ state: z.string() }),
  desired: z.object({ generation: z.number().nullable(), applied: z.number().nullable() }),
  links: z.array(
    z.object({
      peer: z.string(),
      path: z.enum(['direct', 'relay', 'none', 'unknown']),
      /** Why it is not direct, in one word; an agent may not know it. */
      cause: z.string().nullish(),
    }),
  ),
  problems: z.array(z.string()),
});
export type NodeStatus = Readonly<z.output<typeof nodeStatusSchema>>;
export type LinkPath = NodeStatus['links'][number]['path'];
