//! Failed decryptions, counted for each key and peer.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::policy::{FailureBudget, MAX_ACCOUNTS};
use account::{Account, Terms};

mod account;
#[cfg(test)]
mod tests;

/// What has been counted since the engine was made.
///
/// ```
/// use hsm_jose::engine::FailureCounts;
///
/// let counts = FailureCounts::default();
/// assert_eq!((counts.failed, counts.refused), (0, 0));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FailureCounts {
    /// Decryptions that failed, of tokens whose peer was named.
    pub failed: u64,
    /// Tokens that could have been tried, and were refused because the budget of their peer was spent.
    pub refused: u64,
}

/// The accounts of a budget.
#[derive(Debug)]
pub(super) struct Failures {
    terms: Terms,
    begun: Instant,
    accounts: Mutex<HashMap<Holder, Account>>,
    settled: Condvar,
    failed: AtomicU64,
    refused: AtomicU64,
}

/// The SHA-256 of a kid and a peer's name: of one length, whatever the caller calls its peers.
type Holder = [u8; 32];

/// Leave to try a token with some keys. Dropped without a word, it was no failure.
#[derive(Debug)]
pub(super) struct Leave<'f> {
    failures: &'f Failures,
    holders: Vec<Holder>,
}

impl Failures {
    pub(super) fn new(budget: FailureBudget) -> Self {
        Self {
            terms: Terms::of(budget),
            begun: Instant::now(),
            accounts: Mutex::default(),
            settled: Condvar::new(),
            failed: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }

    pub(super) fn counts(&self) -> FailureCounts {
        FailureCounts {
            failed: self.failed.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
        }
    }

    /// Gives leave to try a token of `peer` with the keys of `kids`.
    ///
    /// No more are in flight at once than could fail within the budget: further ones of the same
    /// peer and key wait, so that threads do not multiply it.
    ///
    /// # Errors
    /// [`Error::BudgetSpent`], before any device is asked.
    pub(super) fn leave(&self, kids: &[&str], peer: &str) -> Result<Leave<'_>> {
        // A token that names one key several times fails with it once: the peer gets one answer.
        let kids: BTreeSet<&str> = kids.iter().copied().collect();
        let holders: Vec<Holder> = kids.iter().map(|kid| holder(kid, peer)).collect();
        let mut accounts = self.lock();
        loop {
            let now = self.now();
            let mut must_wait = false;
            for (kid, holder) in kids.iter().zip(&holders) {
                let Some(account) = accounts.get_mut(holder) else { continue };
                if let Some(nanoseconds) = account.spent_for(&self.terms, now) {
                    return Err(self.spent(kid, nanoseconds));
                }
                must_wait |= account.failures() + account.in_flight >= self.terms.most;
            }
            if !must_wait {
                break;
            }
            accounts = self.settled.wait(accounts).unwrap_or_else(PoisonError::into_inner);
        }
        for holder in &holders {
            accounts.entry(*holder).or_default().in_flight += 1;
        }
        Ok(Leave { failures: self, holders })
    }

    fn spent(&self, kid: &str, nanoseconds: u64) -> Error {
        let refused = self.refused.fetch_add(1, Ordering::Relaxed) + 1;
        tracing::warn!(target: "hsm_jose", kid, refused, "the failure budget of a peer is spent");
        // Rounded up: at that time it is not spent any more.
        Error::BudgetSpent { kid: kid.to_owned(), retry_after: nanoseconds.div_ceil(1_000_000_000) }
    }

    /// Nanoseconds since the engine was made; a u64 has those of 584 years.
    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Holder, Account>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Leave<'_> {
    /// Says that the token did not decrypt.
    pub(super) fn failed(self) {
        let failures = self.failures;
        failures.failed.fetch_add(1, Ordering::Relaxed);
        let mut accounts = failures.lock();
        // Under the lock, so that what is counted later is not of an earlier time.
        let now = failures.now();
        make_room(&mut accounts, &failures.terms, now);
        for holder in &self.holders {
            if let Some(account) = accounts.get_mut(holder) {
                account.add_failure(&failures.terms, now);
            }
        }
    }
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        let mut accounts = self.failures.lock();
        for holder in &self.holders {
            if let Some(account) = accounts.get_mut(holder) {
                account.in_flight = account.in_flight.saturating_sub(1);
                if account.is_empty() {
                    accounts.remove(holder);
                }
            }
        }
        drop(accounts);
        self.failures.settled.notify_all();
    }
}

fn holder(kid: &str, peer: &str) -> Holder {
    let mut hash = Sha256::new();
    // Of a length that is told, so that no other kid and peer are the same octets.
    hash.update((kid.len() as u64).to_be_bytes());
    hash.update(kid);
    hash.update(peer);
    hash.finalize().into()
}

/// Forgets accounts where there are too many: those of the fewest failures first, so that nobody gets
/// rid of a spent one by failing a little under many names, and of these the oldest.
fn make_room(accounts: &mut HashMap<Holder, Account>, terms: &Terms, now: u64) {
    if accounts.len() < MAX_ACCOUNTS {
        return;
    }
    accounts.retain(|_, account| {
        account.forget(terms, now);
        !account.is_empty()
    });
    if accounts.len() < MAX_ACCOUNTS {
        return;
    }
    // Many at once, so that a full table is not searched again at the next failure.
    let idle = accounts.iter().filter(|(_, account)| account.in_flight == 0);
    let mut idle: Vec<_> =
        idle.map(|(holder, account)| ((account.failures(), account.latest()), *holder)).collect();
    let count = (MAX_ACCOUNTS / 16).min(idle.len());
    if count < idle.len() {
        idle.select_nth_unstable_by_key(count, |(rank, _)| *rank);
    }
    for (_, holder) in &idle[..count] {
        accounts.remove(holder);
    }
}
