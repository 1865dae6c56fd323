//! Whether the time of OAEP decoding tells which check failed, or that one did.
//!
//! After dudect (Reparaz, Balasch, Verbauwhede, 2017): inputs of two classes come in random order,
//! each call is timed by itself, and Welch's t-test compares the classes, over all times and over
//! times cropped at twenty percentiles. The largest |t| counts: below 4.5 nothing is seen, from 10
//! on there is a leak, and the program fails.
//!
//! `decode_masked` has every kind of fault compared with valid encodings. `decode` answers `Some` or
//! `None`, which a caller sees anyway: its faults are compared with each other. Two controls frame
//! the result: valid against valid, which shows the noise of the machine, and a decoder that
//! returns early on Y, which shows that a leak would be seen.
//!
//! `OAEP_TIMING_CALLS` sets the number of calls for each comparison (default one million).

use std::hint::black_box;
use std::process::ExitCode;
use std::time::Instant;

use hsm_jose::jose::alg::Hash;
use hsm_jose::primitives::digest::digest;
use hsm_jose::primitives::{oaep, random};

const HASH: Hash = Hash::Sha256;
const HASH_LEN: usize = 32;
/// RSA-2048.
const MODULUS_LEN: usize = 256;
const DB_LEN: usize = MODULUS_LEN - HASH_LEN - 1;
const MESSAGE_LEN: usize = 32;
const BATCH: usize = 500;
const POOL: usize = 2048;
const LEAK: f64 = 10.0;

type Em = [u8; MODULUS_LEN];
type Make = fn() -> Em;
type Decode = fn(&[u8]) -> u8;

