/** What most commands answer when they have done it. */
export const SUCCESS = { success: 'yes' } as const;

/** charon's refusal in its own words. */
export function refusal(errmsg: string): { readonly success: 'no'; readonly errmsg: string } {
  return { success: 'no', errmsg };
}
