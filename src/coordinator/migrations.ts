import { CHAIN_START } from './audit-record.ts';

/** The database's form, step by step; `user_version` counts the steps taken. Steps that were released never change. */
export const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;

  CREATE TABLE spec_revisions (
    revision INTEGER PRIMARY KEY AUTOINCREMENT,
    text TEXT NOT NULL,
    applied_at_ms INTEGER NOT NULL
  ) STRICT;

  CREATE TABLE node_states (
    node TEXT PRIMARY KEY,
    generation INTEGER NOT NULL,
    digest TEXT NOT NULL,
    state TEXT NOT NULL
  ) STRICT;

  CREATE TABLE tokens (
    hash TEXT PRIMARY KEY,
    node TEXT NOT NULL,
    expires_at_ms INTEGER NOT NULL,
    used_at_ms INTEGER
  ) STRICT;

  CREATE TABLE nodes (
    name TEXT PRIMARY KEY,
    channel_key TEXT NOT NULL UNIQUE,
    ike_key TEXT NOT NULL UNIQUE,
    channel_certificate TEXT NOT NULL,
    ike_certificate TEXT NOT NULL,
    enrolled_at_ms INTEGER NOT NULL,
    token_hash TEXT NOT NULL
  ) STRICT;

  CREATE TABLE node_statuses (
    node TEXT PRIMARY KEY REFERENCES nodes (name) ON DELETE CASCADE,
    last_seen_ms INTEGER NOT NULL,
    report TEXT,
    outcome TEXT
  ) STRICT;

  CREATE TABLE events (
    id INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    node TEXT,
    kind TEXT NOT NULL,
    connection TEXT,
    child TEXT,
    message TEXT NOT NULL
  ) STRICT;
  `,
  `
  CREATE TABLE mesh_addresses (
    node TEXT PRIMARY KEY,
    address TEXT NOT NULL
  ) STRICT;
  `,
  `
  CREATE TABLE audit (id INTEGER PRIMARY KEY, hash TEXT NOT NULL, record TEXT NOT NULL) STRICT;

  -- The record after which the log begins: all up to it were removed.
  CREATE TABLE audit_start (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    id INTEGER NOT NULL,
    hash TEXT NOT NULL
  ) STRICT;
  INSERT INTO audit_start (one, id, hash) VALUES (1, 0, '${CHAIN_START}');

  CREATE TRIGGER audit_never_changes BEFORE UPDATE ON audit
  BEGIN SELECT RAISE(ABORT, 'an audit record never changes'); END;

  CREATE TRIGGER audit_grows_at_its_end BEFORE INSERT ON audit
  WHEN NEW.id IS NOT 1 + coalesce((SELECT max(id) FROM audit), (SELECT id FROM audit_start))
  BEGIN SELECT RAISE(ABORT, 'audit records are added at the end only'); END;

  CREATE TRIGGER audit_is_kept BEFORE DELETE ON audit WHEN OLD.id > (SELECT id FROM audit_start)
  BEGIN SELECT RAISE(ABORT, 'audit records are removed from the start only'); END;

  CREATE TRIGGER audit_start_moves_on BEFORE UPDATE ON audit_start
  WHEN NEW.id <= OLD.id OR NEW.hash IS NOT (SELECT hash FROM audit WHERE id = NEW.id)
  BEGIN SELECT RAISE(ABORT, 'the audit log begins after a record that it has'); END;

  CREATE TRIGGER audit_start_stays BEFORE DELETE ON audit_start
  BEGIN SELECT RAISE(ABORT, 'the audit log has one start'); END;
  `,
  `
  ALTER TABLE tokens RENAME TO tokens_of_one_node;
  CREATE TABLE tokens (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    hash TEXT NOT NULL,
    node TEXT,
    node_group TEXT,
    uses INTEGER NOT NULL,
    uses_left INTEGER NOT NULL CHECK (uses_left >= 0),
    expires_at_ms INTEGER NOT NULL,
    revoked_at_ms INTEGER,
    CHECK ((node IS NULL) <> (node_group IS NULL))
  ) STRICT;
  INSERT INTO tokens (id, hash, node, uses, uses_left, expires_at_ms)
    SELECT substr(hash, 1, 12), hash, node, 1, used_at_ms IS NULL, expires_at_ms FROM tokens_of_one_node;
  DROP TABLE tokens_of_one_node;

  CREATE TABLE certificates (
    serial TEXT PRIMARY KEY,
    node TEXT NOT NULL,
    key TEXT NOT NULL,
    not_after_ms INTEGER NOT NULL,
    revoked_at_ms INTEGER
  ) STRICT;
  CREATE INDEX certificates_by_node ON certificates (node);
  CREATE INDEX certificates_by_key ON certificates (key);

  CREATE TABLE revocations (
    node TEXT PRIMARY KEY,
    reason TEXT,
    revoked_at_ms INTEGER NOT NULL,
    newest_token INTEGER NOT NULL,
    readmitted_at_ms INTEGER
  ) STRICT;
  `,
  `
  DELETE FROM meta WHERE key = 'epoch';

  ALTER TABLE node_states ADD COLUMN allow_mass_removal INTEGER NOT NULL DEFAULT 0;

  CREATE TABLE signing_keys (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL UNIQUE,
    introduction TEXT
  ) STRICT;

  CREATE TABLE issued_states (
    node TEXT PRIMARY KEY,
    signed TEXT NOT NULL,
    state TEXT NOT NULL,
    base TEXT,
    delta TEXT
  ) STRICT;
  `,
  `
  CREATE TABLE api_tokens (
    name TEXT PRIMARY KEY,
    hash TEXT NOT NULL UNIQUE,
    role TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL,
    expires_at_ms INTEGER NOT NULL,
    revoked_at_ms INTEGER,
    last_used_at_ms INTEGER
  ) STRICT;
  `,
  `
  -- A certificate that a node was given and has not used yet.
  CREATE TABLE next_channel_certificates (
    node TEXT PRIMARY KEY REFERENCES nodes (name) ON DELETE CASCADE,
    key TEXT NOT NULL UNIQUE,
    certificate TEXT NOT NULL
  ) STRICT;
  `,
  `
  CREATE TABLE crl (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    number INTEGER NOT NULL,
    issued_at_ms INTEGER NOT NULL,
    revoked_count INTEGER NOT NULL,
    der TEXT NOT NULL
  ) STRICT;
  CREATE INDEX certificates_revoked ON certificates (revoked_at_ms) WHERE revoked_at_ms IS NOT NULL;
  `,
  `
  CREATE TABLE restores (backup_made_at_ms INTEGER NOT NULL, restored_at_ms INTEGER NOT NULL) STRICT;
  `,
  `
  -- What a certificate that a node has renewed is for; null for those of enrolments, and for all that came before this column.
  ALTER TABLE certificates ADD COLUMN renewed TEXT;
  `,
  `
  -- A node whose IKE certificate the operator places has none of the mesh's: the two columns may be null. SQLite changes no
  -- column, and what refers to a table follows it when that is renamed, so both of those are made anew as well.
  ALTER TABLE nodes RENAME TO nodes_with_ike;
  CREATE TABLE nodes (
    name TEXT PRIMARY KEY,
    channel_key TEXT NOT NULL UNIQUE,
    ike_key TEXT UNIQUE,
    channel_certificate TEXT NOT NULL,
    ike_certificate TEXT,
    enrolled_at_ms INTEGER NOT NULL,
    token_hash TEXT NOT NULL,
    CHECK ((ike_key IS NULL) = (ike_certificate IS NULL))
  ) STRICT;
  INSERT INTO nodes SELECT * FROM nodes_with_ike;

  ALTER TABLE node_statuses RENAME TO former_statuses;
  CREATE TABLE node_statuses (
    node TEXT PRIMARY KEY REFERENCES nodes (name) ON DELETE CASCADE,
    last_seen_ms INTEGER NOT NULL,
    report TEXT,
    outcome TEXT
  ) STRICT;
  INSERT INTO node_statuses SELECT * FROM former_statuses;
  DROP TABLE former_statuses;

  ALTER TABLE next_channel_certificates RENAME TO former_next_certificates;
  CREATE TABLE next_channel_certificates (
    node TEXT PRIMARY KEY REFERENCES nodes (name) ON DELETE CASCADE,
    key TEXT NOT NULL UNIQUE,
    certificate TEXT NOT NULL
  ) STRICT;
  INSERT INTO next_channel_certificates SELECT * FROM former_next_certificates;
  DROP TABLE former_next_certificates;
  DROP TABLE nodes_with_ike;
  `,
];
