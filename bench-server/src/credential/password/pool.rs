//! A bounded pool of threads that hash passwords, off the reactor.

use std::num::NonZeroUsize;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use zeroize::Zeroizing;

use super::{HashError, Hasher, Peppers};
use crate::config::PasswordHash;
use crate::telemetry::Meter;

type Job = Box<dyn FnOnce(&mut Hasher) + Send>;

/// Threads that hash, and the jobs that wait for one.
///
/// `threads` × the memory of one hash is what hashing takes at most, whatever the load. Dropping the pool ends the
/// threads, and waits for the hash that each is busy with.
pub struct HashPool {
    /// One permit per job that runs or waits. The channel has no bound of its own and needs none.
    places: Arc<Semaphore>,
    /// `None` only while the pool is being dropped.
    jobs: Option<Sender<Job>>,
    threads: Vec<JoinHandle<()>>,
}

/// Why the pool gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// All threads are busy and the queue is full.
    #[error("all hashing threads are busy and their queue is full")]
    Full,
    /// The hashing thread ended unexpectedly.
    #[error("the hashing thread ended")]
    Stopped,
    /// The hash could not be computed.
    #[error(transparent)]
    Hash(#[from] HashError),
}

impl HashPool {
    /// Starts `threads` threads; `queue` jobs may wait for one.
    ///
    /// # Errors
    /// When the operating system refuses a thread.
    pub fn new(threads: NonZeroUsize, queue: usize, meter: &Arc<Meter>) -> std::io::Result<Self> {
        Self::with_peppers(threads, queue, meter, &Arc::default())
    }

    /// The same with peppers.
    ///
    /// # Errors
    /// As [`HashPool::new`].
    pub fn with_peppers(
        threads: NonZeroUsize,
        queue: usize,
        meter: &Arc<Meter>,
        peppers: &Arc<Peppers>,
    ) -> std::io::Result<Self> {
        let places = threads.get().saturating_add(queue).min(Semaphore::MAX_PERMITS);
        let (jobs, waiting) = channel();
        let waiting = Arc::new(Mutex::new(waiting));
        let mut pool = Self { places: Arc::new(Semaphore::new(places)), jobs: Some(jobs), threads: Vec::new() };
        for number in 0..threads.get() {
            let (waiting, hasher) = (waiting.clone(), Hasher::new(meter.clone()).with_peppers(peppers.clone()));
            let thread = std::thread::Builder::new().name(format!("hash-{number}"));
            pool.threads.push(thread.spawn(move || work(&waiting, hasher))?);
        }
        Ok(pool)
    }

    /// Whether `stored` is the hash of `password`.
    ///
    /// # Errors
    /// As [`HashPool::attempt`], and those of the hash.
    pub async fn verify(&self, password: Zeroizing<String>, stored: Arc<str>) -> Result<bool, PoolError> {
        Ok(self.attempt(move |hasher| hasher.verify(&password, &stored)).await??)
    }

    /// What a job says that looks at a password.
    ///
    /// # Errors
    /// [`PoolError::Full`] at once when no place is free, and [`PoolError::Stopped`].
    pub async fn attempt<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Hasher) -> T + Send + 'static,
    ) -> Result<T, PoolError> {
        let place = self.places.clone().try_acquire_owned().map_err(|_| PoolError::Full)?;
        self.run(place, job).await
    }

    /// Hashes a new password. Waits for a place: whoever sets a password has no reason to be turned away.
    ///
    /// # Errors
    /// See [`PoolError`]; never [`PoolError::Full`].
    pub async fn hash(&self, password: Zeroizing<String>, method: PasswordHash) -> Result<String, PoolError> {
        let place = self.places.clone().acquire_owned().await.map_err(|_| PoolError::Stopped)?;
        Ok(self.run(place, move |hasher| hasher.hash(&password, method)).await??)
    }

    async fn run<T: Send + 'static>(
        &self,
        place: OwnedSemaphorePermit,
        job: impl FnOnce(&mut Hasher) -> T + Send + 'static,
    ) -> Result<T, PoolError> {
        let (answer, answered) = oneshot::channel();
        let job = move |hasher: &mut Hasher| {
            // Nobody waits any more when the caller has gone away: the hash is saved.
            let done = if answer.is_closed() { None } else { Some(job(hasher)) };
            // Before the answer, so that whoever has the answer finds the place free.
            drop(place);
            if let Some(done) = done {
                // An error means that the caller went away meanwhile.
                let _ = answer.send(done);
            }
        };
        let jobs = self.jobs.as_ref().ok_or(PoolError::Stopped)?;
        jobs.send(Box::new(job)).map_err(|_| PoolError::Stopped)?;
        answered.await.map_err(|_| PoolError::Stopped)
    }

    /// A place for a job, for tests that want the pool busy.
    #[cfg(test)]
    pub(crate) fn take_place(&self) -> OwnedSemaphorePermit {
        self.places.clone().try_acquire_owned().expect("a free place")
    }
}

