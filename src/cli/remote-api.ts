import { readFileSync, statSync } from 'node:fs';
import type { TLSSocket } from 'node:tls';
import { messageOf } from '../errors.ts';
import { IdentityError } from '../identity/identity-error.ts';
import { connectPinned } from '../identity/pinned-tls.ts';
import { parseToken } from '../identity/token.ts';
import { CliError } from './cli-error.ts';

const PORT_DEFAULT = 443;

/** The coordinator on another machine, and what it is shown. */
export interface RemoteApi {
  readonly host: string;
  readonly port: number;
  /** Goes to nobody but a server that the pin in it vouches for. */
  readonly token: string;
}

/** Reads what `--server` and `--token-file` say. Throws a CliError `bad-input`. */
export function remoteApiOf(server: string, tokenFile: string | undefined): RemoteApi {
  const url = URL.canParse(server) ? new URL(server) : undefined;
  if (url?.protocol !== 'https:' || `${url.origin}/` !== url.href) {
    throw new CliError('bad-input', `--server ${server}: must be https://HOST:PORT`);
  }
  if (tokenFile === undefined) {
    throw new CliError('bad-input', '--server: needs --token-file FILE, with what "meshctl api-token create" printed');
  }
  return {
    host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: url.port === '' ? PORT_DEFAULT : Number(url.port),
    token: tokenIn(tokenFile),
  };
}

/** TLS with the server that the token's pin vouches for; no public CA counts. */
export async function dialRemote({ host, port, token }: RemoteApi, signal: AbortSignal): Promise<TLSSocket> {
  const { caPin } = parseToken(token, 'api');
  return await connectPinned({ host, port, caPin }, signal);
}

function tokenIn(file: string): string {
  try {
    if ((statSync(file).mode & 0o077) !== 0) {
      throw new CliError('bad-input', `--token-file ${file}: others may use it: chmod 600 ${file}`);
    }
    const text = readFileSync(file, 'utf8').trim();
    parseToken(text, 'api');
    return text;
  } catch (cause) {
    if (cause instanceof CliError) throw cause;
    const reason = cause instanceof IdentityError ? cause.message : messageOf(cause);
    throw new CliError('bad-input', `--token-file ${file}: ${reason}`, { cause });
  }
}
