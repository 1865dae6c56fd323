//! `sign_reader`, `verify_reader` and `authenticate_reader`, with a reader that gives what it likes, is
//! interrupted, and may fail: they agree with what is done in memory, and take nothing from a reader that
//! failed.
#![no_main]

use std::io::{self, ErrorKind, Read};

use arbitrary::Arbitrary;
use hsm_jose::engine::SignOptions;
use hsm_jose::jose::alg::{KeyAlgorithm, Purpose};
use hsm_jose::jose::serialization::Serialization;
use hsm_jose::jws::{Jws, JwsForm, Require, VerifiedJws, takes_reader};
use hsm_jose_fuzz::edit::{self, Edit};
use hsm_jose_fuzz::oracle::assert_told;
use hsm_jose_fuzz::world::{ISSUER, Key, OTHER_ISSUER, world};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Issued<'a> {
    /// For each signature the key and the `alg`.
    signers: Vec<(u8, u8)>,
    serialization: u8,
    unencoded: bool,
    require: u8,
    /// The payload is repeated to this length: more than is held at a time.
    len: Option<u32>,
    payload: &'a [u8],
    /// How the payload comes when it is signed, and when it is verified.
    signing: Vec<Step>,
    verifying: Vec<Step>,
    edits: Vec<Edit>,
    /// Verify over a payload with this octet changed.
    flip: Option<u32>,
}

/// What a reader does at one call; after the last step it gives all there is.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Step {
    Give(u16),
    Interrupt,
    Fail(u8),
}

struct Source<'a> {
    rest: &'a [u8],
    steps: std::slice::Iter<'a, Step>,
    has_failed: bool,
    has_ended: bool,
}

/// Longer than two chunks of the implementation, in bytes.
const MAX_LEN: usize = 150 * 1024;

const SIGN: &[&str] = &["usage", "policy"];

const VERIFY: &[&str] =
    &["malformed", "policy", "signature_invalid", "key_not_found", "usage", "io"];

fuzz_target!(|issued: Issued| {
    let world = world();
    let keys: Vec<&Key> = world.keys.iter().chain(&world.secrets).collect();
    let keys: Vec<&Key> = keys.into_iter().filter(|key| key.purpose() == Purpose::Sign).collect();
    let (mut signers, mut names) = (Vec::new(), Vec::new());
    let mut is_public = true;
    for (number, alg) in issued.signers.iter().take(4) {
        let key = keys[usize::from(*number) % keys.len()];
        let KeyAlgorithm::Sign(alg) = key.algs[usize::from(*alg) % key.algs.len()] else {
            unreachable!("a key for signatures")
        };
        let options = SignOptions { alg: Some(alg), ..Default::default() };
        signers.push(world.all.signer_named(&key.name, &options).expect("a signer"));
        names.push(key.name.as_str());
        is_public &= !alg.is_symmetric();
    }
    let all = [Serialization::General, Serialization::Flattened, Serialization::Compact];
    let form = JwsForm {
        serialization: all[usize::from(issued.serialization) % all.len()],
        detached: true,
        unencoded: issued.unencoded,
    };
    let mut payload = issued.payload.to_vec();
    if let (Some(len), false) = (issued.len, payload.is_empty()) {
        payload = issued.payload.iter().copied().cycle().take(len as usize % MAX_LEN).collect();
    }

    let mut source = Source::new(&payload, &issued.signing);
    let read = world.all.sign_reader(&signers, form, &mut source);
    let in_memory = world.all.sign_as(&signers, form, &payload);
    let token = match (in_memory, read) {
        (Ok(_), Ok(token)) => {
            assert!(source.has_ended && !source.has_failed);
            assert!(takes_reader(&signers));
            token
        }
        (Ok(token), Err(error)) => {
            assert_told(&error, &[&["usage", "io"]]);
            assert_eq!(error.code() == "io", source.has_failed, "{error}");
            assert_eq!(error.code() == "usage", !takes_reader(&signers), "{error}");
            token
        }
        (Err(error), read) => {
            assert_told(&error, &[SIGN]);
            assert_eq!(read.expect_err("refused in memory").code(), error.code());
            return;
        }
    };

    let signed = payload.clone();
    if let (Some(at), false) = (issued.flip, payload.is_empty()) {
        let at = at as usize % payload.len();
        payload[at] ^= 1;
    }
    let token = edit::apply(&token, &issued.edits);
    let is_same = issued.edits.is_empty().then_some(payload == signed);
    match names[..] {
        [name] if !is_public => authenticate(&issued, name, &token, &payload, is_same),
        _ => verify(&issued, &token, &payload, is_same, is_public),
    }
});

