//! JSON Web Token (RFC 7519): claims, signed and encrypted as a context says.

mod claims;
mod explain;
mod nested;

pub use claims::{Claims, Clock, FixedClock, SystemClock};
pub use explain::{Explanation, explain, explain_outside};
pub use nested::{DecryptedUnsigned, Opened, OuterKeys, open, seal};
