//! A bounded pool of sessions: never more than the configuration allows, none shared by two threads.

use std::sync::atomic::{AtomicUsize, Ordering, fence};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError, Weak, mpsc};
use std::time::{Duration, Instant};

use crossbeam_queue::ArrayQueue;
use cryptoki::session::Session;
use cryptoki::slot::Slot;

use super::fault::Fault;
use super::module::{Entry, Module, lock};
use super::raw::Calls;

/// How long an operation waits for a free session.
pub(super) const WAIT: Duration = Duration::from_secs(10);

/// How long a wait lasts at most before it is looked again.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// The sessions of one keystore, but for the one that keeps the login.
pub(super) struct Pool {
    module: Arc<Module>,
    slot: Arc<Mutex<Slot>>,
    idle: ArrayQueue<Opened>,
    /// Sessions that are idle, lent or being opened.
    count: AtomicUsize,
    max: usize,
    waiters: AtomicUsize,
    freed: (Mutex<()>, Condvar),
    replacer: OnceLock<Mutex<mpsc::Sender<Opened>>>,
}

/// A session, and the generation of the module in which it was opened.
pub(super) struct Opened {
    pub(super) session: Session,
    pub(super) generation: u64,
}

/// A session lent to one operation. Dropped without [`Lease::end`] (by a panic) it is closed.
pub(super) struct Lease<'a> {
    pool: &'a Pool,
    opened: Option<Opened>,
    /// Given back last: until then the module is not finalized.
    _entry: Entry<'a>,
}

/// What becomes of a session after an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is as good as before.
    Keep,
    /// It is closed: after any error that is not about a ciphertext.
    Close,
    /// The module does not know it any more: its number may be another's by now.
    Forget,
    /// It is closed and another opened in its place, by another thread.
    Replace,
}

impl Pool {
    /// Makes a pool of at most `max` sessions.
    pub(super) fn new(module: Arc<Module>, slot: Slot, max: usize) -> Arc<Self> {
        Arc::new(Self {
            module,
            slot: Arc::new(Mutex::new(slot)),
            idle: ArrayQueue::new(max),
            count: AtomicUsize::new(0),
            max,
            waiters: AtomicUsize::new(0),
            freed: Default::default(),
            replacer: OnceLock::new(),
        })
    }

    /// Returns the slot of the token.
    pub(super) fn slot(&self) -> Slot {
        *lock(&self.slot)
    }

    /// Returns the place of the slot, which others can look at for as long as the pool lives.
    pub(super) fn place(&self) -> &Arc<Mutex<Slot>> {
        &self.slot
    }

    /// Takes the slot in which the token was found again.
    pub(super) fn set_slot(&self, slot: Slot) {
        *lock(&self.slot) = slot;
    }

