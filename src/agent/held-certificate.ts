import { z } from 'zod';

const certified = { key: z.string(), certificate: z.string() };

/**
 * One of the node's two certificates with its private key (PEM), and how far its renewal has come. Each step is one write
 * of the whole identity, so a crash leaves what was before it or what is after it, and both go on from there.
 */
export const heldCertificateSchema = z.strictObject({
  ...certified,
  /** Made for the certificate that is to follow: on disk before the coordinator hears of it, so that a retry has it again. */
  nextKey: z.string().exactOptional(),
  /** What this one has replaced, until it has worked. */
  former: z.strictObject(certified).exactOptional(),
});
export type HeldCertificate = Readonly<z.output<typeof heldCertificateSchema>>;

/** A key was made for the next certificate. */
export function withNextKey(held: HeldCertificate, nextKey: string): HeldCertificate {
  return { ...held, nextKey };
}

/** The next key is good for nothing. */
export function withoutNextKey({ nextKey: _refused, ...held }: HeldCertificate): HeldCertificate {
  return held;
}

/** The coordinator has certified the next key: it is the one to use from now on. */
export function renewed({ key, certificate }: HeldCertificate, nextKey: string, next: string): HeldCertificate {
  return { key: nextKey, certificate: next, former: { key, certificate } };
}

/** It has worked: nothing will need the one before it. */
export function proven({ former: _done, ...held }: HeldCertificate): HeldCertificate {
  return held;
}

/** It is not accepted: the one before it is taken again. The same when there is none. */
export function fallenBack(held: HeldCertificate): HeldCertificate {
  const { former, ...rest } = held;
  return former === undefined ? held : { ...rest, ...former };
}
