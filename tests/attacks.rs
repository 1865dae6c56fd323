//! Attacks as data: every file of `tests/data/attacks` against `decrypt`, `verify` and `open`, with
//! the keys in a SoftHSM token behind a module that logs every call.
//!
//! What must not reach a key costs no call at all; what may reach one and is not to be decrypted
//! costs the calls of any other decryption that fails, in the same order (RFC 7516 section 11.5), and
//! so does a MAC that is wrong.
#![cfg(all(feature = "cli", feature = "pkcs11"))]

use std::collections::{BTreeMap, BTreeSet};

use hsm_jose::jose::base64url;
use serde_json::Value;

#[path = "attacks/case.rs"]
mod case;
mod common;
#[path = "common/faulty.rs"]
mod faulty;
#[path = "attacks/house.rs"]
mod house;
#[path = "common/place.rs"]
mod place;

use case::{Case, Expect, Keys, Operation, Policy, read_all};
use house::{Answer, House};

/// How many attacks of one family are counted: variety is what counts.
const COUNTED_OF_A_FAMILY: usize = 8;

#[test]
fn the_collection_is_whole() {
    let (cases, keys) = (read_all(), Keys::read());
    for key in &keys.keys {
        assert!(!key.source.is_empty() && !key.algs.is_empty(), "{}: source and algs", key.name);
    }
    let mut families: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    let mut titles = BTreeSet::new();
    for case in &cases {
        let file = &case.file;
        assert!(!case.title.is_empty() && !case.source.is_empty(), "{file}: title and source");
        assert!(case.source.iter().all(|source| source.len() > 5), "{file}: a source says which");
        assert!(titles.insert((&case.family, &case.title)), "{file}: a title of its own");
        assert!(!case.token().is_empty() || !case.is_control(), "{file}: a token");
        for name in &case.keys {
            keys.named(name);
        }
        assert_eq!(case.operation == Operation::Open, case.context.is_some(), "{file}: context");
        assert_eq!(case.operation == Operation::Open, case.keys.is_empty(), "{file}: keys");
        if let Some(name) = &case.mac_key {
            assert_eq!(case.operation, Operation::Verify, "{file}: mac_key");
            assert!(case.keys.contains(name), "{file}: mac_key is one of the keyring");
        }
        let (attacks, controls) = families.entry(&case.family).or_default();
        match &case.expect {
            Expect::Accepted { exit, .. } => {
                *controls += 1;
                assert_eq!(*exit, 0, "{file}");
            }
            Expect::Refused { code, exit } => {
                *attacks += 1;
                let expected = match code.as_str() {
                    "malformed" | "policy" | "decryption_failed" | "signature_invalid"
                    | "claim" => 3,
                    "key_not_found" | "key_ambiguous" => 4,
                    _ => panic!("{file}: code {code}"),
                };
                assert_eq!(*exit, expected, "{file}");
            }
        }
    }
    for (family, (attacks, controls)) in &families {
        assert!(*attacks > 0, "{family}: no attack");
        assert!(*controls > 0, "{family}: without a control, all may be refused for nothing");
    }
    let counted: usize = families.values().map(|(it, _)| (*it).min(COUNTED_OF_A_FAMILY)).sum();
    let told = format!("{} families, {} files, {counted} attacks", families.len(), cases.len());
    let readme = std::fs::read_to_string(case::folder().join("README.md")).expect("README.md");
    assert!(readme.contains(&told), "README.md does not say: {told}");
    assert!(families.len() >= 60, "{} families", families.len());
    assert!(counted >= 250, "{counted} attacks");
}

