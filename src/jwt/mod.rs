//! JSON Web Token (RFC 7519): claims, signed and encrypted as a context says.

mod claims;
mod nested;

pub use claims::{Claims, Clock, FixedClock, SystemClock};
pub use nested::{DecryptedUnsigned, Opened, OuterKeys, open, seal};