impl Drop for HashPool {
    fn drop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            // An error means that a hash panicked, which its caller has already seen as `Stopped`.
            let _ = thread.join();
        }
    }
}

fn work(waiting: &Mutex<Receiver<Job>>, mut hasher: Hasher) {
    loop {
        // The lock is held while waiting, by one idle thread at a time, and never while hashing.
        let job = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        // An error means that the pool was dropped and no job is left.
        let Ok(job) = job else { return };
        job(&mut hasher);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use std::sync::mpsc;

    const METHOD: PasswordHash = PasswordHash::Pbkdf2Sha256 { iterations: 1 };

    fn pool(threads: usize, queue: usize) -> (Arc<HashPool>, Arc<Meter>) {
        let meter = Arc::<Meter>::default();
        let threads = NonZeroUsize::new(threads).expect("at least one");
        (Arc::new(HashPool::new(threads, queue, &meter).expect("threads")), meter)
    }

    fn secret() -> Zeroizing<String> {
        Zeroizing::new("correct horse".to_owned())
    }

    /// Occupies a thread until the returned sender is dropped; returns once the thread is occupied.
    async fn occupy(pool: &Arc<HashPool>) -> (mpsc::Sender<()>, tokio::task::JoinHandle<Result<(), PoolError>>) {
        let (release, released) = mpsc::channel();
        let (started, running) = oneshot::channel();
        let place = pool.take_place();
        let pool = pool.clone();
        let job = move |_: &mut Hasher| {
            let _ = started.send(());
            let _ = released.recv();
        };
        let task = tokio::spawn(async move { pool.run(place, job).await });
        running.await.expect("the job runs");
        (release, task)
    }

    #[tokio::test]
    async fn hashes_and_verifies_on_every_thread() {
        let (pool, meter) = pool(2, 8);
        let stored: Arc<str> = pool.hash(secret(), METHOD).await.expect("hash").into();
        let wrong = Zeroizing::new("wrong".to_owned());
        let (right, wrong) = tokio::join!(pool.verify(secret(), stored.clone()), pool.verify(wrong, stored.clone()));
        assert!(right.expect("verify"));
        assert!(!wrong.expect("verify"));
        assert_eq!(meter.hash_calls.get(), 3);
    }

    #[tokio::test]
    async fn ba_14_one_more_than_threads_and_queue_is_refused_and_setting_a_password_waits() {
        for queue in [0, 1, 3] {
            let (pool, _) = pool(1, queue);
            let stored: Arc<str> = pool.hash(secret(), METHOD).await.expect("hash").into();
            let (release, occupied) = occupy(&pool).await;
            let mut queued = Vec::new();
            for _ in 0..queue {
                let mut verify = Box::pin(pool.verify(secret(), stored.clone()));
                assert!((&mut verify).now_or_never().is_none());
                queued.push(verify);
            }
            assert!(matches!(pool.verify(secret(), stored.clone()).await, Err(PoolError::Full)), "queue {queue}");
            let mut waits = Box::pin(pool.hash(secret(), METHOD));
            assert!((&mut waits).now_or_never().is_none());

            drop(release);
            occupied.await.expect("the task").expect("the job");
            for verify in queued {
                assert!(verify.await.expect("was queued"));
            }
            waits.await.expect("found a place");
            assert!(pool.verify(secret(), stored).await.expect("free again"));
        }
    }

    #[tokio::test]
    async fn ba_15_no_more_hashes_at_a_time_than_threads() {
        use std::sync::atomic::{AtomicUsize, Ordering};
        let (pool, _) = pool(2, 100);
        let (running, most) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let one = || {
            let (running, most) = (running.clone(), most.clone());
            pool.attempt(move |hasher| {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                let hashed = hasher.hash("correct horse", METHOD);
                running.fetch_sub(1, Ordering::SeqCst);
                hashed
            })
        };
        let all = futures_util::future::join_all((0..100).map(|_| one())).await;
        assert!(all.into_iter().all(|hashed| hashed.expect("a place").is_ok()));
        assert!((1..=2).contains(&most.load(Ordering::SeqCst)), "{most:?}");
    }

    #[tokio::test]
    async fn who_went_away_is_not_hashed_for() {
        let (pool, meter) = pool(1, 8);
        let (release, occupied) = occupy(&pool).await;
        let mut abandoned = Box::pin(pool.hash(secret(), METHOD));
        assert!((&mut abandoned).now_or_never().is_none());
        drop(abandoned);
        drop(release);
        occupied.await.expect("the task").expect("the job");
        pool.hash(secret(), METHOD).await.expect("hash");
        assert_eq!(meter.hash_calls.get(), 1);
    }

    #[tokio::test]
    async fn no_thread_outlives_the_pool() {
        let (pool, meter) = pool(3, 1);
        pool.hash(secret(), METHOD).await.expect("hash");
        assert_eq!(Arc::strong_count(&meter), 1 + 3, "each thread's hasher holds the meter");
        drop(pool);
        assert_eq!(Arc::strong_count(&meter), 1);
    }
}