/// One test, because one process has one SoftHSM and one log of calls.
#[test]
fn every_case_ends_as_its_file_says() {
    let cases = read_all();
    let mut house = House::new(&cases);
    let mut wrong = Vec::new();
    let references = References::new(&mut house, &cases);
    for case in &cases {
        let answer = house.run(case, &case.token());
        wrong.extend(judge(case, &answer, &references).err());
    }
    wrong.extend(every_context_against_every_other(&mut house, &cases));
    wrong.extend(by_the_program(&house, &cases));
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// The calls of a token that opens and of one that does not, by what is done with which key.
struct References(BTreeMap<Way, (Vec<String>, Vec<String>)>);

/// Where a token goes: under this policy, to these keys, to this context or key for MACs, by these
/// algs.
type Way = (Operation, Policy, Vec<String>, Option<String>, Vec<String>);

impl References {
    /// Takes the controls that reach a key, each as it is and with its tag changed.
    fn new(house: &mut House, cases: &[Case]) -> Self {
        let mut references = BTreeMap::new();
        let controls = cases.iter().filter(|case| case.is_control() && case.reaches_key);
        for case in controls {
            let token = case.token();
            let Some(broken) = with_another_tag(&token) else { continue };
            house.run(case, &token); // finds the key, which costs calls of its own
            let opened = house.run(case, &token);
            let failed = house.run(case, &broken);
            let code = failed.outcome.as_ref().err().map(|error| error.code());
            assert_eq!(code, Some(of_a_failure(case)), "{}", case.file);
            assert!(opened.outcome.is_ok(), "{}: {:?}", case.file, opened.outcome.err());
            let calls = (opened.calls, failed.calls);
            if case.operation == Operation::Verify {
                assert_eq!(calls.0, calls.1, "{}: a MAC is computed, right or wrong", case.file);
            }
            let first = references.entry(way(case, &token)).or_insert_with(|| calls.clone());
            assert_eq!(first.1, calls.1, "{}: one way to fail", case.file);
        }
        Self(references)
    }
}

fn way(case: &Case, token: &[u8]) -> Way {
    let whom = case.context.clone().or_else(|| case.mac_key.clone());
    (case.operation, case.policy, case.keys.clone(), whom, algs(case, token))
}

/// What a token that reaches a key ends with if that key does not vouch for it.
fn of_a_failure(case: &Case) -> &'static str {
    match case.operation {
        Operation::Decrypt | Operation::Open => "decryption_failed",
        Operation::Verify => "signature_invalid",
    }
}

/// The algs by which our keys are used, in the order of the recipients or signatures.
fn algs(case: &Case, token: &[u8]) -> Vec<String> {
    let json: Value = serde_json::from_slice(token).unwrap_or_default();
    let compact = || token.split(|byte| *byte == b'.').next().unwrap_or_default().to_vec();
    let protected = json["protected"].as_str().map(|text| text.as_bytes().to_vec());
    let protected = base64url::decode(&protected.unwrap_or_else(compact)).unwrap_or_default();
    let protected: Value = serde_json::from_slice(&protected).unwrap_or_default();
    let several = json["recipients"].as_array().or(json["signatures"].as_array());
    let recipients = several.cloned().unwrap_or_else(|| vec![json.clone()]);
    let of_recipient = |recipient: &Value| {
        let own = recipient["protected"].as_str().unwrap_or_default();
        let own = base64url::decode(own.as_bytes()).unwrap_or_default();
        let own: Value = serde_json::from_slice(&own).unwrap_or_default();
        let parts = [&protected, &json["unprotected"], &recipient["header"], &own];
        let member = |name: &str| parts.iter().find_map(|part| part[name].as_str());
        let is_ours = match (member("kid"), case.operation) {
            (Some(kid), Operation::Decrypt) => case.keys.iter().any(|key| key == kid),
            _ => true,
        };
        is_ours.then(|| member("alg").unwrap_or_default().to_owned())
    };
    recipients.iter().filter_map(of_recipient).collect()
}

fn with_another_tag(token: &[u8]) -> Option<Vec<u8>> {
    let another = |tag: &str| {
        let mut tag = base64url::decode(tag.as_bytes()).ok()?;
        *tag.first_mut()? ^= 1;
        Some(base64url::encode(&tag))
    };
    if let Ok(mut json) = serde_json::from_slice::<Value>(token) {
        let places = ["/tag", "/signature", "/signatures/0/signature"];
        let place = places.into_iter().find(|place| json.pointer(place).is_some())?;
        let tag = json.pointer_mut(place)?;
        *tag = another(tag.as_str()?)?.into();
        return Some(json.to_string().into_bytes());
    }
    let (front, tag) = std::str::from_utf8(token).ok()?.rsplit_once('.')?;
    Some(format!("{front}.{}", another(tag)?).into_bytes())
}

