//! JSON Web Signature (RFC 7515): a payload signed by a key in a device, and verified on the host.

mod sign;
mod verify;

pub use sign::{JwsParameters, sign, sign_detached};
pub(crate) use verify::is_for_signatures;
pub use verify::{JwsToken, TrustedKeys, Verified};
