//! The failures of one peer with one key, in little memory however many they are.

use crate::policy::FailureBudget;

/// How many spells an account has at the most, of 16 bytes each. Budgets of so many failures or fewer,
/// that of profile `strict` among them, are counted to the nanosecond.
pub(super) const MAX_SPELLS: usize = 32;

/// A budget, with its times in nanoseconds.
#[derive(Debug)]
pub(super) struct Terms {
    /// How many failures are allowed within the window.
    pub(super) most: usize,
    window: u64,
    /// How long a spell lasts; 0 where each failure has its own.
    spell: u64,
}

#[derive(Debug, Default)]
pub(super) struct Account {
    /// The failures that still count, the oldest first.
    spells: Vec<Spell>,
    /// Decryptions that have begun and not ended.
    pub(super) in_flight: usize,
}

/// Failures of one stretch of time, each counted as if it were the latest: never for too short.
#[derive(Debug)]
struct Spell {
    latest: u64,
    failures: u32,
}

impl Terms {
    pub(super) fn of(budget: FailureBudget) -> Self {
        let most = budget.failures() as usize;
        // invariant: a window is a day at most.
        let window = u64::try_from(budget.window().as_nanos()).unwrap_or(u64::MAX);
        // A window of 31 spells touches 32 of them at the most.
        let spell = match most <= MAX_SPELLS {
            true => 0,
            false => window.div_ceil(MAX_SPELLS as u64 - 1),
        };
        Self { most, window, spell }
    }
}

impl Account {
    /// Returns for how many nanoseconds the budget is spent, if it is at `now`.
    pub(super) fn spent_for(&mut self, terms: &Terms, now: u64) -> Option<u64> {
        self.forget(terms, now);
        let oldest = self.spells.first()?;
        (self.failures() >= terms.most).then(|| (oldest.latest + terms.window).saturating_sub(now))
    }

    pub(super) fn add_failure(&mut self, terms: &Terms, now: u64) {
        self.forget(terms, now);
        match self.spells.last_mut() {
            Some(last) if terms.spell > 0 && last.latest / terms.spell == now / terms.spell => {
                last.latest = now;
                last.failures += 1;
            }
            _ => self.spells.push(Spell { latest: now, failures: 1 }),
        }
    }

    /// Forgets what does not count any more.
    pub(super) fn forget(&mut self, terms: &Terms, now: u64) {
        let is_over = |spell: &Spell| now.saturating_sub(spell.latest) >= terms.window;
        let over = self.spells.iter().take_while(|spell| is_over(spell)).count();
        self.spells.drain(..over);
    }

    /// Returns how many failures count.
    pub(super) fn failures(&self) -> usize {
        self.spells.iter().map(|spell| spell.failures as usize).sum()
    }

    /// Returns when the latest failure was.
    pub(super) fn latest(&self) -> Option<u64> {
        self.spells.last().map(|spell| spell.latest)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.spells.is_empty() && self.in_flight == 0
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const WINDOW: u64 = 3_600_000_000_000;

    fn terms(most: u32) -> Terms {
        Terms::of(FailureBudget::new(most, Duration::from_nanos(WINDOW)).unwrap())
    }

    /// Fails whenever it may, with pauses of a length that varies, and at once when a spent budget says
    /// that it is not spent any more.
    fn failures(terms: &Terms, pauses: &[u64], count: usize) -> Vec<u64> {
        let (mut account, mut now, mut failed) = (Account::default(), 7, Vec::new());
        for turn in 0..count {
            if let Some(nanoseconds) = account.spent_for(terms, now) {
                assert!(account.spent_for(terms, now + nanoseconds - 1).is_some());
                assert!(nanoseconds <= WINDOW, "{nanoseconds}");
                now += nanoseconds;
                assert_eq!(account.spent_for(terms, now), None);
                // Not much later than each failure counted for itself would have it.
                let counted_since = now.saturating_sub(WINDOW + terms.spell + 1);
                let counted = failed.iter().filter(|at| **at >= counted_since).count();
                assert!(counted >= terms.most, "{counted}");
            }
            account.add_failure(terms, now);
            failed.push(now);
            assert!(account.spells.len() <= MAX_SPELLS, "{}", account.spells.len());
            assert!(account.spells.capacity() <= MAX_SPELLS);
            now += pauses[turn % pauses.len()];
        }
        failed
    }

    #[test]
    fn no_window_has_more_failures_than_the_budget_and_no_account_more_spells_than_it_may() {
        let second = 1_000_000_000;
        for pauses in
            [&[0][..], &[second], &[11 * second, 1, 0, 250 * second], &[WINDOW / 31], &[WINDOW - 1]]
        {
            for most in [1, 2, 31, 32, 33, 100, 1000] {
                let failed = failures(&terms(most), pauses, 5000);
                let apart =
                    failed.windows(most as usize + 1).map(|few| few[most as usize] - few[0]);
                let nearest = apart.min().unwrap();
                assert!(nearest >= WINDOW, "{most} {pauses:?}: {nearest}");
            }
        }
    }

    #[test]
    fn a_small_budget_is_counted_exactly() {
        let terms = terms(32);
        let mut account = Account::default();
        for now in 0..32 {
            account.add_failure(&terms, now);
        }
        assert_eq!(account.spent_for(&terms, 31), Some(WINDOW - 31));
        assert_eq!(account.spent_for(&terms, WINDOW), None);
        assert_eq!(account.failures(), 31);
    }
}
