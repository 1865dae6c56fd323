//! Interleaved rounds: our operation and the peer's in turns, so that a drift of the machine meets both.

use std::time::Duration;

use hsm_jose::primitives::random;
use rustix::time::{ClockId, clock_gettime};

/// How long one side runs before the other has its turn, in processor time: short, so that both meet
/// the same machine, and long against the clock's own cost.
const SLICE: Duration = Duration::from_millis(8);

/// Rounds of one row where the command line says nothing.
pub(crate) const ROUNDS: usize = 61;

/// Rounds before those that count: caches, lazily made tables, the clock of the processor.
const WARM_UP: usize = 3;

/// What the rounds of one row gave.
pub(crate) struct Measured {
    /// Processor time of one operation of ours, in microseconds: the median.
    pub ours_us: f64,
    /// The same of the peer.
    pub theirs_us: f64,
    /// Their time over ours, the throughput of ours over theirs: first quartile, median, third.
    pub ratio: [f64; 3],
}

/// Runs both sides in turns. Which is first is drawn anew for each round.
pub(crate) fn alternate(
    rounds: usize,
    ours: &mut dyn FnMut(),
    theirs: &mut dyn FnMut(),
) -> Measured {
    let counts = [count(ours), count(theirs)];
    let (mut times, mut ratios) = ([Vec::new(), Vec::new()], Vec::new());
    for round in 0..rounds + WARM_UP {
        let mut coin = [0];
        random::fill(&mut coin);
        let mut turn = [0.0; 2];
        for side in if coin[0] & 1 == 0 { [0, 1] } else { [1, 0] } {
            turn[side] = match side {
                0 => time(counts[0], ours),
                _ => time(counts[1], theirs),
            };
        }
        if round >= WARM_UP {
            ratios.push(turn[1] / turn[0]);
            times[0].push(turn[0]);
            times[1].push(turn[1]);
        }
    }
    let [ours, theirs] = times.map(|times| quartiles(times)[1]);
    Measured { ours_us: ours, theirs_us: theirs, ratio: quartiles(ratios) }
}

/// How many operations fill a slice.
fn count(run: &mut dyn FnMut()) -> u32 {
    run();
    let mut count = 1;
    loop {
        let us = time(count, run) * f64::from(count);
        let slice_us = SLICE.as_secs_f64() * 1e6;
        if us * 4.0 >= slice_us {
            return ((f64::from(count) * slice_us / us) as u32).max(1);
        }
        count *= 2;
    }
}

/// Processor time of one of `count` operations, in microseconds. The thread's own clock: what other
/// processes of the machine take meanwhile is not counted.
fn time(count: u32, run: &mut dyn FnMut()) -> f64 {
    let start = now();
    for _ in 0..count {
        run();
    }
    (now() - start).as_secs_f64() * 1e6 / f64::from(count)
}

fn now() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

fn quartiles(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    [1, 2, 3].map(|quarter| values[(values.len() - 1) * quarter / 4])
}
