//! `seal` with any claims, in every context: what is sealed opens, with every claim that was given.
#![no_main]

use arbitrary::Arbitrary;
use hsm_jose::Error;
use hsm_jose::jose::alg::Purpose;
use hsm_jose::jwt::{Claims, Opened};
use hsm_jose_fuzz::edit::{Name, Value};
use hsm_jose_fuzz::oracle::assert_told;
use hsm_jose_fuzz::world::world;
use libfuzzer_sys::fuzz_target;
use serde_json::Map;

#[derive(Arbitrary, Debug)]
struct Given {
    context: u8,
    key: u8,
    claims: Vec<(Name, Value)>,
    audience: Option<String>,
}

fuzz_target!(|given: Given| {
    let world = world();
    let context = ["nested", "signed", "sealed"][usize::from(given.context % 3)];
    let members: Map<_, _> =
        given.claims.iter().map(|(name, value)| (name.text(), value.json())).collect();
    let Ok(claims) = Claims::parse(serde_json::to_vec(&members).expect("JSON")) else { return };
    let recipient = world.recipient(world.key(Purpose::Decrypt, given.key));
    match world.all.seal(context, &claims, recipient, given.audience.as_deref()) {
        Ok(token) => {
            let opened = world.all.open(context, token.as_bytes());
            let opened = match opened {
                // A token may be made before it is valid, and for a key of another context.
                Err(Error::Claim { claim: "nbf", .. }) => return,
                Err(Error::Policy(reason)) if reason.contains("not a key to be used here") => {
                    return;
                }
                opened => opened.expect("what was sealed opens"),
            };
            assert_eq!(matches!(opened, Opened::Unsigned(_)), context == "sealed");
            for (name, value) in claims.members() {
                assert_eq!(opened.claims().members().get(name), Some(value), "{name}");
            }
        }
        Err(error) => assert_told(&error, &[&["claim", "policy"]]),
    }
});
