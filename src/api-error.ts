import { z } from 'zod';

/** The body of every refusal on the local HTTP APIs (agent and coordinator), with a status of 400 or above. */
export const apiErrorSchema = z.object({
  error: z.object({
    /** A closed word for programs: `bad-request`, `not-found`, … */
    code: z.string(),
    /** One sentence for people. */
    message: z.string(),
    /** More lines for people, such as every mistake of a mesh spec; may be empty. */
    details: z.array(z.string()),
  }),
});
export type ApiErrorBody = Readonly<z.output<typeof apiErrorSchema>>;
