//! What the benchmarks beside other libraries share: keys, our half of each operation, the rounds and
//! the table.

mod ours;
mod report;
mod rounds;

pub use ours::{AUDIENCE, ISSUER, Keys, Ours, claims};
pub use report::Report;

/// The sizes of content measured, in bytes.
pub const SIZES: [usize; 3] = [300, 4 * 1024, 1024 * 1024];
