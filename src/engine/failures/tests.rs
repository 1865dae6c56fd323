use std::time::{Duration, Instant};

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
    let before = Instant::now();
    failures.leave(&["a"], "alice").unwrap().failed();
    let is_refused = failures.leave(&["a"], "alice").is_err();
    // Where this thread has had to wait, the window may be over already.
    assert!(is_refused || before.elapsed() >= Duration::from_millis(50));
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

#[test]
fn a_spent_account_is_not_forgotten_for_those_who_fail_a_little() {
    let failures = failures(3, LONG);
    for _ in 0..3 {
        failures.leave(&["a"], "mallory").unwrap().failed();
    }
    for peer in 0..MAX_ACCOUNTS + 9 {
        failures.leave(&["a"], &peer.to_string()).unwrap().failed();
    }
    assert!(failures.lock().len() <= MAX_ACCOUNTS);
    assert!(failures.leave(&["a"], "mallory").is_err());
}

/// What [`MAX_ACCOUNTS`] says of memory.
#[test]
fn an_account_takes_less_than_750_bytes() {
    // A table has room for twice as many before it grows, and a byte more for each.
    let table = 2 * (size_of::<Holder>() + size_of::<Account>() + 1);
    assert!(table + 16 * account::MAX_SPELLS < 750, "{table}");
    assert_eq!(holder("a", "bc"), holder("a", "bc"));
    assert_ne!(holder("a", "bc"), holder("ab", "c"));
}
