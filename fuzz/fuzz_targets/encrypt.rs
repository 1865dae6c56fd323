//! `encrypt` and `sign` with any options: what is made is taken again.
#![no_main]

use arbitrary::Arbitrary;
use hsm_jose::engine::{EncryptOptions, SignOptions};
use hsm_jose::jose::alg::{
    ContentEncryption, KeyAlgorithm, KeyManagement, Purpose, SignatureAlgorithm,
};
use hsm_jose::jose::serialization::Serialization;
use hsm_jose_fuzz::oracle::assert_told;
use hsm_jose_fuzz::world::world;
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Wanted<'a> {
    key: u8,
    alg: Option<u8>,
    enc: Option<u8>,
    typ: Option<&'a str>,
    cty: Option<&'a str>,
    apu: &'a [u8],
    apv: &'a [u8],
    aad: &'a [u8],
    serialization: u8,
    signs: bool,
    content: &'a [u8],
}

fuzz_target!(|wanted: Wanted| {
    let world = world();
    let Wanted { typ, cty, apu, apv, content, .. } = wanted;
    if wanted.signs {
        let key = world.key(Purpose::Sign, wanted.key);
        let alg = wanted.alg.map(|number| chosen(SignatureAlgorithm::ALL, number));
        let options = SignOptions { alg, typ, cty, detached: false };
        match world.all.sign(&key.name, &options, content) {
            Ok(token) => {
                let verified = world.all.verify(token.as_bytes(), &world.trusted);
                let verified = verified.expect("what was signed is verified");
                assert_eq!(verified.get().as_bytes(), content);
                assert_eq!((verified.header().typ(), verified.header().cty()), (typ, cty));
            }
            Err(error) => {
                let fits = alg.is_none_or(|alg| key.algs.contains(&KeyAlgorithm::Sign(alg)));
                assert!(!fits || is_long(&wanted), "{error}");
                assert_told(&error, &[&["usage", "policy"]]);
            }
        }
        return;
    }
    let key = world.key(Purpose::Decrypt, wanted.key);
    let alg = wanted.alg.map(|number| chosen(KeyManagement::ALL, number));
    let enc = wanted.enc.map(|number| chosen(ContentEncryption::ALL, number));
    let all = [Serialization::Compact, Serialization::Flattened, Serialization::General];
    let (serialization, aad) = (chosen(&all, wanted.serialization), wanted.aad);
    let options = EncryptOptions { alg, enc, typ, cty, apu, apv, aad, serialization };
    match world.all.encrypt(world.recipient(key), &options, content) {
        Ok(token) => {
            let decrypted = world.all.decrypt(token.as_bytes(), None);
            let decrypted = decrypted.expect("what was encrypted is decrypted");
            assert_eq!((decrypted.plaintext.as_bytes(), &*decrypted.aad), (content, aad));
            assert_eq!((decrypted.header.typ(), decrypted.header.cty()), (typ, cty));
        }
        Err(error) => assert_told(&error, &[&["usage", "policy"]]),
    }
});

fn chosen<T: Copy>(all: &[T], number: u8) -> T {
    all[usize::from(number) % all.len()]
}

/// Options that no header of ours can hold.
fn is_long(wanted: &Wanted<'_>) -> bool {
    wanted.typ.unwrap_or_default().len() + wanted.cty.unwrap_or_default().len() > 1024
}
