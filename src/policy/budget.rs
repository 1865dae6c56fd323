//! How many failed decryptions a peer may cause.

use std::time::Duration;

use crate::error::{Error, Result};

/// How many failed decryptions one peer may cause with one key within a time.
///
/// Every answer to a bad token is the same, but it is an answer. What is left of a padding oracle
/// after that needs many of them; a budget takes them away.
///
/// An engine remembers the failures of [`MAX_ACCOUNTS`] pairs of key and peer, in at most 50 megabytes
/// whatever the budget is; of more, those with the fewest failures are forgotten first. So whoever may
/// call himself by any number of names has any number of budgets: name a peer by what you have
/// authenticated.
///
/// ```
/// use std::time::Duration;
///
/// use hsm_jose::policy::FailureBudget;
///
/// let budget = FailureBudget::new(10, Duration::from_secs(60))?;
/// assert_eq!(budget.failures(), 10);
/// assert!(FailureBudget::new(0, Duration::from_secs(60)).is_err());
/// # Ok::<(), hsm_jose::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailureBudget {
    failures: u32,
    window: Duration,
}

/// The most failures that a budget can allow. Manger's attack on OAEP needs about 1,100 answers for
/// a 1024-bit key ("A Chosen Ciphertext Attack on RSA Optimal Asymmetric Encryption Padding",
/// CRYPTO 2001): a budget over that bounds nothing.
pub const MAX_FAILURES: u32 = 1000;

/// The longest window of a budget: a day. Failures are remembered in memory for as long.
pub const MAX_WINDOW: Duration = Duration::from_secs(24 * 60 * 60);

/// How many pairs of key and peer are remembered at once, in 750 bytes each.
pub const MAX_ACCOUNTS: usize = 65_536;

impl FailureBudget {
    /// The budget of the profile `strict`: 32 failures in an hour. An honest peer with a stale key
    /// notices within a few; at this pace, Manger's attack takes more than a day for each token.
    pub const STRICT: Self = Self { failures: 32, window: Duration::from_secs(60 * 60) };

    /// Allows `failures` (1 to [`MAX_FAILURES`]) within any `window` (1 ms to [`MAX_WINDOW`]).
    ///
    /// Never more are allowed. A failure of a budget of more than 32 may count for a 31st of the window
    /// longer.
    ///
    /// # Errors
    /// [`Error::Config`] for numbers outside of these.
    pub fn new(failures: u32, window: Duration) -> Result<Self> {
        if !(1..=MAX_FAILURES).contains(&failures) {
            return Err(Error::Config(format!(
                "a budget of {failures} failed decryptions: from 1 to {MAX_FAILURES}"
            )));
        }
        if window < Duration::from_millis(1) || window > MAX_WINDOW {
            return Err(Error::Config(format!(
                "a budget's window is at most {} seconds, and not 0",
                MAX_WINDOW.as_secs()
            )));
        }
        Ok(Self { failures, window })
    }

    /// Returns how many failures are allowed within the window.
    pub const fn failures(self) -> u32 {
        self.failures
    }

    /// Returns the window.
    pub const fn window(self) -> Duration {
        self.window
    }
}
