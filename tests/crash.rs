//! SIGKILL at any point of making a key, and two writers at once: the keyring file is valid at every
//! moment, nothing that was recorded is lost, and what a crash left is found and completed.
#![cfg(all(feature = "cli", feature = "pkcs11"))]

use std::fs;
use std::process::Child;
use std::thread::sleep;
use std::time::{Duration, Instant};

use hsm_jose::primitives::random;
use serde_json::Value;

mod common;
#[path = "common/faulty.rs"]
mod faulty;
#[path = "common/place.rs"]
mod place;

use place::Place;

/// How often a generation is killed.
const KILLS: usize = 36;

/// Slows the calls of a generation down, so that a kill falls between two of them and not always
/// into the same long one.
const SLOWLY: [&str; 6] = [
    "latency C_GenerateKeyPair 40",
    "latency C_GetAttributeValue 2",
    "latency C_FindObjects 4",
    "latency C_SignInit 4",
    "latency C_Sign 4",
    "latency C_GetSessionInfo 4",
];

fn state(place: &Place, name: &str) -> Option<String> {
    let keys = place.json(&["key", "list"], b"")["keys"].clone();
    let key = keys.as_array().expect("keys").iter().find(|key| key["name"] == name)?;
    let versions = key["versions"].as_array().expect("versions");
    assert_eq!(versions.len(), 1, "{key}");
    Some(versions[0]["state"].as_str().expect("a state").to_owned())
}

/// What `doctor` finds of the kinds that a crash can leave, as id and text.
fn findings(place: &Place) -> Vec<(String, String)> {
    let output = place.run(&["--json", "doctor"], b"");
    let report: Value = serde_json::from_slice(&output.stdout).expect("a report");
    let text = |finding: &Value, name: &str| finding[name].as_str().expect("text").to_owned();
    let findings = report["findings"].as_array().expect("findings").iter();
    findings
        .map(|finding| (text(finding, "id"), text(finding, "what")))
        .filter(|(id, _)| ["pending-key", "missing-key", "unknown-key"].contains(&id.as_str()))
        .collect()
}

fn kill(mut child: Child) {
    // It may have come to its end already.
    let _ = child.kill();
    child.wait().expect("an end");
}

