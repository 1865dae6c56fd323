//! JSON Web Token (RFC 7519): claims, signed and encrypted as a context says.
//!
//! [`seal`] and [`open`] do all of it. For a protocol that comes between the steps, each step is a type
//! that only the step before makes: [`SignedJwt`] is what can be encrypted, and a [`ReceivedJwt`]
//! becomes a [`DecryptedJwt`], whose claims nobody sees before its signature is verified.

mod claims;
mod explain;
mod nested;
mod steps;

pub use claims::{Claims, Clock, FixedClock, SystemClock};
pub use explain::{Explanation, explain, explain_outside};
pub use nested::{DecryptedUnsigned, Opened, OuterKeys, open, seal};
pub use steps::{DecryptedJwt, ReceivedJwt, SignedJwt};
