//! OAEP decoding on the host, against a plain reading of RFC 8017 section 7.1.2.
#![no_main]

use arbitrary::Arbitrary;
use hsm_jose::jose::alg::Hash;
use hsm_jose::primitives::digest::digest;
use hsm_jose::primitives::oaep;
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Message {
    hash: u8,
    expected_len: u8,
    seed: Vec<u8>,
    y: u8,
    /// lHash || PS || 0x01 || M, or what the fuzzer makes of it.
    db: Vec<u8>,
    /// Put the right hash of the label, and this many zeros and 0x01 before the message.
    padded: Option<u8>,
}

fuzz_target!(|message: Message| {
    let hash =
        [Hash::Sha1, Hash::Sha256, Hash::Sha384, Hash::Sha512][usize::from(message.hash % 4)];
    let mut db = message.db.clone();
    if let Some(zeros) = message.padded {
        db = [digest(hash, b""), vec![0; usize::from(zeros)], vec![1], db].concat();
    }
    let mut seed = message.seed.clone();
    seed.resize(hash.len(), 0);
    // Y is nearly always zero, or nothing else would be looked at.
    let y = if message.y < 250 { 0 } else { message.y };
    let masked_db = xor(&db, &mgf1(hash, &seed, db.len()));
    let masked_seed = xor(&seed, &mgf1(hash, &masked_db, seed.len()));
    let em = [vec![y], masked_seed, masked_db].concat();

    let expected_len = usize::from(message.expected_len);
    let decoded = oaep::decode(hash, &em, expected_len).map(|message| message.expose().to_vec());
    let plain = plain(hash, y, &db).filter(|message| message.len() == expected_len);
    assert_eq!(decoded, plain);
});

/// Finds the message as the RFC says it, one check after the other.
fn plain(hash: Hash, y: u8, db: &[u8]) -> Option<Vec<u8>> {
    let (label_hash, rest) = db.split_at_checked(hash.len())?;
    let start = rest.iter().position(|byte| *byte != 0)?;
    let is_valid = y == 0 && label_hash == digest(hash, b"") && rest[start] == 1;
    is_valid.then(|| rest[start + 1..].to_vec())
}

fn mgf1(hash: Hash, seed: &[u8], len: usize) -> Vec<u8> {
    let blocks =
        (0u32..).flat_map(|counter| digest(hash, &[seed, &counter.to_be_bytes()].concat()));
    blocks.take(len).collect()
}

fn xor(text: &[u8], mask: &[u8]) -> Vec<u8> {
    text.iter().zip(mask).map(|(a, b)| a ^ b).collect()
}
