import { readFileSync } from 'node:fs';
import { signingKeyOf, signingPublicKeyOf, type SigningKey, type SigningPublicKey } from '../coordinator/api.ts';
import { messageOf } from '../errors.ts';
import { CliError } from './cli-error.ts';

/** The private key in a file that `flag` names. Throws a CliError. */
export function readSigningKey(flag: string, file: string): SigningKey {
  return readKey(flag, file, signingKeyOf);
}

export function readSigningPublicKey(flag: string, file: string): SigningPublicKey {
  return readKey(flag, file, signingPublicKeyOf);
}

function readKey<T>(flag: string, file: string, keyOf: (pem: string) => T): T {
  try {
    return keyOf(readFileSync(file, 'utf8'));
  } catch (cause) {
    const reason = messageOf(cause);
    throw new CliError('bad-input', `${flag} ${file}: ${reason}`, { cause });
  }
}
