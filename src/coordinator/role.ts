/** What a user of the operator's API may do; each may also do what those before it may. */
const ROLES = ['viewer', 'operator', 'admin'] as const;
export type Role = (typeof ROLES)[number];
