import { pause } from '../clock.ts';
import type { Logger } from '../log.ts';
import type { TlsIdentity } from './tls-options.ts';

/** Far less than a certificate lives; a wall clock that was set is noticed as soon. */
const CHECK_INTERVAL_MS = 10 * 60_000;

export interface ServerCertificateDeps {
  /** What is shown now. */
  readonly shown: TlsIdentity;
  /** What is to be shown: the same, or a renewed one. */
  readonly load: () => Promise<TlsIdentity>;
  /** Shows another one from the next handshake on. */
  readonly show: (identity: TlsIdentity) => void;
  readonly logger: Logger;
  readonly intervalMs?: number;
}

/** Renews the certificate of a server that runs, until `signal` aborts. What fails is tried again. */
export async function keepServerCertificate(deps: ServerCertificateDeps, signal: AbortSignal): Promise<void> {
  let shown = deps.shown;
  for (;;) {
    await pause(deps.intervalMs ?? CHECK_INTERVAL_MS, signal);
    if (signal.aborted) return;
    try {
      const identity = await deps.load();
      if (identity.certificateChain === shown.certificateChain) continue;
      deps.show(identity);
      shown = identity;
      deps.logger.info('server certificate renewed');
    } catch (error) {
      deps.logger.error({ err: error }, 'server certificate not renewed');
    }
  }
}
