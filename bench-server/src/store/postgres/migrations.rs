//! The tables of a profile, and how older ones become what this program expects.

use tokio_postgres::{Client, IsolationLevel};

/// Longest name in PostgreSQL, in bytes; a longer one would be cut.
pub(super) const LONGEST_NAME: usize = 63;

/// Each brings the tables from the version of its place to the next; none is ever changed once it was released.
const MIGRATIONS: &[&str] = &[
    "
    CREATE TABLE keys (
        digest      bytea PRIMARY KEY CHECK (octet_length(digest) = 32),
        id          text NOT NULL UNIQUE,
        application text NOT NULL,
        hint        text NOT NULL,
        scopes      text NOT NULL,
        created_ns  bigint NOT NULL,
        expires_ns  bigint,
        revoked     boolean NOT NULL
    );
    CREATE TABLE users (
        name          text PRIMARY KEY,
        password_hash text NOT NULL,
        scopes        text NOT NULL,
        expires_ns    bigint
    );
    CREATE TABLE revocations (
        revision     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        kind         text NOT NULL,
        name         text NOT NULL,
        issued_until bigint,
        until        bigint NOT NULL
    );
    CREATE INDEX revocations_until ON revocations (until);
",
    "
    CREATE TABLE nonces (
        nonce bytea PRIMARY KEY CHECK (octet_length(nonce) = 16),
        until bigint NOT NULL
    );
    CREATE INDEX nonces_until ON nonces (until);
",
    "
    ALTER TABLE keys
        ADD COLUMN suspended boolean NOT NULL DEFAULT false,
        ADD COLUMN pepper    bigint NOT NULL DEFAULT 0,
        ADD COLUMN details   text,
        ADD COLUMN owned     boolean NOT NULL DEFAULT true;
    CREATE INDEX keys_of_owners ON keys (application) WHERE owned;
    CREATE TABLE suspended (
        owner text PRIMARY KEY
    );
    CREATE TABLE usage (
        key_id    text PRIMARY KEY,
        requests  bigint NOT NULL,
        last_used bigint NOT NULL
    );
    CREATE TABLE usage_writers (
        writer text PRIMARY KEY,
        number bigint NOT NULL
    );
",
];

/// Why tables could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub(super) enum MigrationError {
    #[error(
        "the schema \"{schema}\" has version {found}, this program writes {written}; drop it or use a newer program"
    )]
    Newer { schema: String, found: usize, written: usize },
    #[error(transparent)]
    Database(#[from] super::Told),
}

/// Makes the schema and applies what is missing, in one transaction: replicas may start at the same time.
pub(super) async fn apply(client: &mut Client, schema: &str) -> Result<(), MigrationError> {
    let told = super::Told;
    let transaction = client.build_transaction().isolation_level(IsolationLevel::ReadCommitted).start();
    let transaction = transaction.await.map_err(told)?;
    transaction.execute("SELECT pg_advisory_xact_lock(hashtext($1))", &[&schema]).await.map_err(told)?;
    let version_table = format!(
        "CREATE SCHEMA IF NOT EXISTS \"{schema}\";
         CREATE TABLE IF NOT EXISTS layout (version bigint NOT NULL);"
    );
    transaction.batch_execute(&version_table).await.map_err(told)?;
    let version = transaction.query_opt("SELECT version FROM layout", &[]).await.map_err(told)?;
    let version = version.map_or(0, |row| row.get::<_, i64>(0).unsigned_abs() as usize);
    let written = MIGRATIONS.len();
    if version > written {
        return Err(MigrationError::Newer { schema: schema.to_owned(), found: version, written });
    }
    if version < written {
        for migration in &MIGRATIONS[version..] {
            transaction.batch_execute(migration).await.map_err(told)?;
        }
        transaction.execute("DELETE FROM layout", &[]).await.map_err(told)?;
        let record = "INSERT INTO layout (version) VALUES ($1)";
        transaction.execute(record, &[&(written as i64)]).await.map_err(told)?;
    }
    transaction.commit().await.map_err(told)?;
    Ok(())
}