    /// Returns how many sessions are open.
    pub(super) fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    /// Lends an idle session or opens one; gives `entry` back where all are lent.
    pub(super) fn take<'a>(
        &'a self,
        entry: Entry<'a>,
    ) -> Result<Result<Lease<'a>, Entry<'a>>, Fault> {
        let generation = self.module.generation();
        let lend = |opened, entry| Lease { pool: self, opened: Some(opened), _entry: entry };
        while let Some(opened) = self.idle.pop() {
            if opened.generation == generation {
                return Ok(Ok(lend(opened, entry)));
            }
            self.release();
        }
        let room = |count| (count < self.max).then_some(count + 1);
        if self.count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, room).is_err() {
            return Ok(Err(entry));
        }
        match self.module.open_session(self.slot()) {
            Ok(session) => Ok(Ok(lend(Opened { session, generation }, entry))),
            Err(fault) => {
                self.release();
                Err(fault)
            }
        }
    }

    /// Waits until a session may be free, here or, where the token `is_full`, anywhere: nobody tells
    /// of those that others give back. False when `until` has passed.
    pub(super) fn wait(&self, until: Instant, is_full: bool) -> bool {
        let guard = lock(&self.freed.0);
        self.waiters.fetch_add(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        let left = until.saturating_duration_since(Instant::now());
        if self.idle.is_empty() && (is_full || self.count() >= self.max) && !left.is_zero() {
            let waited = self.freed.1.wait_timeout(guard, left.min(LOOK_AGAIN));
            drop(waited.unwrap_or_else(PoisonError::into_inner));
        }
        self.waiters.fetch_sub(1, Ordering::SeqCst);
        !left.is_zero()
    }

    /// Closes every idle session.
    pub(super) fn close_idle(&self) {
        while let Some(opened) = self.idle.pop() {
            self.module.close(opened);
            self.release();
        }
    }

    /// Starts the thread that replaces sessions which a rejected ciphertext has left unusable.
    pub(super) fn start_replacer(self: &Arc<Self>) {
        let (sender, receiver) = mpsc::channel::<Opened>();
        if self.replacer.set(Mutex::new(sender)).is_err() {
            return;
        }
        let pool = Arc::downgrade(self);
        let module = self.module.clone();
        // Ends when the pool is dropped, and the sender with it.
        let started = std::thread::Builder::new()
            .name("hsm-jose sessions".to_owned())
            .spawn(move || receiver.iter().for_each(|opened| replace(&pool, &module, opened)));
        if let Err(error) = started {
            tracing::warn!(%error, "no thread for replacing sessions");
        }
    }

    fn put(&self, opened: Opened) {
        if let Err(opened) = self.idle.push(opened) {
            self.module.close(opened);
            self.release();
        } else {
            self.notify();
        }
    }

    /// Counts a session off.
    fn release(&self) {
        self.count.fetch_sub(1, Ordering::SeqCst);
        self.notify();
    }

    fn notify(&self) {
        fence(Ordering::SeqCst);
        if self.waiters.load(Ordering::SeqCst) > 0 {
            drop(lock(&self.freed.0));
            self.freed.1.notify_one();
        }
    }
}

impl Lease<'_> {
    /// Returns the session.
    pub(super) fn session(&self) -> &Session {
        let opened = self.opened.as_ref();
        &opened.expect("a session").session // invariant: taken by `end` and `drop` only
    }

    /// Returns the calls of the hot path, where the module has them.
    pub(super) fn calls(&self) -> Option<&Calls> {
        self.pool.module.known_calls()
    }

    /// Gives the session back.
    pub(super) fn end(mut self, fate: Fate) {
        let Some(opened) = self.opened.take() else { return };
        match fate {
            Fate::Keep => self.pool.put(opened),
            Fate::Close => {
                self.pool.module.close(opened);
                self.pool.release();
            }
            Fate::Forget => self.pool.release(),
            Fate::Replace => {
                let left = match self.pool.replacer.get() {
                    Some(sender) => lock(sender).send(opened).err().map(|unsent| unsent.0),
                    None => Some(opened),
                };
                // Nobody to replace it: the next operation opens another.
                if let Some(opened) = left {
                    self.pool.module.close(opened);
                    self.pool.release();
                }
            }
        }
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        if let Some(opened) = self.opened.take() {
            self.pool.module.close(opened);
            self.pool.release();
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if let Ok(_entry) = self.module.enter("") {
            self.close_idle();
        }
    }
}

impl Module {
    /// Closes a session, unless its number means nothing any more. The caller holds an [`Entry`].
    pub(super) fn close(&self, opened: Opened) {
        if opened.generation != self.generation() || self.is_forked() {
            return;
        }
        if let Err(error) = opened.session.close() {
            tracing::debug!(%error, "closing a session");
        }
    }
}

fn replace(pool: &Weak<Pool>, module: &Module, opened: Opened) {
    // Upgraded first: the pool is dropped, and enters the module again, after the entry.
    let pool = pool.upgrade();
    let entry = module.enter("");
    if entry.is_ok() {
        module.close(opened);
    }
    let Some(pool) = &pool else { return };
    let Ok(_entry) = entry else { return pool.release() };
    let generation = module.generation();
    match module.open_session(pool.slot()) {
        Ok(session) => pool.put(Opened { session, generation }),
        Err(fault) => {
            tracing::debug!(%fault, "replacing a session");
            pool.release();
        }
    }
}
