-- Everything the broker must not lose. Valid for SQLite and PostgreSQL alike.
-- Instants are epoch milliseconds. Columns named in docs/storage.md as sealed hold JWE text, never a secret in clear.

CREATE TABLE servers (
  name TEXT PRIMARY KEY,
  transport TEXT NOT NULL CHECK (transport IN ('http', 'sse', 'stdio')),
  url TEXT,
  kind TEXT NOT NULL CHECK (kind IN ('oauth', 'client_credentials', 'bearer', 'headers', 'identity', 'none')),
  resource TEXT,
  pinned_issuer TEXT,
  settings TEXT NOT NULL,
  tool_policy TEXT NOT NULL,
  created_at BIGINT NOT NULL
);

-- Tools of a server as somebody accepted them. Their digests are in the tool policy, which is what counts.
CREATE TABLE pinned_tools (
  server TEXT NOT NULL REFERENCES servers (name) ON DELETE CASCADE,
  name TEXT NOT NULL,
  digest TEXT NOT NULL,
  definition TEXT NOT NULL,
  accepted_at BIGINT NOT NULL,
  PRIMARY KEY (server, name)
);

CREATE TABLE clients (
  id TEXT PRIMARY KEY,
  issuer TEXT NOT NULL,
  redirect_uri TEXT NOT NULL,
  is_web INTEGER NOT NULL,
  source TEXT NOT NULL CHECK (source IN ('configured', 'metadata_document', 'registered')),
  client_id TEXT NOT NULL,
  auth_method TEXT NOT NULL,
  generation BIGINT NOT NULL,
  secrets TEXT NOT NULL,
  client_secret_expires_at BIGINT,
  registration_client_uri TEXT,
  server_metadata TEXT NOT NULL,
  created_at BIGINT NOT NULL
);

CREATE INDEX clients_by_issuer ON clients (issuer, redirect_uri);

CREATE TABLE connections (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  server TEXT NOT NULL REFERENCES servers (name),
  account TEXT,
  client_row_id TEXT REFERENCES clients (id),
  state TEXT NOT NULL,
  code TEXT,
  cause TEXT,
  since BIGINT NOT NULL,
  next_attempt_at BIGINT,
  ask_again_at BIGINT,
  failures INTEGER NOT NULL,
  generation BIGINT NOT NULL,
  scope TEXT,
  account_identity TEXT,
  expected_account TEXT,
  received_at BIGINT NOT NULL,
  access_expires_at BIGINT,
  has_refresh_token INTEGER NOT NULL,
  rotates INTEGER,
  refresh_received_at BIGINT,
  refresh_expires_at BIGINT,
  refresh_is_prolonged INTEGER NOT NULL,
  last_error_code TEXT,
  last_error_cause TEXT,
  last_error_at BIGINT,
  secrets TEXT NOT NULL,
  spare TEXT,
  spare_generation BIGINT,
  created_at BIGINT NOT NULL,
  last_used_at BIGINT
);

CREATE INDEX connections_by_expiry ON connections (access_expires_at);

-- The journal: a row is synced to disk before a refresh token is presented, and closed with the answer.
CREATE TABLE rotations (
  connection_id TEXT NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
  generation BIGINT NOT NULL,
  attempt INTEGER NOT NULL,
  refresh_token_fingerprint TEXT NOT NULL,
  started_at BIGINT NOT NULL,
  finished_at BIGINT,
  outcome TEXT,
  PRIMARY KEY (connection_id, generation, attempt)
);

CREATE TABLE leases (
  name TEXT PRIMARY KEY,
  owner TEXT NOT NULL,
  fence BIGINT NOT NULL,
  expires_at BIGINT NOT NULL
);

CREATE TABLE logins (
  id TEXT PRIMARY KEY,
  state_digest TEXT NOT NULL UNIQUE,
  connection TEXT NOT NULL,
  client_row_id TEXT REFERENCES clients (id) ON DELETE CASCADE,
  issuer TEXT NOT NULL,
  redirect_uri TEXT NOT NULL,
  begun_by TEXT,
  secrets TEXT,
  expires_at BIGINT NOT NULL,
  used_at BIGINT,
  ended_at BIGINT,
  account_identity TEXT,
  error_code TEXT,
  error_message TEXT,
  forget_at BIGINT NOT NULL
);

