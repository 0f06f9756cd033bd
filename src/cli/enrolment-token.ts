import { fstatSync, openSync, readFileSync, closeSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf } from '../errors.ts';
import { CliError } from './cli-error.ts';

/** Where an enrolment token comes from; never an argument, for those are public. */
export interface TokenSource {
  /** Path of a file; `-`: standard input. */
  readonly tokenFile?: string;
  /** Name of a systemd credential. */
  readonly tokenCredential?: string;
}

export interface FoundToken {
  readonly token: string;
  /** Of the file, when others than its owner can read it. */
  readonly warning: string | undefined;
}

/** A token is a line of about 100 characters. */
const TOKEN_CHARACTERS_MAX = 512;
const STANDARD_INPUT = 0;
/** What systemd takes for the name of a credential, and no way out of its folder. */
const CREDENTIAL_NAME = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}$/;

/** Reads the token from the one source that was given. Throws a CliError `bad-input`. */
export function readToken(source: TokenSource, environment: Readonly<Record<string, string | undefined>>): FoundToken {
  const { tokenFile, tokenCredential } = source;
  if ((tokenFile === undefined) === (tokenCredential === undefined)) {
    throw new CliError(
      'bad-input',
      'say where the token is: --token-file FILE (- for standard input) or --token-credential NAME',
    );
  }
  if (tokenFile !== undefined) return readFrom(tokenFile === '-' ? STANDARD_INPUT : tokenFile, '--token-file');
  const folder = environment['CREDENTIALS_DIRECTORY'];
  if (folder === undefined || folder === '') {
    throw new CliError(
      'bad-input',
      '--token-credential: there are no credentials here: it is for a service of systemd with LoadCredential= or SetCredentialEncrypted=',
    );
  }
  if (tokenCredential === undefined || !CREDENTIAL_NAME.test(tokenCredential)) {
    throw new CliError('bad-input', '--token-credential: not the name of a credential');
  }
  return readFrom(join(folder, tokenCredential), '--token-credential');
}

function readFrom(file: string | typeof STANDARD_INPUT, flag: string): FoundToken {
  const name = file === STANDARD_INPUT ? 'standard input' : file;
  let text: string;
  let warning: string | undefined;
  try {
    const fd = file === STANDARD_INPUT ? STANDARD_INPUT : openSync(file, 'r');
    try {
      warning = warningOf(fd, name);
      text = readFileSync(fd, 'utf8').trim();
    } finally {
      if (fd !== STANDARD_INPUT) closeSync(fd);
    }
  } catch (cause) {
    throw new CliError('bad-input', `${flag}: ${messageOf(cause)}`, { cause });
  }
  if (text === '' || text.length > TOKEN_CHARACTERS_MAX || /\s/.test(text)) {
    throw new CliError('bad-input', `${flag}: ${name} holds no token (one line of "meshctl token create NODE")`);
  }
  return { token: text, warning };
}

function warningOf(fd: number, name: string): string | undefined {
  const stats = fstatSync(fd);
  return stats.isFile() && (stats.mode & 0o044) !== 0
    ? `${name} can be read by others: who has the token can take this node's place; chmod 600 it, and remove it afterwards`
    : undefined;
}
