import { z } from 'zod';
import { absolutePathSchema, ownSocketPathSchema, readConfigFile, socketPathSchema } from '../config-file.ts';
import { KEY_KINDS } from '../identity/keys.ts';
import { LOG_LEVELS } from '../log.ts';
import { AGENT_SOCKET_DEFAULT } from './api.ts';
import { GROUP_NAME } from './group-id.ts';
import { SERVICE_NAME } from './systemctl.ts';

export const AGENT_CONFIG_DEFAULT = '/etc/cygnet/agent.yaml';

const configSchema = z.strictObject({
  /** charon's VICI socket. */
  viciSocket: socketPathSchema.default('/var/run/charon.vici'),
  /** Keys, desired state and ledger; mode 0700. */
  stateDir: absolutePathSchema.default('/var/lib/cygnet-agent'),
  /** The agent's own socket, for agentctl; its owner's alone. */
  socket: ownSocketPathSchema.default(AGENT_SOCKET_DEFAULT),
  /** Another one for those who may only look; `read.sock` beside the first by default. */
  readSocket: ownSocketPathSchema.exactOptional(),
  /** Who that is: a group of this machine, the agent's own by default. */
  readGroup: z.string().regex(GROUP_NAME, 'no name of a group').exactOptional(),
  logLevel: z.enum(LOG_LEVELS).default('info'),
  /** Kind of the node's keys, made at enrolment. */
  keyType: z.enum(KEY_KINDS).default('ecdsa-p256'),
  /**
   * Files (PEM) of the operator's PKI for IKE, in place of the certificate that the mesh's CA issues: `certificate` and `key`
   * are this node's own, and may be left out; `ca` has issued those of the mesh's nodes, and the CAs above it follow.
   */
  ike: z
    .strictObject({
      ca: absolutePathSchema,
      certificate: absolutePathSchema.exactOptional(),
      key: absolutePathSchema.exactOptional(),
    })
    .refine(
      ({ certificate, key }) => (certificate === undefined) === (key === undefined),
      'certificate and key belong together',
    )
    .exactOptional(),
  /** Seconds between full looks at charon when nothing else causes one. */
  resyncSeconds: z.number().int().min(1).max(3600).default(10),
  /**
   * UDP ports on which a mediator or hub tells others how they look from outside, and on which this node asks its own
   * mediators and hubs: the same on all nodes of a mesh. Two of them tell the kind of NAT; none turns both off.
   */
  reflectorPorts: z
    .array(z.number().int().min(1).max(65_535))
    .max(4)
    .refine((ports) => new Set(ports).size === ports.length, 'a port is named twice')
    .default([7445, 7446]),
  /**
   * The systemd service of charon, which the agent restarts when charon is frozen: that costs every tunnel of the node
   * for a moment, and needs a rule that lets the agent (systemd/polkit-restart-charon.rules).
   */
  restartFrozenCharon: z
    .string()
    .refine((value) => value === 'never' || SERVICE_NAME.test(value), 'never, or a service such as strongswan.service')
    .default('never'),
});
export type AgentConfig = Readonly<z.output<typeof configSchema>>;

/** Reads and checks the file. Throws a ConfigError. */
export function readAgentConfig(path: string): AgentConfig {
  return readConfigFile(path, configSchema);
}
