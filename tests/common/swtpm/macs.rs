//! Keys for HMAC in a software TPM, and what tpm2-tools do with them.

use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hsm_jose::backend::tss2::{KeyFile, OWNER};
use hsm_jose::backend::{BackendError, HardwareKey, KeyShape, Keystore, ToSign};
use hsm_jose::jose::alg::{KeyAlgorithm, SignatureAlgorithm};

use super::Swtpm;
use super::keys::spec;

pub const MESSAGE: &[u8] = b"message";
pub const HS256: SignatureAlgorithm = SignatureAlgorithm::Hs256;

/// A key for HMAC that somebody has, and that anybody would guess.
pub const KNOWN: [u8; 5] = *b"known";

/// The HMAC algorithms, with the length of their keys in bits.
pub const MACS: [(SignatureAlgorithm, u32); 3] = [
    (SignatureAlgorithm::Hs256, 256),
    (SignatureAlgorithm::Hs384, 384),
    (SignatureAlgorithm::Hs512, 512),
];

pub const fn oct(bits: u32) -> KeyShape {
    KeyShape::Oct { bits }
}

pub fn generate(
    keystore: &dyn Keystore,
    alg: SignatureAlgorithm,
    bits: u32,
) -> Arc<dyn HardwareKey> {
    let locator = keystore.new_locator("mac").unwrap();
    let made = keystore.generate(&locator, &spec(oct(bits), KeyAlgorithm::Sign(alg)));
    made.unwrap_or_else(|error| panic!("{alg} {bits}: {error}"))
}

pub fn mac(key: &dyn HardwareKey, alg: SignatureAlgorithm) -> Vec<u8> {
    key.sign(alg, ToSign::Message(MESSAGE)).unwrap_or_else(|error| panic!("{alg}: {error}"))
}

pub fn refusal<T: std::fmt::Debug>(answer: Result<T, BackendError>) -> String {
    match answer {
        Err(BackendError::Unsupported { what, reason, .. }) => format!("{what}: {reason}"),
        other => panic!("{other:?}"),
    }
}

/// TPM2B_PUBLIC and TPM2B_PRIVATE of a key file: its last two OCTET STRINGs, as files for tpm2-tools.
pub fn halves(tpm: &Swtpm, file: &Path) -> [Vec<u8>; 2] {
    let text = std::fs::read_to_string(file).unwrap();
    let base64: String = text.lines().filter(|line| !line.starts_with('-')).collect();
    let der = STANDARD.decode(base64).unwrap();
    // INTEGER 0x40000001: the parent is the primary key of the owner.
    let parent = [2, 4, 0x40, 0, 0, 1];
    let place = der.windows(parent.len()).position(|window| window == parent).unwrap();
    let mut rest = &der[place + parent.len()..];
    ["pub", "priv"].map(|name| {
        assert_eq!(rest[0], 4, "an OCTET STRING");
        let (len, header) = match rest[1] {
            0x81 => (usize::from(rest[2]), 3),
            len => (usize::from(len), 2),
        };
        let octets = rest[header..header + len].to_vec();
        rest = &rest[header + len..];
        std::fs::write(tpm.directory.join(name), &octets).unwrap();
        octets
    })
}

/// Makes the parent of all key files with tpm2-tools, as `parent.ctx`.
pub fn parent_with_tools(tpm: &Swtpm) {
    let attributes =
        "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|decrypt";
    let template = ["-C", "o", "-g", "sha256", "-G", "ecc256:aes128cfb", "-a", attributes];
    tpm.tool("tpm2_createprimary", &[&["-Q", "-c", "parent.ctx"], &template[..]].concat());
    tpm.tool("tpm2_flushcontext", &["-t"]);
}

/// Loads the files `pub` and `priv` with tpm2-tools, as `key.ctx`.
pub fn load_halves(tpm: &Swtpm) {
    let halves = ["-Q", "-C", "parent.ctx", "-u", "pub", "-r", "priv", "-c", "key.ctx"];
    tpm.tool("tpm2_load", &halves);
    tpm.tool("tpm2_flushcontext", &["-t"]);
}

/// Loads a key file with tpm2-tools, as `key.ctx`.
pub fn load_with_tools(tpm: &Swtpm, file: &Path) {
    halves(tpm, file);
    parent_with_tools(tpm);
    load_halves(tpm);
}

/// Puts a known key of five bytes into the TPM, as the files `pub` and `priv`.
pub fn import_with_tools(tpm: &Swtpm, attributes: &str) {
    std::fs::write(tpm.directory.join("short"), KNOWN).unwrap();
    let into = ["-Q", "-C", "parent.ctx", "-G", "hmac:sha256", "-i", "short"];
    tpm.tool("tpm2_import", &[&into[..], &["-u", "pub", "-r", "priv", "-a", attributes]].concat());
    tpm.tool("tpm2_flushcontext", &["-t"]);
}

/// The key file of the files `pub` and `priv`, its public area changed.
pub fn key_file(tpm: &Swtpm, change: impl FnOnce(&mut Vec<u8>)) -> String {
    let [mut public, private] = ["pub", "priv"].map(|name| {
        let sized = std::fs::read(tpm.directory.join(name)).unwrap();
        assert_eq!(usize::from(u16::from_be_bytes([sized[0], sized[1]])), sized.len() - 2);
        sized[2..].to_vec()
    });
    change(&mut public);
    KeyFile { parent: OWNER, empty_auth: true, public, private }.encode().unwrap()
}
