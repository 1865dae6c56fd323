//! Turns: the bare calls for a slice of time, then the engine, and so on.

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::keys::{self, Bench, unexpected};
use super::{PAYLOAD_LEN, Row};
use crate::backend::BackendError;
use crate::backend::bare::BareCall;
use crate::engine::SignOptions;
use crate::error::Result;

/// How long one side runs before another has its turn.
const SLICE: Duration = Duration::from_millis(50);

/// How many threads share the keys that take turns.
const SHARING: usize = 8;

/// One call of the engine.
type Call<'a> = &'a (dyn Fn() -> Result<()> + Sync);

/// One turn of a side: operations per second.
type Turn<'a> = &'a dyn Fn() -> Result<f64>;

impl Bench {
    /// Measures every operation on this many threads, each for `time`.
    pub(super) fn rows(&self, threads: usize, time: Duration) -> Result<Vec<Row>> {
        let payload = [b'x'; PAYLOAD_LEN];
        let decrypt =
            |token: usize| self.engine.decrypt(self.tokens[token].as_bytes(), None).map(drop);
        let sign = |key: &str| self.engine.sign(key, &SignOptions::default(), &payload).map(drop);
        let open = |context: &str, token: usize| {
            self.engine.open(context, self.tokens[token].as_bytes()).map(drop)
        };
        let row = |operation: &str, key, engine: Call<'_>| -> Result<Row> {
            let measured = self.measure(key, engine, threads, time)?;
            Ok(Row { operation: operation.to_owned(), threads, ..measured })
        };
        let oaep = self.keystore.oaep();
        let mut rows = vec![
            row(&format!("decrypt {oaep} RSA-2048"), 0, &|| decrypt(0))?,
            row("sign PS256 RSA-2048", 1, &|| sign("rsa-sig"))?,
            row("sign ES256 P-256", 2, &|| sign("ec-sig"))?,
            row("decrypt ECDH-ES P-256", 3, &|| decrypt(1))?,
            row(&format!("open {oaep}, PS256 RSA-2048"), 0, &|| open("rsa", 2))?,
            row("open ECDH-ES, ES256 P-256", 3, &|| open("p256", 3))?,
        ];
        if self.keystore.in_turn() > 0 {
            rows.push(self.in_turn(&sign, time)?);
        }
        Ok(rows)
    }

    /// Measures more keys than there is room for: the engine with several threads, and one thread
    /// that makes room by hand.
    fn in_turn(&self, sign: &(dyn Fn(&str) -> Result<()> + Sync), time: Duration) -> Result<Row> {
        let (operation, keys) = (&self.operations[2], &self.keys[self.operations.len()..]);
        let names: Vec<String> = (0..keys.len()).map(keys::in_turn).collect();
        // Once each: known answers.
        names.iter().try_for_each(|name| sign(name))?;
        let next = AtomicUsize::new(0);
        let engine = || sign(&names[next.fetch_add(1, Ordering::Relaxed) % names.len()]);
        let bare_turn = || {
            let call = self.keystore.bare_in_turn(keys, operation)?;
            turn(call.into_iter().collect(), |call: &mut BareCall<'_>| Ok(call()?))
        };
        let engine_turn = || turn(vec![(); SHARING], |()| engine());
        let measured = alternate(&[&bare_turn, &engine_turn], time)?;
        let operation = format!("sign ES256 P-256, {} keys", keys.len());
        let bare = "one thread: TPM2_ContextLoad, TPM2_Sign, TPM2_FlushContext".to_owned();
        Ok(Row { operation, bare, threads: SHARING, ..measured })
    }

    /// Measures the bare operation of key number `key` beside a call of the engine.
    fn measure(&self, key: usize, engine: Call<'_>, threads: usize, time: Duration) -> Result<Row> {
        let (key, operation) = (&self.keys[key], &self.operations[key]);
        let run = |call: &mut BareCall<'_>| Ok(call()?);
        let bare_turn = || {
            let calls = (0..threads).map(|_| self.keystore.bare(key, operation));
            turn(calls.collect::<std::result::Result<Vec<_>, BackendError>>()?, run)
        };
        let clear_turn = || {
            let call = self.keystore.bare_in_clear(key, operation)?;
            turn(call.into_iter().collect(), run)
        };
        let engine_turn = || turn(vec![(); threads], |()| engine());
        let is_guarded = self.keystore.bare_in_clear(key, operation)?.is_some();
        let sides: [Turn<'_>; 3] = [&bare_turn, &engine_turn, &clear_turn];
        let row = alternate(if is_guarded { &sides } else { &sides[..2] }, time)?;
        Ok(Row { bare: self.keystore.calls(operation).to_owned(), ..row })
    }
}

/// Gives each side a turn, and so on for `time`: the bare calls, the engine, and where there is a
/// third the bare calls in the clear.
fn alternate(sides: &[Turn<'_>], time: Duration) -> Result<Row> {
    // Warm up: handles, sessions, known answers.
    sides.iter().try_for_each(|side| side().map(drop))?;
    let mut rates = vec![Vec::new(); sides.len()];
    let mut ratios = Vec::new();
    let start = Instant::now();
    while start.elapsed() < time {
        // Who is first alternates, so that a drift of the machine favours none.
        let mut order: Vec<usize> = (0..sides.len()).collect();
        if ratios.len() % 2 == 1 {
            order.reverse();
        }
        let mut round = vec![0.0; sides.len()];
        for side in order {
            round[side] = sides[side]()?;
        }
        ratios.push(round[1] / round[0]);
        rates.iter_mut().zip(round).for_each(|(rates, rate)| rates.push(rate));
    }
    let turns = ratios.len();
    let mut rates = rates.into_iter().map(median);
    Ok(Row {
        operation: String::new(),
        bare: String::new(),
        threads: 1,
        bare_rate: rates.next().unwrap_or(f64::NAN),
        engine_rate: rates.next().unwrap_or(f64::NAN),
        clear_rate: rates.next(),
        ratio: median(ratios),
        turns,
    })
}

/// Runs one side on its threads for a slice; returns operations per second.
///
/// Each thread runs once before time is taken, which brings back what the other side has put out of
/// its slot. All operations count over the time of all: threads that wait for each other in a row
/// have not run at once.
fn turn<T: Send>(workers: Vec<T>, run: impl Fn(&mut T) -> Result<()> + Sync) -> Result<f64> {
    let ready = Barrier::new(workers.len());
    std::thread::scope(|scope| {
        let (run, ready) = (&run, &ready);
        let handles: Vec<_> = workers
            .into_iter()
            .map(|mut worker| {
                scope.spawn(move || -> Result<(u32, Duration)> {
                    let first = run(&mut worker);
                    ready.wait();
                    first?;
                    let (start, mut count) = (Instant::now(), 0u32);
                    loop {
                        run(&mut worker)?;
                        count += 1;
                        let elapsed = start.elapsed();
                        if elapsed >= SLICE {
                            return Ok((count, elapsed));
                        }
                    }
                })
            })
            .collect();
        let (mut operations, mut longest) = (0, Duration::ZERO);
        for handle in handles {
            let panicked = |_| Err(unexpected("a thread of the measurement panicked"));
            let (count, elapsed) = handle.join().unwrap_or_else(panicked)?;
            operations += count;
            longest = longest.max(elapsed);
        }
        Ok(f64::from(operations) / longest.as_secs_f64())
    })
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
