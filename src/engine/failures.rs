//! Failed decryptions, counted for each key and peer.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::policy::FailureBudget;

/// How many pairs of key and peer are remembered at once: some tens of megabytes at the most. Beyond
/// it, those who failed the longest ago are forgotten.
const MAX_ACCOUNTS: usize = 65_536;

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
    /// Tokens that were refused, unread, because the budget of their peer was spent.
    pub refused: u64,
}

/// The accounts of a budget.
#[derive(Debug)]
pub(super) struct Failures {
    budget: FailureBudget,
    accounts: Mutex<HashMap<Holder, Account>>,
    settled: Condvar,
    failed: AtomicU64,
    refused: AtomicU64,
}

/// A kid, and the SHA-256 of a peer's name: of one length, whatever the caller calls its peers.
type Holder = (String, [u8; 32]);

#[derive(Debug, Default)]
struct Account {
    /// When the failures were that still count, the oldest first.
    failures: VecDeque<Instant>,
    /// Decryptions that have begun and not ended.
    in_flight: usize,
}

/// Leave to try a token with some keys. Dropped without a word, it was no failure.
#[derive(Debug)]
pub(super) struct Leave<'f> {
    failures: &'f Failures,
    holders: Vec<Holder>,
}

impl Failures {
    pub(super) fn new(budget: FailureBudget) -> Self {
        Self {
            budget,
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
        let peer: [u8; 32] = Sha256::digest(peer.as_bytes()).into();
        // A token that names one key several times fails with it once: the peer gets one answer.
        let kids: BTreeSet<&str> = kids.iter().copied().collect();
        let holders: Vec<Holder> = kids.into_iter().map(|kid| (kid.to_owned(), peer)).collect();
        let most = self.budget.failures() as usize;
        let mut accounts = self.lock();
        loop {
            let now = Instant::now();
            let mut must_wait = false;
            for holder in &holders {
                let Some(account) = accounts.get_mut(holder) else { continue };
                account.forget_before(now, self.budget.window());
                if account.failures.len() >= most {
                    let oldest = account.failures.front().copied().unwrap_or(now);
                    let kid = holder.0.clone();
                    return Err(self.spent(kid, self.budget.window() - (now - oldest)));
                }
                must_wait |= account.failures.len() + account.in_flight >= most;
            }
            if !must_wait {
                break;
            }
            accounts = self.settled.wait(accounts).unwrap_or_else(PoisonError::into_inner);
        }
        for holder in &holders {
            accounts.entry(holder.clone()).or_default().in_flight += 1;
        }
        Ok(Leave { failures: self, holders })
    }

    fn spent(&self, kid: String, retry_after: Duration) -> Error {
        let refused = self.refused.fetch_add(1, Ordering::Relaxed) + 1;
        tracing::warn!(target: "hsm_jose", kid, refused, "the failure budget of a peer is spent");
        // Rounded up: at that time it is not spent any more.
        Error::BudgetSpent { kid, retry_after: retry_after.as_secs() + 1 }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Holder, Account>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Leave<'_> {
    /// Says that the token did not decrypt.
    pub(super) fn failed(self) {
        let now = Instant::now();
        let failures = self.failures;
        failures.failed.fetch_add(1, Ordering::Relaxed);
        let mut accounts = failures.lock();
        make_room(&mut accounts, now, failures.budget.window());
        for holder in &self.holders {
            if let Some(account) = accounts.get_mut(holder) {
                account.failures.push_back(now);
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

impl Account {
    fn forget_before(&mut self, now: Instant, window: Duration) {
        while self.failures.front().is_some_and(|at| now.duration_since(*at) >= window) {
            self.failures.pop_front();
        }
    }

    fn is_empty(&self) -> bool {
        self.failures.is_empty() && self.in_flight == 0
    }
}

fn make_room(accounts: &mut HashMap<Holder, Account>, now: Instant, window: Duration) {
    if accounts.len() < MAX_ACCOUNTS {
        return;
    }
    accounts.retain(|_, account| {
        account.forget_before(now, window);
        !account.is_empty()
    });
    if accounts.len() < MAX_ACCOUNTS {
        return;
    }
    // Many at once, so that a full table is not searched again at the next failure.
    let idle = accounts.iter().filter(|(_, account)| account.in_flight == 0);
    let mut idle: Vec<_> =
        idle.map(|(holder, account)| (account.failures.back().copied(), holder.clone())).collect();
    idle.sort_unstable_by_key(|(latest, _)| *latest);
    for (_, holder) in idle.into_iter().take(MAX_ACCOUNTS / 16) {
        accounts.remove(&holder);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failures(most: u32, window: Duration) -> Failures {
        Failures::new(FailureBudget::new(most, window).unwrap())
    }

    const LONG: Duration = Duration::from_secs(600);

    #[test]
    fn a_spent_budget_refuses_its_peer_and_key_and_no_other() {
        let failures = failures(2, LONG);
        for _ in 0..2 {
            failures.leave(&["a"], "mallory").unwrap().failed();
        }
        let refused = failures.leave(&["a"], "mallory").unwrap_err();
        assert!(
            matches!(&refused, Error::BudgetSpent { kid, retry_after: 599..=600 } if kid == "a"),
            "{refused:?}"
        );
        assert!(failures.leave(&["b", "a"], "mallory").is_err());
        assert!(failures.leave(&["b"], "mallory").is_ok());
        assert!(failures.leave(&["a"], "alice").is_ok());
        assert_eq!(failures.counts(), FailureCounts { failed: 2, refused: 2 });
    }

    #[test]
    fn a_token_that_names_one_key_twice_fails_with_it_once() {
        let failures = failures(2, LONG);
        failures.leave(&["a", "b", "a"], "alice").unwrap().failed();
        assert!(failures.leave(&["a"], "alice").is_ok());
        failures.leave(&["a"], "alice").unwrap().failed();
        assert!(failures.leave(&["a"], "alice").is_err());
    }

    #[test]
    fn what_succeeds_or_never_was_asked_costs_nothing() {
        let failures = failures(1, LONG);
        for _ in 0..100 {
            drop(failures.leave(&["a"], "alice").unwrap());
        }
        assert!(failures.lock().is_empty());
        assert_eq!(failures.counts(), FailureCounts::default());
    }

    #[test]
    fn failures_are_forgotten_after_the_window() {
        let failures = failures(1, Duration::from_millis(50));
        failures.leave(&["a"], "alice").unwrap().failed();
        assert!(failures.leave(&["a"], "alice").is_err());
        std::thread::sleep(Duration::from_millis(60));
        assert!(failures.leave(&["a"], "alice").is_ok());
    }

    #[test]
    fn threads_do_not_multiply_a_budget_and_good_tokens_wait_for_each_other() {
        let bad = failures(5, LONG);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    while let Ok(leave) = bad.leave(&["a"], "mallory") {
                        std::thread::yield_now();
                        leave.failed();
                    }
                });
            }
        });
        assert_eq!(bad.counts(), FailureCounts { failed: 5, refused: 8 });

        let good = failures(2, LONG);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let leave = good.leave(&["a"], "alice").unwrap();
                    std::thread::sleep(Duration::from_millis(1));
                    drop(leave);
                });
            }
        });
        assert_eq!(good.counts(), FailureCounts::default());
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let failures = failures(1, LONG);
        failures.leave(&["a"], "first").unwrap().failed();
        for peer in 0..MAX_ACCOUNTS + 9 {
            failures.leave(&["a"], &peer.to_string()).unwrap().failed();
        }
        assert!(failures.lock().len() <= MAX_ACCOUNTS);
        assert!(failures.leave(&["a"], "first").is_ok());
        assert!(failures.leave(&["a"], &(MAX_ACCOUNTS + 8).to_string()).is_err());
    }
}