fn main() -> ExitCode {
    let calls = std::env::var("OAEP_TIMING_CALLS").ok().and_then(|calls| calls.parse().ok());
    // `cargo test --all-targets` runs this too, without the argument and without optimization.
    let is_bench = std::env::args().any(|argument| argument == "--bench");
    let calls = calls.unwrap_or(if is_bench { 1_000_000 } else { 1_000 });
    println!("RSA-2048, SHA-256, {calls} calls for each comparison");
    let compared: [(&str, [Make; 2], Decode); 9] = [
        ("control: valid, valid", [valid, valid], masked),
        ("decode_masked: valid, Y not zero", [valid, wrong_y], masked),
        ("decode_masked: valid, wrong lHash", [valid, wrong_label], masked),
        ("decode_masked: valid, wrong PS or 0x01", [valid, wrong_padding], masked),
        ("decode_masked: valid, another length", [valid, wrong_length], masked),
        ("decode: wrong lHash, Y not zero", [wrong_label, wrong_y], option),
        ("decode: wrong lHash, wrong PS or 0x01", [wrong_label, wrong_padding], option),
        ("decode: wrong lHash, another length", [wrong_label, wrong_length], option),
        ("control: early return on Y", [valid, wrong_y], early),
    ];
    let mut is_leaking = false;
    for (name, classes, decode) in compared {
        let (t, difference) = compare(calls, classes, decode);
        is_leaking |= is_bench && !name.starts_with("control") && t >= LEAK;
        println!("{name:40} |t| = {t:8.2}   means differ by {difference:7.2} ns");
    }
    if is_leaking { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

#[inline(never)]
fn masked(em: &[u8]) -> u8 {
    let decoded = oaep::decode_masked(HASH, em, MESSAGE_LEN);
    decoded.map_or(0, |decoded| decoded.is_some().unwrap_u8())
}

#[inline(never)]
fn option(em: &[u8]) -> u8 {
    u8::from(oaep::decode(HASH, em, MESSAGE_LEN).is_some())
}

#[inline(never)]
fn early(em: &[u8]) -> u8 {
    if em[0] == 0 { masked(em) } else { 0 }
}

/// Returns the largest |t| of two classes, and the difference of their means without the
/// slowest 3 percent.
fn compare(calls: usize, classes: [Make; 2], decode: Decode) -> (f64, f64) {
    let pools = classes.map(|make| (0..POOL).map(|_| make()).collect::<Vec<_>>());
    let mut crops: Vec<Crop> = Vec::new();
    let mut batch = [[0; MODULUS_LEN]; BATCH];
    let mut classes = [0; BATCH];
    let mut warm_up = Vec::new();
    let mut done = 0;
    while done < calls {
        for (em, class) in batch.iter_mut().zip(&mut classes) {
            let draw = draw();
            *class = usize::from(draw % 2 == 1);
            // A copy, so that both classes are read from the same places.
            *em = pools[*class][usize::from(draw / 2) % POOL];
        }
        let mut times = [0.0; BATCH];
        for (em, time) in batch.iter().zip(&mut times) {
            let start = Instant::now();
            black_box(decode(black_box(em)));
            *time = start.elapsed().as_nanos() as f64;
        }
        if warm_up.len() < 20 * BATCH {
            warm_up.extend(times);
            continue;
        }
        if crops.is_empty() {
            crops = Crop::at_percentiles(&mut warm_up);
        }
        for (class, time) in classes.iter().zip(times) {
            crops.iter_mut().for_each(|crop| crop.add(*class, time));
        }
        done += BATCH;
    }
    let difference = crops[9].mean[0] - crops[9].mean[1];
    (crops.iter().map(Crop::t).fold(0.0, f64::max), difference)
}

/// The running mean and variance of both classes, over the times up to a limit.
struct Crop {
    limit: f64,
    count: [f64; 2],
    mean: [f64; 2],
    squares: [f64; 2],
}

impl Crop {
    fn at_percentiles(times: &mut [f64]) -> Vec<Self> {
        times.sort_by(f64::total_cmp);
        let percentile = |i: i32| 1.0 - 0.5f64.powf(f64::from(i) / 2.0);
        let at = |i| times[(percentile(i) * times.len() as f64) as usize];
        let limits = (1..=20).map(at).chain([f64::INFINITY]);
        let new = |limit| Self { limit, count: [0.0; 2], mean: [0.0; 2], squares: [0.0; 2] };
        limits.map(new).collect()
    }

    fn add(&mut self, class: usize, time: f64) {
        if time <= self.limit {
            self.count[class] += 1.0;
            let delta = time - self.mean[class];
            self.mean[class] += delta / self.count[class];
            self.squares[class] += delta * (time - self.mean[class]);
        }
    }

    fn t(&self) -> f64 {
        if self.count.iter().any(|count| *count < 1000.0) {
            return 0.0;
        }
        let error =
            |class: usize| self.squares[class] / (self.count[class] - 1.0) / self.count[class];
        let scale = (error(0) + error(1)).sqrt();
        if scale == 0.0 { 0.0 } else { (self.mean[0] - self.mean[1]).abs() / scale }
    }
}

fn valid() -> Em {
    encode(0, &db(MESSAGE_LEN))
}

fn wrong_y() -> Em {
    encode(nonzero(), &db(MESSAGE_LEN))
}

fn wrong_label() -> Em {
    let mut db = db(MESSAGE_LEN);
    db[usize::from(draw()) % HASH_LEN] ^= nonzero();
    encode(0, &db)
}

fn wrong_padding() -> Em {
    let mut db = db(MESSAGE_LEN);
    let padding = DB_LEN - MESSAGE_LEN - HASH_LEN;
    db[HASH_LEN + usize::from(draw()) % padding] ^= nonzero();
    encode(0, &db)
}

fn wrong_length() -> Em {
    let other = usize::from(draw()) % 100;
    encode(0, &db(if other < MESSAGE_LEN { other } else { other + 1 }))
}

/// DB = lHash || PS || 0x01 || M for a random M.
fn db(message_len: usize) -> [u8; DB_LEN] {
    let mut db = [0; DB_LEN];
    db[..HASH_LEN].copy_from_slice(&digest(HASH, b""));
    let start = DB_LEN - message_len;
    db[start - 1] = 1;
    random::fill(&mut db[start..]);
    db
}

/// EM = Y || maskedSeed || maskedDB for a random seed.
fn encode(y: u8, db: &[u8; DB_LEN]) -> Em {
    let mut em = [0; MODULUS_LEN];
    em[0] = y;
    let (seed, masked_db) = em[1..].split_at_mut(HASH_LEN);
    random::fill(seed);
    masked_db.copy_from_slice(db);
    xor_mgf1(masked_db, seed);
    xor_mgf1(seed, masked_db);
    em
}

fn xor_mgf1(target: &mut [u8], seed: &[u8]) {
    for (block, counter) in target.chunks_mut(HASH_LEN).zip(0u32..) {
        let mask = digest(HASH, &[seed, &counter.to_be_bytes()].concat());
        block.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
    }
}

fn draw() -> u16 {
    let mut bytes = [0; 2];
    random::fill(&mut bytes);
    u16::from_le_bytes(bytes)
}

fn nonzero() -> u8 {
    (draw() % 255) as u8 + 1
}
