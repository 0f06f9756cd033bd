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
];