CREATE TABLE agents (
  name TEXT PRIMARY KEY,
  key_digest TEXT NOT NULL UNIQUE,
  key_prefix TEXT NOT NULL,
  previous_key_digest TEXT UNIQUE,
  previous_key_prefix TEXT,
  previous_key_ends_at BIGINT,
  previous_key_used_at BIGINT,
  policy TEXT NOT NULL,
  expires_at BIGINT,
  revoked_at BIGINT,
  created_at BIGINT NOT NULL,
  last_used_at BIGINT
);

-- Sessions of MCP servers that agents opened through the gateway. Found by digest: an id could let somebody in.
CREATE TABLE sessions (
  connection TEXT NOT NULL,
  id_digest TEXT NOT NULL,
  agent TEXT NOT NULL REFERENCES agents (name),
  created_at BIGINT NOT NULL,
  last_used_at BIGINT NOT NULL,
  PRIMARY KEY (connection, id_digest)
);

-- Append-only, one chain for all writers: the MAC of a row covers the row and the MAC before it.
CREATE TABLE audit (
  sequence BIGINT PRIMARY KEY NOT NULL,
  writer TEXT NOT NULL,
  at BIGINT NOT NULL,
  actor TEXT NOT NULL,
  action TEXT NOT NULL,
  connection TEXT,
  outcome TEXT NOT NULL,
  detail TEXT NOT NULL,
  mac TEXT NOT NULL
);

CREATE INDEX audit_by_time ON audit (at, sequence);

-- One row, made with the vault: where the chain ends, and where it begins since old rows were removed.
CREATE TABLE audit_head (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  sequence BIGINT NOT NULL,
  mac TEXT NOT NULL,
  removed BIGINT NOT NULL,
  removed_mac TEXT NOT NULL,
  removed_until BIGINT,
  removed_at BIGINT,
  seal TEXT NOT NULL
);

-- What people were told of a connection. No reference: what was said of one that is gone was said all the same.
CREATE TABLE notices (
  id TEXT PRIMARY KEY,
  sequence BIGINT NOT NULL UNIQUE,
  connection_id TEXT NOT NULL,
  connection TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('transition', 'reminder', 'recovery')),
  level INTEGER NOT NULL,
  state TEXT NOT NULL,
  code TEXT,
  cause TEXT,
  next_step TEXT,
  message TEXT NOT NULL,
  step INTEGER NOT NULL,
  began_at BIGINT NOT NULL,
  told_at BIGINT NOT NULL
);

CREATE INDEX notices_by_connection ON notices (connection_id, sequence);

-- How each notice gets to people: one row for each way. A claim keeps other processes from sending it too.
CREATE TABLE notice_deliveries (
  notice_id TEXT NOT NULL REFERENCES notices (id) ON DELETE CASCADE,
  way TEXT NOT NULL CHECK (way IN ('command', 'webhook')),
  attempts INTEGER NOT NULL,
  next_attempt_at BIGINT,
  claimed_by TEXT,
  claimed_at BIGINT,
  outcome TEXT,
  failure TEXT,
  ended_at BIGINT,
  PRIMARY KEY (notice_id, way)
);

-- One row for each data key and master key that wraps it.
CREATE TABLE keys (
  id TEXT NOT NULL,
  purpose TEXT NOT NULL CHECK (purpose IN ('data', 'audit')),
  master_key_id TEXT NOT NULL,
  wrapped TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (id, master_key_id)
);

-- For Keyv: what may be lost. Never a credential.
CREATE TABLE cache (
  key TEXT NOT NULL,
  value TEXT NOT NULL,
  namespace TEXT NOT NULL DEFAULT '',
  expires BIGINT,
  UNIQUE (key, namespace)
);
