import { ViciError } from '../../src/vici/vici-error.ts';

/** What the action throws, which has to be a ViciError. */
export function viciErrorOf(action: () => unknown): ViciError {
  try {
    action();
  } catch (error) {
    return asViciError(error);
  }
  throw new Error('nothing was thrown');
}

/** What the promise rejects with, which has to be a ViciError. */
export async function viciRejectionOf(promise: Promise<unknown>): Promise<ViciError> {
  const outcome = await promise.then(
    () => undefined,
    (error: unknown) => ({ error }),
  );
  if (outcome === undefined) throw new Error('the promise was fulfilled');
  return asViciError(outcome.error);
}

function asViciError(error: unknown): ViciError {
  if (error instanceof ViciError) return error;
  throw error;
}
