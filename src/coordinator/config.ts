import { isIP } from 'node:net';
import { z } from 'zod';
import { absolutePathSchema, ownSocketPathSchema, readConfigFile } from '../config-file.ts';
import { messageOf } from '../errors.ts';
import { mediationWildcard, tunnelIdentity } from '../identity/names.ts';
import { LOG_LEVELS } from '../log.ts';
import { COORDINATOR_SOCKET_DEFAULT } from './api.ts';
import { certificatePolicySchema } from './certificate-policy.ts';

export const COORDINATOR_CONFIG_DEFAULT = '/etc/cygnet/coordinator.yaml';

const listenSchema = z.string().transform((text, context) => {
  const address = parseListen(text);
  if (address !== undefined) return address;
  context.addIssue({ code: 'custom', message: `not ADDRESS:PORT, such as 0.0.0.0:7443 or [::]:7443: ${text}` });
  return z.NEVER;
});

const configSchema = z.strictObject({
  /** Name of the mesh, a domain name; identities and certificates carry it, so it can never change. */
  mesh: z.string().check(acceptedBy((mesh) => tunnelIdentity(mesh, 'node'))),
  /** What the names of all certificates begin with; can never change either. */
  subject: z.string().check(acceptedBy((subject) => mediationWildcard(subject))),
  /** Where the TLS port listens. */
  listen: listenSchema.default({ host: '0.0.0.0', port: 7443 }),
  /** Where the operator's API listens besides its socket, for holders of API tokens; nowhere when it is left out. */
  api: z.strictObject({ listen: listenSchema }).exactOptional(),
  /** Addresses and names under which nodes reach it; the server's certificate is made for them. */
  advertise: z
    .array(z.string().refine((host) => isIP(host) !== 0 || HOST_NAME.test(host), 'neither an address nor a host name'))
    .min(1)
    .max(32),
  stateDir: absolutePathSchema.default('/var/lib/cygnet-coordinator'),
  /**
   * File with the public part of a signing key that is kept elsewhere: then every change waits for `meshctl sign`. Without
   * it the coordinator makes a key of its own.
   */
  signingKey: absolutePathSchema.exactOptional(),
  /** A CA of the operator's instead of one that the coordinator makes; all PEM, `chain` only when it is not a root. */
  ca: z
    .strictObject({
      certificate: absolutePathSchema,
      key: absolutePathSchema,
      chain: absolutePathSchema.exactOptional(),
    })
    .exactOptional(),
  apiSocket: ownSocketPathSchema.default(COORDINATOR_SOCKET_DEFAULT),
  logLevel: z.enum(LOG_LEVELS).default('info'),
  certificates: certificatePolicySchema.prefault({}),
});
export type CoordinatorConfig = Readonly<z.output<typeof configSchema>>;

const HOST_NAME =
  /^(?=.{1,253}$)([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)*[A-Za-z]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/;

/** Reads and checks the file. Throws a ConfigError. */
export function readCoordinatorConfig(path: string): CoordinatorConfig {
  return readConfigFile(path, configSchema);
}

/** The rules for names are identity's; it throws an error whose message says what is wrong. */
function acceptedBy(use: (value: string) => unknown): z.core.CheckFn<string> {
  return (context) => {
    try {
      use(context.value);
    } catch (error) {
      context.issues.push({ code: 'custom', message: messageOf(error), input: context.value });
    }
  };
}

function parseListen(text: string): { readonly host: string; readonly port: number } | undefined {
  const [, bracketed, bare, port = ''] = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text) ?? [];
  const host = bracketed ?? bare ?? '';
  if (isIP(host) !== (bracketed === undefined ? 4 : 6) || Number(port) > 65_535) return undefined;
  return { host, port: Number(port) };
}
