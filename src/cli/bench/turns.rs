//! Turns: the bare calls for a slice of time, then the engine, and so on.

use std::time::{Duration, Instant};

use super::keys::{Bench, unexpected};
use super::{PAYLOAD_LEN, Row};
use crate::backend::pkcs11::BareKey;
use crate::engine::SignOptions;
use crate::error::Result;

/// How long one side runs before the other has its turn.
const SLICE: Duration = Duration::from_millis(50);

const OAEP: &str = "C_DecryptInit, C_Decrypt (OAEP SHA-1)";
const PSS: &str = "C_SignInit, C_Sign (PSS)";
const ECDSA: &str = "C_SignInit, C_Sign (ECDSA)";
const ECDH: &str = "C_DeriveKey, C_GetAttributeValue, C_DestroyObject";

/// One call of the engine.
type Call<'a> = &'a (dyn Fn() -> Result<()> + Sync);

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
        let row = |operation, bare, key, engine: Call<'_>| -> Result<Row> {
            let measured = self.measure(key, engine, threads, time)?;
            Ok(Row { operation, bare, threads, ..measured })
        };
        Ok(vec![
            row("decrypt RSA-OAEP RSA-2048", OAEP, 0, &|| decrypt(0))?,
            row("sign PS256 RSA-2048", PSS, 1, &|| sign("rsa-sig"))?,
            row("sign ES256 P-256", ECDSA, 2, &|| sign("ec-sig"))?,
            row("decrypt ECDH-ES P-256", ECDH, 3, &|| decrypt(1))?,
            row("open RSA-OAEP, PS256 RSA-2048", OAEP, 0, &|| open("rsa", 2))?,
            row("open ECDH-ES, ES256 P-256", ECDH, 3, &|| open("p256", 3))?,
        ])
    }

    /// Measures the bare operation of key number `key` beside a call of the engine.
    fn measure(&self, key: usize, engine: Call<'_>, threads: usize, time: Duration) -> Result<Row> {
        let (key, operation) = (&self.keys[key], &self.operations[key]);
        let bare_turn = || {
            let keys = (0..threads).map(|_| self.keystore.bare(key, operation.clone()));
            let keys = keys.collect::<std::result::Result<Vec<_>, _>>()?;
            turn(keys, |key: &mut BareKey<'_>| Ok(key.run()?))
        };
        let engine_turn = || turn(vec![(); threads], |()| engine());
        // Warm up: handles, sessions, known answers.
        bare_turn()?;
        engine_turn()?;
        let (mut bare, mut own, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        let start = Instant::now();
        while start.elapsed() < time {
            // Who is first alternates, so that a drift of the machine favours neither.
            let (bare_rate, engine_rate) = if ratios.len() % 2 == 0 {
                let bare_rate = bare_turn()?;
                (bare_rate, engine_turn()?)
            } else {
                let engine_rate = engine_turn()?;
                (bare_turn()?, engine_rate)
            };
            bare.push(bare_rate);
            own.push(engine_rate);
            ratios.push(engine_rate / bare_rate);
        }
        let turns = ratios.len();
        let (bare_rate, engine_rate, ratio) = (median(bare), median(own), median(ratios));
        Ok(Row { operation: "", bare: "", threads, bare_rate, engine_rate, ratio, turns })
    }
}

/// Runs one side on its threads for a slice; returns operations per second.
fn turn<T: Send>(workers: Vec<T>, run: impl Fn(&mut T) -> Result<()> + Sync) -> Result<f64> {
    std::thread::scope(|scope| {
        let run = &run;
        let handles: Vec<_> = workers
            .into_iter()
            .map(|mut worker| {
                scope.spawn(move || -> Result<f64> {
                    let (start, mut count) = (Instant::now(), 0u32);
                    loop {
                        run(&mut worker)?;
                        count += 1;
                        let elapsed = start.elapsed();
                        if elapsed >= SLICE {
                            return Ok(f64::from(count) / elapsed.as_secs_f64());
                        }
                    }
                })
            })
            .collect();
        let rates = handles.into_iter().map(|handle| match handle.join() {
            Ok(rate) => rate,
            Err(_) => Err(unexpected("a thread of the measurement panicked")),
        });
        rates.sum()
    })
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
