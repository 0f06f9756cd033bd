import { integer, mapOf, optional, sectionOf, text, texts } from './reader.ts';

/** charon's version, and where it runs. */
export interface ViciVersion {
  /** `charon`, `charon-systemd`, … */
  readonly daemon: string;
  /** Such as `5.9.8`. */
  readonly version: string;
  /** `Linux`. */
  readonly sysname: string;
  /** Of the kernel. */
  readonly release: string;
  /** Such as `x86_64`. */
  readonly machine: string;
}

/** Jobs or threads by priority. */
export interface ViciByPriority {
  /** What must not wait: reading sockets. */
  readonly critical: number;
  /** What others wait for: incoming messages, the other commands. */
  readonly high: number;
  /** Set-ups that this side begins. */
  readonly medium: number;
  /** The rest. */
  readonly low: number;
}

/** How charon is doing. */
export interface ViciStats {
  /** Since when. */
  readonly uptime: {
    /** In words, such as `2 hours`. */
    readonly running: string;
    /** Start of the daemon, in its local time, as `Nov 24 00:10:54 2026`. Computed from the wall clock, so it moves with it. */
    readonly since: string;
  };
  /** Worker threads. With none idle for long charon is frozen. */
  readonly workers: {
    /** 16 unless configured otherwise. */
    readonly total: number;
    /** Free ones. Blocking commands take one each. */
    readonly idle: number;
    /** Busy ones; four always are, in `critical`. */
    readonly active: ViciByPriority;
  };
  /** Jobs that wait for a thread. */
  readonly queues: ViciByPriority;
  /** Jobs that wait for their time. */
  readonly scheduled: number;
  /** IKE SAs. */
  readonly ikesas: {
    /** All of them. */
    readonly total: number;
    /** Those that a peer began and has not finished. */
    readonly 'half-open': number;
  };
  /** What is loaded, in order. */
  readonly plugins: readonly string[];
  /** Memory in bytes; absent where the C library does not tell. */
  readonly mallinfo?:
    | {
        /** Bytes from the ordinary heap. */
        readonly sbrk: number;
        /** Bytes in mappings of their own. */
        readonly mmap: number;
        /** Bytes in use. */
        readonly used: number;
        /** Bytes that are free for use again. */
        readonly free: number;
      }
    | undefined;
}

/** What `terminate` did. */
export interface ViciTerminated {
  /** SAs that the selector found. */
  readonly matches: number;
  /** Those that are gone, or with `timeout: -1` will be. When fewer than `matches` the command throws. */
  readonly terminated: number;
}

/** What `rekey` or `redirect` found. */
export interface ViciMatched {
  /** SAs that the selector found; the work itself goes on behind the answer. None throws. */
  readonly matches: number;
}

/** A loaded private key. */
export interface ViciLoadedKey {
  /** Hex SHA-1 of the public key, by which it is unloaded. */
  readonly id: string;
}

/** Names of connections. */
export interface ViciConnNames {
  /** Of all that were loaded over VICI, by whomever, in no order. */
  readonly conns: readonly string[];
}

/** Ids of keys or secrets. */
export interface ViciKeyIds {
  /** Of all that were loaded over VICI, by whomever. */
  readonly keys: readonly string[];
}

/** Names of authorities. */
export interface ViciAuthorityNames {
  /** Of all that were loaded over VICI, by whomever. */
  readonly authorities: readonly string[];
}

/** A lease of a pool. */
export interface ViciLease {
  /** The virtual address. */
  readonly address: string;
  /** Whose it is. */
  readonly identity: string;
  /** `online` or `offline`. */
  readonly status: string;
}

/** A pool of virtual addresses. */
export interface ViciPool {
  /** Its first address; of a whole subnet, up to 5.9.14, the address of the subnet, which is given to nobody. */
  readonly base: string;
  /** How many addresses it has. */
  readonly size: number;
  /** Leases in use. */
  readonly online: number;
  /** Leases kept for their owners. */
  readonly offline: number;
  /** By number, from 0. Empty unless asked for. */
  readonly leases: ReadonlyMap<string, ViciLease>;
}

/** What happened since charon's start or the last `reset-counters`. */
export interface ViciCounters {
  /**
   * By connection, then by what is counted: `ike-rekey-init`, `ike-init-in-req`, `invalid-spi`, `info-out-resp`, … The
   * empty name holds the global ones.
   */
  readonly counters: ReadonlyMap<string, ReadonlyMap<string, number>>;
}

const byPriority = sectionOf<ViciByPriority>({ critical: integer, high: integer, medium: integer, low: integer });

/** Reads the reply of `version`. */
export const version = sectionOf<ViciVersion>({
  daemon: text,
  version: text,
  sysname: text,
  release: text,
  machine: text,
});

/** Reads the reply of `stats`. */
export const stats = sectionOf<ViciStats>({
  uptime: sectionOf<ViciStats['uptime']>({ running: text, since: text }),
  workers: sectionOf<ViciStats['workers']>({ total: integer, idle: integer, active: byPriority }),
  queues: byPriority,
  scheduled: integer,
  ikesas: sectionOf<ViciStats['ikesas']>({ total: integer, 'half-open': integer }),
  plugins: texts,
  mallinfo: optional(
    sectionOf<NonNullable<ViciStats['mallinfo']>>({ sbrk: integer, mmap: integer, used: integer, free: integer }),
  ),
});

/** Reads the reply of `terminate`. */
export const terminated = sectionOf<ViciTerminated>({ matches: integer, terminated: integer });
/** Reads the reply of `rekey` and `redirect`. */
export const matched = sectionOf<ViciMatched>({ matches: integer });
/** Reads the reply of `load-key` and `load-token`. */
export const loadedKey = sectionOf<ViciLoadedKey>({ id: text });
/** Reads the reply of `get-conns`. */
export const connNames = sectionOf<ViciConnNames>({ conns: texts });
/** Reads the reply of `get-keys` and `get-shared`. */
export const keyIds = sectionOf<ViciKeyIds>({ keys: texts });
/** Reads the reply of `get-authorities`. */
export const authorityNames = sectionOf<ViciAuthorityNames>({ authorities: texts });

const lease = sectionOf<ViciLease>({ address: text, identity: text, status: text });

/** Reads the reply of `get-pools`: pools by name. */
export const pools = mapOf(
  sectionOf<ViciPool>({ base: text, size: integer, online: integer, offline: integer, leases: mapOf(lease) }),
);

/**
 * Reads the reply of `get-algorithms`: by kind, then by algorithm, the plugin that has it. Key exchange methods are of
 * kind `dh` up to 5.9.14 and `ke` since 6.0.0.
 */
export const algorithms = mapOf(mapOf(text));

/** Reads the reply of `get-counters`. */
export const counters = sectionOf<ViciCounters>({ counters: mapOf(mapOf(integer)) });