/// `is_same`: of a token that was not changed, whether the payload is that which was signed.
fn verify(
    issued: &Issued<'_>,
    token: &[u8],
    payload: &[u8],
    is_same: Option<bool>,
    is_public: bool,
) {
    let world = world();
    let rules = [
        Require::All,
        Require::Any,
        Require::AllOf(&[ISSUER, OTHER_ISSUER]),
        Require::AnyOf(&[ISSUER, OTHER_ISSUER]),
    ];
    let require = &rules[usize::from(issued.require) % rules.len()];
    let parse = || Jws::parse(token, &world.all.policy().jws);
    let jws = match parse() {
        Ok(jws) => jws,
        Err(error) => return assert_told(&error, &[VERIFY]),
    };
    let takes_reader = jws.takes_reader();
    let in_memory = jws.verify_detached(payload, &world.trusted, require);
    let mut source = Source::new(payload, &issued.verifying);
    let read = parse().expect("as before").verify_reader(&mut source, &world.trusted, require);
    assert!(in_memory.is_err() || is_same != Some(false), "of another payload");
    let must_be = is_public && matches!(require, Require::All | Require::Any);
    assert!(in_memory.is_ok() || is_same != Some(true) || !must_be, "{in_memory:?}");
    match (in_memory, read) {
        (_, Err(error)) if source.has_failed => assert_told(&error, &[&["io"]]),
        (Ok(in_memory), Ok(read)) => {
            assert!(source.has_ended && !source.has_failed);
            let (known, counted) = (positions(&in_memory), positions(&read));
            assert!(counted.iter().all(|position| known.contains(position)));
            assert!(!takes_reader || counted == known);
        }
        (Ok(_), Err(error)) => assert!(!takes_reader, "{error}"),
        (Err(error), Ok(_)) => panic!("verified by a reader alone: {error}"),
        (Err(error), Err(read)) => {
            assert_told(&error, &[VERIFY]);
            assert_told(&read, &[VERIFY]);
            assert!(!takes_reader || read.code() == error.code(), "{error}: {read}");
        }
    }
}

/// As [`verify`], of a MAC by the key called `name`.
fn authenticate(
    issued: &Issued<'_>,
    name: &str,
    token: &[u8],
    payload: &[u8],
    is_same: Option<bool>,
) {
    let engine = &world().all;
    let in_memory = engine.authenticate_detached(token, payload, name);
    let mut source = Source::new(payload, &issued.verifying);
    let read = engine.authenticate_reader(token, &mut source, name);
    if let Some(is_same) = is_same {
        assert_eq!(in_memory.is_ok(), is_same, "{in_memory:?}");
    }
    match (in_memory, read) {
        (_, Err(error)) if source.has_failed => assert_told(&error, &[&["io"]]),
        (Ok(in_memory), Ok(read)) => {
            assert!(source.has_ended && !source.has_failed);
            assert_eq!((read.alg(), read.header()), (in_memory.alg(), in_memory.header()));
        }
        (Ok(_), Err(error)) => panic!("authenticated in memory alone: {error}"),
        (Err(error), Ok(_)) => panic!("authenticated by a reader alone: {error}"),
        (Err(error), Err(read)) => {
            assert_told(&error, &[VERIFY]);
            assert_eq!(read.code(), error.code(), "{error}: {read}");
        }
    }
}

/// Which signatures are verified, and the thumbprints of the keys that verified them.
fn positions(verified: &VerifiedJws<()>) -> Vec<(usize, String)> {
    let signatures = verified.signatures().iter();
    signatures.map(|one| (one.index(), one.key().key.thumbprint())).collect()
}

impl<'a> Source<'a> {
    fn new(rest: &'a [u8], steps: &'a [Step]) -> Self {
        Self { rest, steps: steps.iter(), has_failed: false, has_ended: false }
    }
}

impl Read for Source<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        assert!(!self.has_failed && !self.has_ended, "read on");
        let len = match self.steps.next() {
            None => usize::MAX,
            // Nothing is the end, and not for a reader to say before.
            Some(Step::Give(len)) => usize::from(*len).max(1),
            Some(Step::Interrupt) => return Err(ErrorKind::Interrupted.into()),
            Some(Step::Fail(kind)) => {
                self.has_failed = true;
                let kinds = [ErrorKind::UnexpectedEof, ErrorKind::WouldBlock, ErrorKind::Other];
                return Err(kinds[usize::from(*kind) % kinds.len()].into());
            }
        };
        let (now, rest) = self.rest.split_at(len.min(buffer.len()).min(self.rest.len()));
        buffer[..now.len()].copy_from_slice(now);
        self.rest = rest;
        self.has_ended = now.is_empty();
        Ok(now.len())
    }
}