fn judge(case: &Case, answer: &Answer, references: &References) -> Result<(), String> {
    let Answer { outcome, calls } = answer;
    let told = |what: String| Err(format!("{}: {} ({})", case.file, what, case.title));
    match (&case.expect, outcome) {
        (Expect::Accepted { plaintext, .. }, Ok(found)) if found == plaintext.as_bytes() => {}
        (Expect::Refused { code, .. }, Err(error)) if code == error.code() => {}
        (_, Ok(found)) => return told(format!("accepted: {:?}", String::from_utf8_lossy(found))),
        (_, Err(error)) => return told(format!("{}: {error}", error.code())),
    }
    if !case.reaches_key {
        return match calls.is_empty() {
            true => Ok(()),
            false => told(format!("must reach no key: {calls:?}")),
        };
    }
    let Some((opened, failed)) = references.0.get(&way(case, &case.token())) else {
        return told("no control goes the same way, so its calls say nothing".into());
    };
    let is_right = match outcome {
        // With several recipients, which of our keys opened it shows in the calls, and in the answer.
        Ok(_) => !calls.is_empty(),
        Err(error) if error.code() == of_a_failure(case) => calls == failed,
        Err(_) => calls == opened,
    };
    match is_right {
        true => Ok(()),
        false => told(format!("other calls: {calls:?}; expected {failed:?} or {opened:?}")),
    }
}

/// RFC 8725 section 3.12: a token of one context opens in no other.
fn every_context_against_every_other(house: &mut House, cases: &[Case]) -> Vec<String> {
    let is_own = |case: &&Case| case.family == "cross-context" && case.is_control();
    let own: Vec<_> = cases.iter().filter(is_own).collect();
    assert!(own.len() >= 6, "a token of each context");
    let mut wrong = Vec::new();
    for case in &own {
        for other in &own {
            let context = other.context.as_deref().expect("a context");
            let Answer { outcome, .. } = house.open(case, context, &case.token());
            let is_at_home = case.context == other.context;
            if outcome.is_ok() != is_at_home {
                let what = outcome.map_err(|error| error.to_string()).err().unwrap_or_default();
                wrong.push(format!("{} in {context}: {what}", case.file));
            }
        }
    }
    wrong
}

/// The program on one attack of each family: the exit status, the same code, and nothing on stdout.
fn by_the_program(house: &House, cases: &[Case]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let mut wrong = Vec::new();
    // The program trims white space around a token, and has no clock but the system's.
    let is_same = |token: &[u8]| token.trim_ascii() == token;
    for case in cases.iter().filter(|case| case.at.is_none()) {
        let Expect::Refused { code, exit } = &case.expect else { continue };
        if seen.contains(&case.family) || !is_same(&case.token()) {
            continue;
        }
        seen.insert(&case.family);
        let (config, trusted) = (house.configuration(case), house.trusted(case));
        let mut args = vec!["--json", "--config", &config];
        match case.operation {
            Operation::Decrypt => args.push("decrypt"),
            Operation::Verify if case.mac_key.is_some() => {
                args.extend(["verify", "--key", case.mac_key.as_deref().expect("a key")]);
            }
            Operation::Verify => {
                args.extend(["verify", "--keys", &trusted]);
                args.extend(case.require.iter().flat_map(|rule| ["--require", rule]));
            }
            Operation::Open => {
                args.extend(["open", "--context", case.context.as_deref().expect("a context")])
            }
        }
        let output = house.place.run(&args, &case.token());
        let status = output.status.code().expect("an exit status");
        let stderr = String::from_utf8_lossy(&output.stderr);
        let answer: Value = serde_json::from_str(&stderr).unwrap_or_default();
        let is_right = status == *exit && answer["error"]["code"] == **code;
        if !is_right || !output.stdout.is_empty() {
            wrong.push(format!("{} by the program: status {status}: {stderr}", case.file));
        }
    }
    wrong
}