#[test]
fn a_key_whose_making_was_killed_is_found_and_completed() {
    let place = Place::watched();
    place.generate("witness", "ES256");
    place.faulty.set(&SLOWLY);
    place.json(&["key", "generate", "measured", "--alg", "ES256"], b"");
    let calls = place.faulty.calls();
    let made = calls.iter().rposition(|call| call == "C_GenerateKeyPair").expect("made");
    // SoftHSM rewrites the token's file in C_Login, in place: a kill there can cost the token, which
    // no program above it can mend. Before it nothing has been written.
    let first = calls.iter().position(|call| call == "C_Login").expect("a login") + 1;
    let (mut pending, mut in_device, mut absent, mut active) = (0, 0, 0, 0);
    for round in 0..KILLS {
        let name = format!("killed-{round}");
        let generate = ["key", "generate", &name, "--alg", "ES256"];
        // Half of the kills anywhere, half of them from a little before the key is made: each in a part
        // of its own, so that every part has one.
        let mut drawn = [0; 2];
        random::fill(&mut drawn);
        let drawn = usize::from(u16::from_be_bytes(drawn));
        let start = if round % 2 == 0 { first } else { made.saturating_sub(3) };
        let calls_from_start = calls.len() - start;
        let (part, parts) = (round / 2, KILLS / 2);
        let at = start + (part * calls_from_start + drawn % calls_from_start) / parts;
        place.faulty.set(&SLOWLY);
        let mut child = place.command(&generate).spawn().expect("the program");
        let since = Instant::now();
        while place.faulty.calls().len() <= at
            && child.try_wait().expect("a child").is_none()
            && since.elapsed() < Duration::from_secs(60)
        {
            sleep(Duration::from_micros(300));
        }
        kill(child);
        place.faulty.set(&[]);

        // The file is a keyring, and nobody else's key has gone.
        assert_eq!(state(&place, "witness").as_deref(), Some("active"), "round {round}");
        let left = state(&place, &name);
        match left.as_deref() {
            None => absent += 1,
            Some("active") => active += 1,
            Some("pending") => pending += 1,
            other => panic!("round {round}: {other:?}"),
        }
        if left.as_deref() == Some("pending") {
            let found = findings(&place);
            let mine: Vec<_> =
                found.iter().filter(|(_, what)| what.contains(&format!("key {name} "))).collect();
            assert_eq!(mine.len(), 1, "round {round}: {found:?}");
            assert_eq!(mine[0].0, "pending-key", "round {round}");
            in_device += usize::from(mine[0].1.contains("made in the device"));
            let jwks = place.json(&["jwks"], b"")["keys"].clone();
            assert_eq!(jwks.as_array().map(Vec::len), Some(2 + round), "round {round}");
        }
        let done = place.json(&[&generate[..], &["--if-absent"]].concat(), b"");
        let outcome = done["outcome"].as_str().expect("an outcome");
        assert!(["entered", "completed", "present"].contains(&outcome), "{outcome}");
        assert_eq!(state(&place, &name).as_deref(), Some("active"), "round {round}");
        let kid = done["kid"].as_str().expect("a kid").to_owned();
        let jws = place.json(&["sign", "--key", &name], b"x");
        let set = place.write("jwks.json", place.run(&["jwks"], b"").stdout);
        let jws = jws["jws"].as_str().expect("a token").as_bytes();
        let verified = place.json(&["verify", "--keys", &set], jws);
        assert_eq!(verified["thumbprint"], kid.as_str(), "round {round}");
    }
    assert!(pending >= 5 && in_device >= 1, "{pending} pending, {in_device} of them in the device");
    assert!(absent >= 1, "{absent} absent, {active} active: kills at one place only");
    assert_eq!(findings(&place), Vec::new(), "no key is in the device and nowhere else");
    let keyring = fs::read(place.path("keyring.json")).expect("the keyring");
    let keyring: Value = serde_json::from_slice(&keyring).expect("JSON");
    assert_eq!(keyring["keys"].as_array().map(Vec::len), Some(2 + KILLS));
}

/// Two processes, each with a token directory of its own (SoftHSM's are unreliable when shared), and
/// one keyring.
#[test]
fn two_writers_lose_nothing() {
    let (one, two) = (Place::new(), Place::new());
    let keyring = one.path("keyring.json");
    let shared = format!("[keyring]\nfile = {:?}\n", keyring.to_str().expect("UTF-8"));
    one.configure(&format!("{}{shared}", one.configuration()));
    two.configure(&format!("{}{shared}", two.configuration().replace(".issuer]", ".second]")));
    const KEYS: usize = 8;
    std::thread::scope(|scope| {
        for (place, prefix) in [(&one, "one"), (&two, "two")] {
            scope.spawn(move || {
                for number in 0..KEYS {
                    let name = format!("{prefix}-{number}");
                    place.json(&["key", "generate", &name, "--alg", "ES256"], b"");
                }
            });
        }
        // A reader takes no lock, and never sees half a file.
        for _ in 0..20 {
            one.json(&["key", "list"], b"");
        }
    });
    let list = one.json(&["key", "list"], b"")["keys"].clone();
    let names: Vec<_> =
        list.as_array().expect("keys").iter().map(|key| key["name"].as_str().unwrap()).collect();
    for prefix in ["one", "two"] {
        for number in 0..KEYS {
            assert!(names.contains(&&*format!("{prefix}-{number}")), "{names:?}");
        }
    }
    assert_eq!(names.len(), 2 * KEYS);
    for place in [&one, &two] {
        let lost = findings(place);
        let lost: Vec<_> = lost.iter().filter(|(id, _)| id != "missing-key").collect();
        assert_eq!(lost, Vec::<&(String, String)>::new());
    }
}
