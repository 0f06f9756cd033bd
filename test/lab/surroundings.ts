/** Whose ESP carries packets: the kernel's, as on a node, or charon's own over a TUN device (kernel-libipsec). */
export type DataPlane = 'kernel' | 'user-space';

/**
 * What a lab cannot choose for itself, told by the environment because every program that builds labs is in it:
 * `CYGNET_LAB_DATA_PLANE` for a kernel that has ESP, `CYGNET_LAB_PATIENCE` for a machine that is that many times slower.
 * `scripts/with-debian-kernel` sets both.
 */
export function dataPlane(): DataPlane {
  const asked = process.env['CYGNET_LAB_DATA_PLANE'] ?? 'user-space';
  if (asked !== 'kernel' && asked !== 'user-space') {
    throw new RangeError(`CYGNET_LAB_DATA_PLANE is kernel or user-space, not ${asked}`);
  }
  return asked;
}

/** A limit of time, in ms, on this machine. */
export function patiently(timeoutMs: number): number {
  const times = Number(process.env['CYGNET_LAB_PATIENCE'] ?? 1);
  if (!(times >= 1 && times <= 100)) throw new RangeError('CYGNET_LAB_PATIENCE is a number from 1 to 100');
  return timeoutMs * times;
}
