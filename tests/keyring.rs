//! The keyring's file under other writers, crashes and foreign hands.
#![cfg(feature = "cli")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use hsm_jose::backend::memory::MemoryKeystore;
use hsm_jose::config::Profile;
use hsm_jose::jose::alg::{KeyAlgorithm, Purpose};
use hsm_jose::keyring::{KeyState, Keyring, KeyringFile};
use hsm_jose::lifecycle::{GenerateRequest, KeyRequest, Outcome, generate};
use proptest::prelude::*;

/// A directory with a configuration of one memory keystore.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config = "schema = 1\nenvironment = \"test\"\n[keystore.soft]\ntype = \"memory\"\n";
        fs::write(directory.path().join("hsm-jose.toml"), config).unwrap();
        Self(directory)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self) -> KeyringFile {
        KeyringFile::new(&self.path("keyring.json"))
    }

    fn keyring(&self) -> Keyring {
        self.file().read().unwrap()
    }

    fn spawn_generate(&self, name: &str) -> Child {
        Command::new(env!("CARGO_BIN_EXE_hsm-jose"))
            .arg("--config")
            .arg(self.path("hsm-jose.toml"))
            .args(["key", "generate", name, "--alg", "ES256", "--if-absent"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    fn generate(&self, name: &str) -> Outcome {
        let request = GenerateRequest {
            key: KeyRequest {
                name: name.into(),
                algs: vec![KeyAlgorithm::from_name("ES256").unwrap()],
                kid: None,
                profile: Profile::Strict,
            },
            bits: None,
            curve: None,
            if_absent: true,
            dry_run: false,
        };
        generate(&self.file(), &MemoryKeystore::new("soft"), &request).unwrap().outcome
    }
}

#[test]
fn processes_that_write_at_once_lose_nothing() {
    let place = Place::new();
    let names: Vec<String> = (0..12).map(|number| format!("key-{number}")).collect();
    let children: Vec<Child> = names.iter().map(|name| place.spawn_generate(name)).collect();
    let mut kids = BTreeMap::new();
    for (name, child) in names.iter().zip(children) {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let jwk: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        kids.insert(name.clone(), jwk["kid"].as_str().unwrap().to_owned());
    }
    let keyring = place.keyring();
    assert_eq!(keyring.generation(), 24, "an intent and a key each");
    let found = keyring.versions().map(|found| (found.key.name.clone(), found.kid.to_owned()));
    assert_eq!(found.collect::<BTreeMap<_, _>>(), kids);
}

#[test]
fn processes_that_want_one_name_make_one_key() {
    let place = Place::new();
    let children: Vec<Child> = (0..6).map(|_| place.spawn_generate("the-one")).collect();
    let outputs = children.into_iter().map(|child| child.wait_with_output().unwrap());
    let jwks: Vec<Vec<u8>> = outputs
        .map(|output| {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            output.stdout
        })
        .collect();
    assert!(jwks.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(place.keyring().keys().len(), 1);
}

#[test]
fn a_killed_writer_leaves_the_old_file_or_the_new_one() {
    let place = Place::new();
    let start = Instant::now();
    assert!(place.spawn_generate("first").wait_with_output().unwrap().status.success());
    let least = start.elapsed() / 30;
    // Killed a little later each time, until it comes through: so the kills fall on every step. The
    // pauses grow, for a machine that has more to do than when the first was made.
    let (mut delay, mut step) = (Duration::ZERO, least);
    let (mut sweeps, mut interrupted) = (0, 0);
    for round in 0..400 {
        let name = format!("key-{round}");
        let before = place.keyring();
        let mut child = place.spawn_generate(&name);
        std::thread::sleep(delay);
        child.kill().unwrap();
        let output = child.wait_with_output().unwrap();
        let after = place.keyring();
        let added = after.generation() - before.generation();
        assert!(added <= 2);
        for key in before.keys() {
            assert_eq!(after.key(&key.name), Some(key), "what was there is untouched");
        }
        match after.key(&name).map(|key| key.versions[0].state) {
            None => assert_eq!(added, 0),
            Some(KeyState::Pending) => interrupted += 1,
            Some(_) => assert_eq!(added, 2),
        }
        if !output.stdout.is_empty() {
            let jwk: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
            let found = after.active(&name, Purpose::Sign).unwrap();
            assert_eq!(jwk["kid"], found.kid, "what was told is there");
        }
        // The lock of the dead does not last, and the same command completes what was begun.
        if round % 8 == 0 {
            place.generate(&name);
            assert!(place.keyring().active(&name, Purpose::Sign).is_ok());
        }
        delay += step;
        step += step / 50;
        if output.status.success() {
            (delay, step, sweeps) = (Duration::ZERO, least, sweeps + 1);
        }
        if sweeps == 2 {
            println!("killed {} times, {interrupted} of them with an intent", round - 1);
            return;
        }
    }
    panic!("the command never came through");
}

#[test]
fn a_lock_that_is_held_is_waited_for_and_then_named() {
    let place = Place::new();
    let held = place.file().lock().unwrap();
    let start = Instant::now();
    let error = place.file().lock_within(Duration::from_millis(120)).unwrap_err();
    assert!(start.elapsed() >= Duration::from_millis(120));
    assert_eq!(error.code(), "io");
    assert!(error.to_string().contains("keyring.json.lock"), "{error}");
    assert!(place.file().read().is_ok(), "readers need no lock");
    drop(held);
    // Not at once: a child that another test is starting may hold a copy of the descriptor until it
    // is another program.
    place.file().lock_within(Duration::from_secs(10)).unwrap();
}

#[test]
fn the_last_copy_is_kept_and_a_lost_file_is_not_an_empty_one() {
    let place = Place::new();
    place.generate("a");
    let present = place.keyring();
    place.file().lock().unwrap().change(|_| ()).unwrap();
    let copy = KeyringFile::new(&place.path("keyring.json.bak")).read().unwrap();
    assert_eq!(copy, present);
    fs::remove_file(place.path("keyring.json")).unwrap();
    for error in [place.file().read().unwrap_err(), place.file().lock().unwrap_err()] {
        assert_eq!(error.code(), "config");
        assert!(error.to_string().contains("keyring.json.bak"), "{error}");
    }
}

#[test]
fn a_writer_without_the_lock_is_noticed() {
    let place = Place::new();
    place.generate("a");
    let mut writer = place.file().lock().unwrap();
    let text = fs::read_to_string(place.path("keyring.json")).unwrap();
    let foreign = text.replace("\"generation\": 2", "\"generation\": 3");
    fs::write(place.path("keyring.json"), &foreign).unwrap();
    let error = writer.change(|_| ()).unwrap_err();
    assert_eq!(error.code(), "config");
    assert!(error.to_string().contains("without taking the lock"), "{error}");
    assert_eq!(fs::read_to_string(place.path("keyring.json")).unwrap(), foreign);
}

#[test]
fn mode_and_link_of_the_file_stay() {
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let place = Place::new();
    place.generate("a");
    assert_eq!(mode(&place.path("keyring.json")) & 0o022, 0);
    let strict = fs::Permissions::from_mode(0o640);
    fs::set_permissions(place.path("keyring.json"), strict).unwrap();
    place.generate("b");
    assert_eq!(mode(&place.path("keyring.json")), 0o640);
    assert_eq!(mode(&place.path("keyring.json.bak")), 0o640);

    fs::rename(place.path("keyring.json"), place.path("real.json")).unwrap();
    fs::remove_file(place.path("keyring.json.bak")).unwrap();
    std::os::unix::fs::symlink("real.json", place.path("keyring.json")).unwrap();
    place.generate("c");
    assert!(fs::symlink_metadata(place.path("keyring.json")).unwrap().is_symlink());
    let real = KeyringFile::new(&place.path("real.json")).read().unwrap();
    assert_eq!(real.keys().len(), 3);
}

/// Only root can give a file away: for anybody else there is nothing to try.
#[test]
fn the_owner_of_the_file_stays_when_root_writes_it() {
    const OWNER: (u32, u32) = (12345, 23456);
    let place = Place::new();
    place.generate("a");
    let keyring = place.path("keyring.json");
    if std::os::unix::fs::chown(&keyring, Some(OWNER.0), Some(OWNER.1)).is_err() {
        return;
    }
    fs::remove_file(place.path("keyring.json.lock")).unwrap();
    place.generate("b");
    for name in ["keyring.json", "keyring.json.bak", "keyring.json.lock"] {
        let metadata = fs::metadata(place.path(name)).unwrap();
        assert_eq!((metadata.uid(), metadata.gid()), OWNER, "{name}");
    }
}

/// What is changed in a good file, and what is then said. Nothing is ever written over it.
#[test]
fn a_file_that_is_not_a_good_keyring_is_refused_as_it_is() {
    let place = Place::new();
    place.generate("a");
    place.generate("b");
    let good = fs::read_to_string(place.path("keyring.json")).unwrap();
    let (a, b) = (place.keyring(), place.keyring());
    let kid = |keyring: &Keyring, name| keyring.active(name, Purpose::Sign).unwrap().kid.to_owned();
    let (kid_a, kid_b) = (kid(&a, "a"), kid(&b, "b"));
    let cases = [
        ("\"schema\": 1", "\"schema\": 2", "schema 2, this build knows 1"),
        ("\"schema\": 1", "\"schema\": 2, \"more\": {}", "schema 2, this build knows 1"),
        ("\"generation\": 4", "\"generation\": 4, \"more\": 1", "unknown field `more`"),
        ("\"generation\": 4", "\"generation\": 4, \"generation\": 4", "duplicate"),
        ("\"generation\": 4,", "", "missing field `generation`"),
        ("\"name\": \"b\"", "\"name\": \"a\"", "two keys are named a"),
        ("\"name\": \"b\"", "\"name\": \"b c\"", "cannot name a key"),
        ("\"purpose\": \"sign\"", "\"purpose\": \"decrypt\"", "not for its purpose"),
        ("\"ES256\"", "\"ES384\"", "cannot do ES384"),
        ("\"ES256\"", "\"none\"", "not an alg of this build"),
        // A public key is never a shared secret (RFC 8725 section 3.1).
        ("\"ES256\"", "\"HS256\"", "cannot do HS256"),
        ("\"public\":", "\"secret\": { \"bits\": 256 }, \"public\":", "has no public key"),
        ("\"version\": 1", "\"version\": 0", "version 0"),
        ("\"state\": \"active\"", "\"state\": \"lost\"", "unknown variant `lost`"),
        ("\"purpose\": \"sign\"", "\"purpose\": \"si\\u001bgn\"", "unknown variant `si\\u{1b}gn`"),
        ("\"kty\": \"EC\"", "\"kty\": \"EC\", \"d\": \"AAAA\"", "private member"),
        ("\"memory:b\"", "\"memory:a\"", "at one place"),
        ("\"memory:b\"", "\"files:b\"", "not a pkcs11: URI"),
        (&kid_b, "other", "not the thumbprint"),
        (
            &format!("\"kid\": \"{kid_b}\""),
            &format!("\"kid\": \"{kid_a}\", \"kid_given\": true"),
            "is that of key a and of key b",
        ),
        ("\"created\": \"", "\"created\": \"x", "RFC 3339"),
        ("}", "", "not JSON"),
    ];
    for (from, to, expected) in cases {
        let text = good.replacen(from, to, 1);
        assert_ne!(text, good, "{from}");
        fs::write(place.path("keyring.json"), &text).unwrap();
        for error in [place.file().read().unwrap_err(), place.file().lock().unwrap_err()] {
            assert_eq!(error.code(), "config");
            assert!(error.to_string().contains(expected), "{to}: {error}");
            assert!(error.to_string().contains("keyring.json"), "{error}");
        }
        assert_eq!(fs::read_to_string(place.path("keyring.json")).unwrap(), text);
    }
    fs::write(place.path("keyring.json"), "").unwrap();
    assert_eq!(place.file().read().unwrap_err().code(), "config");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the threads and their writes, each write is there and counted once.
    #[test]
    fn writes_are_one_after_the_other(writes in proptest::collection::vec(1usize..6, 1..6)) {
        let place = Place::new();
        std::thread::scope(|scope| {
            for (thread, count) in writes.iter().enumerate() {
                let place = &place;
                scope.spawn(move || {
                    for number in 0..*count {
                        place.generate(&format!("key-{thread}-{number}"));
                        place.file().lock().unwrap().change(|_| ()).unwrap();
                    }
                });
            }
        });
        let total: usize = writes.iter().sum();
        let keyring = place.keyring();
        prop_assert_eq!(keyring.keys().len(), total);
        prop_assert_eq!(keyring.generation(), 3 * total as u64);
    }
}
