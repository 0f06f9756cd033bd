/**
 * Connectivity checks of a mediated IKE SA end 65 s after their start at the latest. Terminating the SA before that
 * aborts charon (5.9.8 to 6.0), so an SA that is not established is left alone for this long.
 */
export const CHECKS_MAX_MS = 75_000;
