//! The deny-list of JWTs: what was revoked before it expired.
//!
//! `DenyList` is the source of truth, an SQLite file. Validators never read it per request: each process keeps a
//! `LocalCopy` that polls for what is new, so a revocation goes unnoticed for up to one polling interval. An entry
//! lives until no token that it names could be accepted any more, which bounds both sides by the revocations of one
//! token lifetime.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use rand::rngs::{ChaCha20Rng, SysRng};
use rand::{Rng as _, SeedableRng as _};
use rusqlite::{Connection, params};
use tokio::task::JoinHandle;

use crate::clock::{Clock, UnixTime};

/// Polls that may fail in a row before validators stop trusting their copy and refuse.
const TOLERATED_POLLS: u32 = 10;

/// Where polls are so frequent that ten of them are soon over, this is tolerated instead: a slow disk is no outage.
const TOLERATED_TIME: Duration = Duration::from_secs(1);

/// Time between two clean-ups of the local copy: frequent beside a token's minutes, rare beside a poll.
const PRUNE_EVERY: Duration = Duration::from_secs(30);

/// Parts of the local copy that are locked separately, so that workers do not meet on one lock.
const SHARDS: usize = 64;

/// What is revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Revocation {
    /// One token, by its `jti`.
    Token(String),
    /// Every token of a subject with `iat` not after a time in seconds.
    Subject {
        /// `sub`.
        sub: String,
        /// Last `iat` that is refused.
        issued_until: u64,
    },
}

/// The source of truth.
pub(crate) struct DenyList {
    database: Mutex<Connection>,
}

