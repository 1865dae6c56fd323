//! JWKs that were made to cost time, or to say one thing to one reader and another to the next.

use std::time::Instant;

use hsm_jose::jose::jwk::{Finding, MAX_FINDINGS};

use super::*;

/// RFC 7518 sections 2 and 6.3.1: a fault, though the key is read all the same.
#[test]
fn leading_zero_octets_of_an_rsa_key_are_a_fault_and_it_is_read_all_the_same() {
    let good = rfc("rfc7520-3.3");
    for (member, zeros) in [("n", 1), ("n", 5), ("e", 1), ("e", 300)] {
        let octets = base64url::decode(good[member].as_str().unwrap().as_bytes()).unwrap();
        let mut padded = good.clone();
        padded[member] = base64url::encode(&[&vec![0; zeros], &octets[..]].concat()).into();
        assert_eq!(found(&padded), (vec![member], vec![]), "{member} {zeros}");
        let in_a_set = json!({ "keys": [padded] });
        assert_eq!(found(&in_a_set), (vec![member], vec![]), "{member} {zeros}");
        let read = PublicJwk::parse(padded.to_string().as_bytes()).unwrap();
        assert_eq!(read, PublicJwk::parse(good.to_string().as_bytes()).unwrap());
    }
    // Of a key that is of no use it is said too; the number zero has one octet.
    let small = json!({ "kty": "RSA", "n": base64url::encode(&[0, 0xff]), "e": "AA" });
    assert_eq!(found(&small), (vec!["n", "n", "e"], vec![]));
}

fn findings(value: &Value) -> Vec<Finding> {
    let start = Instant::now();
    let findings = check(value.to_string().as_bytes(), in_2015());
    // Compared each with each, 65,000 take minutes in a test.
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    findings
}

#[test]
fn thousands_of_operations_take_no_time_and_give_few_findings() {
    let mut jwk = rfc("rfc7520-3.3");
    let unknown: Vec<String> = (0..65_000).map(|number| format!("operation {number}")).collect();
    jwk["key_ops"] = json!(unknown);
    jwk["alg"] = "ES256".into();
    let found = findings(&jwk);
    let count = |severity| found.iter().filter(|finding| finding.severity == severity).count();
    // The remarks hide no fault: the alg is not that of the key, and none of the operations.
    assert_eq!(count(Severity::Fault), 2);
    assert_eq!(count(Severity::Remark), MAX_FINDINGS + 1);
    let last = found.last().unwrap();
    assert_eq!((last.member, last.severity), ("key_ops", Severity::Remark));
    // One remark for each, and one for all.
    assert!(last.what.starts_with(&format!("{} more", 65_001 - MAX_FINDINGS)), "{}", last.what);

    jwk["key_ops"] = vec!["verify"; 65_000].into();
    let found = findings(&jwk);
    let told = found.iter().filter(|finding| finding.severity == Severity::Fault).count();
    assert_eq!((told, found.len()), (MAX_FINDINGS, MAX_FINDINGS + 1));
}

/// Every prime takes a pass over the modulus: one that is too long anyway is not looked at.
#[test]
fn a_modulus_that_is_too_long_is_not_looked_at_for_more() {
    // One more than a multiple of all the primes: a power of 65537 for each of them.
    let mut n = vec![0; 100_000];
    let product = (3..=701u32)
        .filter(|number| (2..*number).all(|by| number % by != 0))
        .fold(num_bigint::BigUint::from(1u8), |product, prime| product * prime);
    let product = product.to_bytes_be();
    n[..product.len()].copy_from_slice(&product);
    *n.last_mut().unwrap() = 1;
    let jwk = json!({ "kty": "RSA", "n": base64url::encode(&n), "e": "AQAB" });
    assert_eq!(found(&jwk), (vec!["n"], vec![]));
}

/// RFC 7518 section 6.2.1 and RFC 8037 section 2: `crv` must be there, which is no curve that others know.
#[test]
fn a_key_without_a_curve_is_a_fault_in_a_set_too() {
    let good = rfc("rfc7520-3.1");
    for value in [None, Some(json!(5)), Some(json!(null))] {
        let mut wrong = good.clone();
        match &value {
            None => drop(wrong.as_object_mut().unwrap().remove("crv")),
            Some(value) => wrong["crv"] = value.clone(),
        }
        assert_eq!(found(&wrong).0, ["crv"], "{value:?}");
        wrong["kid"] = "other".into();
        assert_eq!(found(&json!({ "keys": [good.clone(), wrong] })).0, ["crv"], "{value:?}");
    }
}
