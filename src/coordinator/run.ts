import { chmodSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { pause, type Clock } from '../clock.ts';
import { caPinOf } from '../identity/mesh-ca.ts';
import type { Logger } from '../log.ts';
import { openApiListener, type ApiListener } from './api-listener.ts';
import { openApiServer } from './api-server.ts';
import { Backups } from './backups.ts';
import { openChannelServer } from './channel-server.ts';
import type { CoordinatorConfig } from './config.ts';
import { Coordinator } from './coordinator.ts';
import { loadMeshCa, loadServerIdentity } from './mesh-authority.ts';
import { keepServerCertificate } from './server-certificate.ts';
import { SigningKeys } from './signing-keys.ts';
import { openStore, type Store } from './store.ts';
import type { TlsIdentity } from './tls-options.ts';

/** So long what nodes told may wait in memory before it is written, and what is due may be late. */
const UPKEEP_INTERVAL_MS = 3000;

export interface RunDeps {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly version: string;
  /** Called once, when all that it serves answers. */
  readonly onReady: (listening: Listening) => void;
}

export interface Listening {
  /** Of the TLS port. */
  readonly port: number;
  readonly apiSocket: string;
  /** Of the operator's API; null when it is on its socket only. */
  readonly apiPort: number | null;
}

/** The whole coordinator, until `signal` aborts. Rejects when it cannot begin; nothing is left open either way. */
export async function runCoordinator(config: CoordinatorConfig, deps: RunDeps, signal: AbortSignal): Promise<void> {
  mkdirSync(config.stateDir, { recursive: true, mode: 0o700 });
  chmodSync(config.stateDir, 0o700);
  const store = openStore(join(config.stateDir, 'coordinator.db'), deps.clock.nowMs());
  try {
    await runWithStore(config, deps, store, signal);
  } finally {
    store.close();
  }
}

async function runWithStore(
  config: CoordinatorConfig,
  { clock, logger, version, onReady }: RunDeps,
  store: Store,
  signal: AbortSignal,
): Promise<void> {
  const { stateDir, mesh, subject, advertise, listen } = config;
  const { caPin: knownPin } = store.admission;
  const ca = await loadMeshCa({
    stateDir,
    mesh,
    subject,
    nowMs: clock.nowMs(),
    ...(config.ca !== undefined && { ca: config.ca }),
    ...(knownPin !== undefined && { knownPin }),
  });
  if (knownPin === undefined) store.admission.rememberCa(caPinOf(ca.certificatePem));
  const loadIdentity = (): Promise<TlsIdentity> => loadServerIdentity(stateDir, ca, advertise, clock.nowMs());
  const identity = await loadIdentity();
  const coordinator = new Coordinator({
    store,
    backups: new Backups({ stateDir, store, ca, version, clock }),
    ca,
    signingKeys: new SigningKeys({ stateDir, mesh, store: store.signing, offlineKey: config.signingKey }),
    certificates: config.certificates,
    version,
    clock,
    logger: logger.child({ component: 'coordinator' }),
  });
  const openRemoteApi = async (): Promise<ApiListener | null> => {
    if (config.api === undefined) return null;
    const logs = logger.child({ component: 'api' });
    return openApiListener({ ...config.api.listen, identity, names: advertise, coordinator, clock, logger: logs });
  };
  try {
    await using api = await openApiServer({
      socketPath: config.apiSocket,
      coordinator,
      logger: logger.child({ component: 'api' }),
    });
    const channelLogger = logger.child({ component: 'channel' });
    await using channels = await openChannelServer(
      { ...identity, ...listen, clock, logger: channelLogger },
      coordinator.channels,
    );
    await using remoteApi = await openRemoteApi();
    onReady({ port: channels.port, apiSocket: api.socketPath, apiPort: remoteApi?.port ?? null });
    const show = (shown: TlsIdentity): void => {
      channels.useIdentity(shown);
      remoteApi?.useIdentity(shown);
    };
    const stop = new AbortController();
    const running = AbortSignal.any([signal, stop.signal]);
    const kept = { shown: identity, load: loadIdentity, show, logger: channelLogger };
    const loops = [keepUp(coordinator, running), keepServerCertificate(kept, running)];
    try {
      await Promise.all(loops);
    } finally {
      // One that failed takes the other along.
      stop.abort();
      await Promise.allSettled(loops);
    }
  } finally {
    // After the last channel has closed.
    coordinator.flush();
    coordinator.audit.flush({ all: true });
  }
}

async function keepUp(coordinator: Coordinator, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    coordinator.keepUp();
    await pause(UPKEEP_INTERVAL_MS, signal);
  }
}