/// The list was not made or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FillError {
    #[error(transparent)]
    Database(#[from] rusqlite::Error),
    #[error("the operating system has no random bytes: {0}")]
    Random(#[from] rand::rngs::SysError),
}

const INSERT: &str = "INSERT INTO revoked (name, issued_until, until) VALUES (?1, ?2, ?3)";

/// One row of the list.
struct Entry {
    revision: i64,
    revocation: Revocation,
    /// Seconds since 1970 from which on the entry is of no use.
    until: u64,
}

impl DenyList {
    /// Opens the list in a file, or makes one.
    pub(crate) fn open(file: &Path) -> rusqlite::Result<Self> {
        let database = Connection::open(file)?;
        database.busy_timeout(Duration::from_secs(1))?;
        database.pragma_update(None, "journal_mode", "WAL")?;
        // An acknowledged revocation survives a power cut.
        database.pragma_update(None, "synchronous", "FULL")?;
        // AUTOINCREMENT: a revision is never used again, so "newer than" stays true after a clean-up.
        database.execute_batch(
            "CREATE TABLE IF NOT EXISTS revoked (
                 revision     INTEGER PRIMARY KEY AUTOINCREMENT,
                 name         TEXT NOT NULL,
                 issued_until INTEGER,
                 until        INTEGER NOT NULL
             ) STRICT;
             CREATE INDEX IF NOT EXISTS revoked_until ON revoked (until);",
        )?;
        Ok(Self { database: Mutex::new(database) })
    }

    /// Records a revocation that matters until `until`, and forgets those that no longer do. Durable on return.
    pub(crate) fn add(&self, revocation: &Revocation, until: UnixTime, now: UnixTime) -> rusqlite::Result<()> {
        let (name, issued_until) = match revocation {
            Revocation::Token(jti) => (jti, None),
            Revocation::Subject { sub, issued_until } => (sub, Some(*issued_until as i64)),
        };
        let mut database = self.lock();
        let transaction = database.transaction()?;
        transaction.prepare_cached("DELETE FROM revoked WHERE until <= ?1")?.execute(params![now.as_secs() as i64])?;
        transaction.prepare_cached(INSERT)?.execute(params![name, issued_until, until.as_secs() as i64])?;
        transaction.commit()
    }

    /// Adds tokens that nobody holds until there are `population` entries that still matter; a list that was filled in
    /// an earlier life stays as it is.
    pub(crate) fn fill(&self, population: usize, until: UnixTime, now: UnixTime) -> Result<(), FillError> {
        let mut database = self.lock();
        let held: i64 = database.query_row(
            "SELECT count(*) FROM revoked WHERE until > ?1",
            params![now.as_secs() as i64],
            |row| row.get(0),
        )?;
        let missing = population.saturating_sub(held.unsigned_abs() as usize);
        if missing == 0 {
            return Ok(());
        }
        let mut rng = ChaCha20Rng::try_from_rng(&mut SysRng)?;
        let transaction = database.transaction()?;
        {
            let mut insert = transaction.prepare_cached(INSERT)?;
            for _ in 0..missing {
                let jti = format!("{:016x}{:016x}", rng.next_u64(), rng.next_u64());
                insert.execute(params![jti, None::<i64>, until.as_secs() as i64])?;
            }
        }
        transaction.commit()?;
        Ok(())
    }

    /// Hands what was added after a revision to `each`, one by one: the whole list is not copied first.
    fn newer_than(&self, revision: i64, mut each: impl FnMut(Entry)) -> rusqlite::Result<()> {
        let database = self.lock();
        let mut query = database.prepare_cached(
            "SELECT revision, name, issued_until, until FROM revoked WHERE revision > ?1 ORDER BY revision",
        )?;
        let rows = query.query_map(params![revision], |row| {
            let (name, issued_until): (String, Option<i64>) = (row.get(1)?, row.get(2)?);
            let revocation = match issued_until {
                None => Revocation::Token(name),
                Some(seconds) => Revocation::Subject { sub: name, issued_until: seconds.unsigned_abs() },
            };
            Ok(Entry { revision: row.get(0)?, revocation, until: row.get::<_, i64>(3)?.unsigned_abs() })
        })?;
        for entry in rows {
            each(entry?);
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        // A panic in between leaves at worst an open transaction, which SQLite rolls back.
        self.database.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The copy could not be refreshed for too long: a revoked token might pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stale;

/// What a validator knows of the list.
pub(crate) struct LocalCopy {
    source: Arc<DenyList>,
    clock: Clock,
    /// `jti` to the second from which on the entry is of no use.
    tokens: [RwLock<HashMap<Box<str>, u64>>; SHARDS],
    /// `sub` to the last refused `iat` and the end of the entry.
    subjects: RwLock<HashMap<Box<str>, (u64, u64)>>,
    progress: Mutex<Progress>,
    poll: Duration,
    missed_polls: AtomicU32,
    tolerated_polls: u32,
}

struct Progress {
    revision: i64,
    next_prune: UnixTime,
}

impl LocalCopy {
    /// Reads the whole list once: a restarted server knows at once what was revoked before. `poll` is the time between
    /// two reads and more than nothing.
    pub(crate) fn read(source: Arc<DenyList>, clock: Clock, poll: Duration) -> rusqlite::Result<Arc<Self>> {
        let in_time = TOLERATED_TIME.as_nanos() / poll.as_nanos().max(1);
        let copy = Self {
            poll,
            tolerated_polls: u32::try_from(in_time).unwrap_or(u32::MAX).max(TOLERATED_POLLS),
            progress: Mutex::new(Progress { revision: 0, next_prune: clock.now() }),
            source,
            clock,
            tokens: std::array::from_fn(|_| RwLock::default()),
            subjects: RwLock::default(),
            missed_polls: AtomicU32::new(0),
        };
        copy.refresh()?;
        Ok(Arc::new(copy))
    }

    /// Whether a token is revoked, as far as the copy knows.
    ///
    /// # Errors
    /// [`Stale`] once too many polls in a row have failed.
    pub(crate) fn refuses(&self, jti: &str, sub: &str, iat: Duration) -> Result<bool, Stale> {
        if self.missed_polls.load(Ordering::Relaxed) > self.tolerated_polls {
            return Err(Stale);
        }
        if self.shard(jti).read().unwrap_or_else(PoisonError::into_inner).contains_key(jti) {
            return Ok(true);
        }
        let subjects = self.subjects.read().unwrap_or_else(PoisonError::into_inner);
        Ok(subjects.get(sub).is_some_and(|(issued_until, _)| iat.as_secs() <= *issued_until))
    }

    /// Entries held: what the copy costs in memory, about 100 bytes each.
    pub(crate) fn len(&self) -> usize {
        let tokens = self.tokens.iter().map(|shard| shard.read().unwrap_or_else(PoisonError::into_inner).len());
        tokens.sum::<usize>() + self.subjects.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Reads what is new by its revision, so that a poll of a long list costs no more than one of a short list, and now
    /// and then drops what is of no use any more.
    pub(crate) fn refresh(&self) -> rusqlite::Result<()> {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        self.source.newer_than(progress.revision, |entry| {
            progress.revision = entry.revision;
            match entry.revocation {
                Revocation::Token(jti) => {
                    let mut shard = self.shard(&jti).write().unwrap_or_else(PoisonError::into_inner);
                    let until = shard.entry(jti.into()).or_default();
                    *until = entry.until.max(*until);
                }
                Revocation::Subject { sub, issued_until } => {
                    let mut subjects = self.subjects.write().unwrap_or_else(PoisonError::into_inner);
                    let (last, until) = subjects.entry(sub.into()).or_default();
                    (*last, *until) = (issued_until.max(*last), entry.until.max(*until));
                }
            }
        })?;
        self.missed_polls.store(0, Ordering::Relaxed);
        let now = self.clock.now();
        if progress.next_prune <= now {
            progress.next_prune = UnixTime(now.0 + PRUNE_EVERY);
            self.prune(now);
        }
        Ok(())
    }

    /// Refreshes at the polling interval from a random phase on, as independent validators would, until the copy is
    /// dropped.
    pub(crate) fn keep_fresh(self: &Arc<Self>) {
        let (copy, interval) = (Arc::downgrade(self), self.poll);
        tokio::spawn(async move {
            tokio::time::sleep(interval.mul_f64(rand::random::<f64>())).await;
            let mut ticks = tokio::time::interval(interval);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            let mut reading: Option<JoinHandle<()>> = None;
            loop {
                ticks.tick().await;
                let Some(copy) = copy.upgrade() else { return };
                // Counted before the read, so that one that hangs is missed too.
                copy.missed_polls.fetch_add(1, Ordering::Relaxed);
                if reading.as_ref().is_none_or(JoinHandle::is_finished) {
                    reading = Some(tokio::task::spawn_blocking(move || copy.refresh_or_warn()));
                }
            }
        });
    }

    fn refresh_or_warn(&self) {
        if let Err(error) = self.refresh() {
            let missed = self.missed_polls.load(Ordering::Relaxed);
            tracing::warn!(%error, missed, tolerated = self.tolerated_polls, "deny-list not read");
        }
    }

    fn prune(&self, now: UnixTime) {
        for shard in &self.tokens {
            shard.write().unwrap_or_else(PoisonError::into_inner).retain(|_, until| *until > now.as_secs());
        }
        let mut subjects = self.subjects.write().unwrap_or_else(PoisonError::into_inner);
        subjects.retain(|_, (_, until)| *until > now.as_secs());
        drop(subjects);
        tracing::debug!(entries = self.len(), "deny-list pruned");
    }

    fn shard(&self, jti: &str) -> &RwLock<HashMap<Box<str>, u64>> {
        let mixed = jti.bytes().fold(0_usize, |mixed, byte| mixed.wrapping_mul(31).wrapping_add(usize::from(byte)));
        &self.tokens[mixed % SHARDS]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ClockMode;

    const HOUR: Duration = Duration::from_secs(3600);

    struct Fixture {
        dir: tempfile::TempDir,
        clock: Clock,
        source: Arc<DenyList>,
        copy: Arc<LocalCopy>,
    }

    fn fixture() -> Fixture {
        let (dir, clock) = (tempfile::tempdir().unwrap(), Clock::new(ClockMode::Controlled));
        let source = Arc::new(DenyList::open(&dir.path().join("denylist.sqlite")).unwrap());
        let copy = LocalCopy::read(source.clone(), clock.clone(), HOUR).unwrap();
        Fixture { dir, clock, source, copy }
    }

    impl Fixture {
        fn revoke(&self, jti: &str, lifetime: Duration) {
            let now = self.clock.now();
            self.source.add(&Revocation::Token(jti.to_owned()), UnixTime(now.0 + lifetime), now).unwrap();
        }
    }

    #[test]
    fn a_revocation_counts_from_the_next_refresh_on() {
        let fixture = fixture();
        fixture.revoke("a", HOUR);
        assert_eq!(fixture.copy.refuses("a", "s", Duration::ZERO), Ok(false), "not polled yet");
        fixture.copy.refresh().unwrap();
        assert_eq!(fixture.copy.refuses("a", "s", Duration::ZERO), Ok(true));
        assert_eq!(fixture.copy.refuses("b", "s", Duration::ZERO), Ok(false));
        fixture.revoke("b", HOUR);
        fixture.copy.refresh().unwrap();
        assert_eq!(fixture.copy.refuses("b", "s", Duration::ZERO), Ok(true));
        assert_eq!(fixture.copy.len(), 2);
    }

    #[test]
    fn a_subject_is_revoked_up_to_a_time() {
        let fixture = fixture();
        let now = fixture.clock.now();
        let revocation = Revocation::Subject { sub: "app-1".to_owned(), issued_until: 500 };
        fixture.source.add(&revocation, UnixTime(now.0 + HOUR), now).unwrap();
        fixture.copy.refresh().unwrap();
        let refuses = |sub, iat| fixture.copy.refuses("j", sub, Duration::from_secs_f64(iat)).unwrap();
        assert!(refuses("app-1", 500.0) && refuses("app-1", 500.9) && refuses("app-1", 3.0));
        assert!(!refuses("app-1", 501.0) && !refuses("app-2", 500.0));
    }

    #[test]
    fn a_population_is_filled_up_once_read_once_and_grows_by_what_is_revoked() {
        let Fixture { dir: _dir, clock, source, copy } = fixture();
        let now = clock.now();
        let fill = |population| source.fill(population, UnixTime(now.0 + HOUR), now).unwrap();
        source.add(&Revocation::Token("a".to_owned()), UnixTime(now.0 + HOUR), now).unwrap();
        for (population, held) in [(0, 1), (1, 1), (3_000, 3_000), (3_000, 3_000), (7, 3_000)] {
            fill(population);
            copy.refresh().unwrap();
            assert_eq!(copy.len(), held);
        }
        let revision = copy.progress.lock().unwrap().revision;
        source.newer_than(revision, |_| panic!("nothing is new")).unwrap();
        source.add(&Revocation::Token("b".to_owned()), UnixTime(now.0 + HOUR), now).unwrap();
        let mut new = 0;
        source.newer_than(revision, |_| new += 1).unwrap();
        assert_eq!(new, 1, "a poll reads what is new and nothing else");
        copy.refresh().unwrap();
        assert_eq!(copy.len(), 3_001);
        assert_eq!(copy.refuses("b", "s", Duration::ZERO), Ok(true));
        assert_eq!(copy.refuses("c", "s", Duration::ZERO), Ok(false));
        // What no longer matters does not count.
        clock.advance(2 * HOUR).unwrap();
        let now = clock.now();
        source.fill(10, UnixTime(now.0 + HOUR), now).unwrap();
        copy.refresh().unwrap();
        assert_eq!(copy.len(), 10);
    }

    #[test]
    fn a_restart_forgets_nothing() {
        let Fixture { dir, clock, source, copy } = fixture();
        let now = clock.now();
        source.add(&Revocation::Token("a".to_owned()), UnixTime(now.0 + HOUR), now).unwrap();
        drop((source, copy));
        let source = Arc::new(DenyList::open(&dir.path().join("denylist.sqlite")).unwrap());
        assert_eq!(LocalCopy::read(source, clock, HOUR).unwrap().refuses("a", "s", Duration::ZERO), Ok(true));
    }

    #[test]
    fn entries_go_when_they_are_of_no_use() {
        let fixture = fixture();
        fixture.revoke("short", HOUR);
        fixture.revoke("long", 3 * HOUR);
        fixture.copy.refresh().unwrap();
        fixture.clock.advance(2 * HOUR).unwrap();
        fixture.revoke("new", HOUR);
        fixture.copy.refresh().unwrap();
        assert_eq!(fixture.copy.len(), 2);
        assert_eq!(fixture.copy.refuses("short", "s", Duration::ZERO), Ok(false));
        assert_eq!(fixture.copy.refuses("long", "s", Duration::ZERO), Ok(true));
        let mut left = 0;
        fixture.source.newer_than(0, |_| left += 1).unwrap();
        assert_eq!(left, 2, "the source forgets too");
    }

    #[test]
    fn revoking_twice_keeps_the_longer_end() {
        let fixture = fixture();
        fixture.revoke("a", 3 * HOUR);
        fixture.revoke("a", HOUR);
        fixture.copy.refresh().unwrap();
        fixture.clock.advance(2 * HOUR).unwrap();
        fixture.copy.refresh().unwrap();
        assert_eq!(fixture.copy.refuses("a", "s", Duration::ZERO), Ok(true));
    }

    #[test]
    fn a_copy_that_cannot_be_refreshed_refuses_to_answer() {
        let fixture = fixture();
        fixture.source.lock().execute_batch("ALTER TABLE revoked RENAME TO gone").unwrap();
        for _ in 0..TOLERATED_POLLS {
            fixture.copy.missed_polls.fetch_add(1, Ordering::Relaxed);
            fixture.copy.refresh_or_warn();
        }
        assert_eq!(fixture.copy.refuses("a", "s", Duration::ZERO), Ok(false), "still within the bound");
        fixture.copy.missed_polls.fetch_add(1, Ordering::Relaxed);
        fixture.copy.refresh_or_warn();
        assert_eq!(fixture.copy.refuses("a", "s", Duration::ZERO), Err(Stale));
        fixture.source.lock().execute_batch("ALTER TABLE gone RENAME TO revoked").unwrap();
        fixture.copy.refresh().unwrap();
        assert_eq!(fixture.copy.refuses("a", "s", Duration::ZERO), Ok(false));
    }

    #[tokio::test]
    async fn polling_notices_by_itself() {
        let fixture = fixture();
        let poll = Duration::from_millis(2);
        let copy = LocalCopy::read(fixture.source.clone(), fixture.clock.clone(), poll).unwrap();
        assert_eq!(copy.tolerated_polls, 500);
        copy.keep_fresh();
        fixture.revoke("a", HOUR);
        let noticed = async {
            while copy.refuses("a", "s", Duration::ZERO) != Ok(true) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), noticed).await.expect("the poll runs");
    }
}
