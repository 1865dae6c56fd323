//! What is particular to PKCS#11: selection of the token, the PIN, the pool, templates, healing,
//! and the native calls that are made.
#![cfg(feature = "pkcs11")]

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use common::{PIN, softhsm};
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use hsm_jose::backend::pkcs11::{Pkcs11Config, Pkcs11Keystore, TokenSelector};
use hsm_jose::backend::{
    BackendError, CekRequest, HardwareKey, KeyShape, KeySpec, Keystore, Locator, Support, ToSign,
};
use hsm_jose::jose::alg::{
    ContentEncryption, Curve, Hash, KeyAlgorithm, KeyManagement, SignatureAlgorithm,
};
use hsm_jose::jose::jwk::PrivateJwk;
use hsm_jose::primitives::verify::VerifyingKey;
use hsm_jose::secret::PinSource;

const ENC: ContentEncryption = ContentEncryption::A256Gcm;
const RSA: KeyShape = KeyShape::Rsa { bits: 2048 };

#[path = "pkcs11/calls.rs"]
mod calls;
#[path = "pkcs11/judged.rs"]
mod judged;
#[path = "pkcs11/pin.rs"]
mod pin;
#[path = "pkcs11/remote.rs"]
mod remote;

/// Another user of the module in this process: what the token really holds.
struct Witness {
    session: Session,
}

impl Witness {
    fn of(label: &str) -> Self {
        common::logged_in();
        let pkcs11 = Pkcs11::new(&softhsm().module).expect("the module");
        let _ = pkcs11.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK));
        let slots = pkcs11.get_slots_with_initialized_token().expect("slots");
        let slot = slots
            .into_iter()
            .find(|slot| pkcs11.get_token_info(*slot).is_ok_and(|info| info.label() == label))
            .expect("the token");
        let session = pkcs11.open_rw_session(slot).expect("a session");
        let _ = session.login(UserType::User, Some(&AuthPin::from(PIN.to_owned())));
        Self { session }
    }

    fn find(&self, class: ObjectClass, locator: &Locator) -> Vec<ObjectHandle> {
        let Locator::Object { id: Some(id), .. } = locator else { panic!("no id in {locator}") };
        let template = [Attribute::Class(class), Attribute::Id(id.clone())];
        self.session.find_objects(&template).expect("a search")
    }

    fn read(&self, object: ObjectHandle, kind: AttributeType) -> Option<Attribute> {
        self.session.get_attributes(object, &[kind]).ok().and_then(|mut found| found.pop())
    }

    /// Makes an RSA pair as somebody else would.
    fn generate(&self, id: &[u8], private: &[Attribute]) -> Locator {
        let public = [
            Attribute::Token(true),
            Attribute::Private(false),
            Attribute::ModulusBits(2048.into()),
            Attribute::PublicExponent(vec![1, 0, 1]),
            Attribute::Id(id.to_vec()),
        ];
        let mut template = vec![
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Id(id.to_vec()),
            Attribute::Label(b"foreign".to_vec()),
        ];
        template.extend_from_slice(private);
        self.session
            .generate_key_pair(&Mechanism::RsaPkcsKeyPairGen, &public, &template)
            .expect("a pair");
        Locator::Object { id: Some(id.to_vec()), label: None }
    }
}

fn sign(alg: SignatureAlgorithm) -> KeyAlgorithm {
    KeyAlgorithm::Sign(alg)
}

fn unwrap(alg: KeyManagement) -> KeyAlgorithm {
    KeyAlgorithm::Unwrap(alg)
}

fn make(keystore: &dyn Keystore, shape: KeyShape, algs: &[KeyAlgorithm]) -> (Locator, Box<Made>) {
    let locator = keystore.new_locator("made").expect("a locator");
    let key = keystore.generate(&locator, &KeySpec { shape, algs: algs.to_vec() });
    (locator, Box::new(Made(key.expect("a key"))))
}

struct Made(Arc<dyn HardwareKey>);

fn signs(key: &dyn HardwareKey, alg: SignatureAlgorithm) {
    let public = key.info().public.clone().expect("a public half");
    let signature = key.sign(alg, ToSign::Message(b"m")).expect("a signature");
    let verifying = VerifyingKey::new(&public).expect("a verifying key");
    assert!(verifying.verify(alg, b"m", &signature), "{alg}");
}

#[test]
fn a_token_is_chosen_by_what_it_says_of_itself() {
    let open = |token: TokenSelector| {
        Pkcs11Keystore::open(Pkcs11Config { token, ..common::config("selection") })
    };
    let info = open(TokenSelector::label("main")).expect("main").describe().expect("told");
    assert_eq!(info.label, "main");
    assert!(info.software && info.kind == "pkcs11", "{info:?}");
    assert!(info.manufacturer.contains("SoftHSM"), "{info:?}");
    let uri = format!("pkcs11:serial={};model=SoftHSM%20v2", info.serial);
    let same = open(uri.parse().expect("a selector")).expect("main");
    assert_eq!(same.describe().expect("told").serial, info.serial);

    let error = open(TokenSelector::label("absent")).expect_err("not there");
    assert!(matches!(error, BackendError::Unavailable { .. }), "{error:?}");
    assert!(error.to_string().contains("\"main\""), "{error}");
    let error = open(TokenSelector::label("twin")).expect_err("two of them");
    assert!(matches!(error, BackendError::Misconfigured { .. }), "{error:?}");
    assert!(error.to_string().contains("serial"), "{error}");
}

#[test]
fn what_is_not_a_module_is_refused_with_help() {
    let text = softhsm().directory.join("not-a-module.so");
    std::fs::write(&text, "text").expect("a file");
    for module in [text, PathBuf::from("/nonexistent/module.so"), softhsm().directory.clone()] {
        let config = Pkcs11Config { module: module.clone(), ..common::config("module") };
        let error = Pkcs11Keystore::open(config).expect_err("no module");
        assert!(matches!(error, BackendError::Misconfigured { .. }), "{error:?}");
        assert!(error.to_string().contains("libsofthsm2.so"), "{error}");
    }
}

#[test]
fn the_pool_never_opens_more_sessions_than_allowed() {
    let config = Pkcs11Config { sessions: 3, ..common::config("bounded") };
    let keystore = Pkcs11Keystore::open(config).expect("open");
    let (locator, key) =
        make(&keystore, KeyShape::Curve(Curve::P256), &[sign(SignatureAlgorithm::Es256)]);
    let most = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let threads = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..100 {
                        signs(&*key.0, SignatureAlgorithm::Es256);
                        most.fetch_max(keystore.sessions(), Ordering::SeqCst);
                    }
                })
            })
            .collect::<Vec<_>>();
        threads.into_iter().for_each(|thread| thread.join().expect("a thread"));
    });
    let most = most.load(Ordering::SeqCst);
    assert!((2..=3).contains(&most), "{most}");
    keystore.destroy(&locator).expect("destroyed");
}

#[test]
fn lost_logins_and_sessions_heal() {
    let config = Pkcs11Config { token: TokenSelector::label("other"), ..common::config("healing") };
    let keystore = Pkcs11Keystore::open(config).expect("open");
    let curve = KeyShape::Curve(Curve::P256);
    let (signing, signer) = make(&keystore, curve, &[sign(SignatureAlgorithm::Es256)]);
    let (unwrapping, unwrapper) = make(&keystore, RSA, &[unwrap(KeyManagement::RsaOaep)]);
    let (agreeing, agreer) = make(&keystore, curve, &[unwrap(KeyManagement::EcdhEs)]);
    let works = || {
        signs(&*signer.0, SignatureAlgorithm::Es256);
        common::round_trip(&*unwrapper.0, KeyManagement::RsaOaep, ENC);
        common::round_trip(&*agreer.0, KeyManagement::EcdhEs, ENC);
        keystore.health().expect("healthy");
        unwrapper.0.confirm_alive().expect("alive");
    };
    works();
    let witness = Witness::of("other");
    witness.session.logout().expect("logged out");
    works();
    witness.session.logout().expect("logged out");
    keystore.find(&signing).expect("found after a logout");
    witness.session.logout().expect("logged out");
    keystore.list().expect("a list after a logout");
    witness.session.logout().expect("logged out");
    keystore.health().expect("healthy after a logout");
    close_all_sessions("other");
    works();
    close_all_sessions("other");
    keystore.find(&signing).expect("found without a session");
    for locator in [signing, unwrapping, agreeing] {
        keystore.destroy(&locator).expect("destroyed");
    }
}

#[test]
fn every_use_of_a_private_key_is_told_with_its_place() {
    let keystore = common::open("custody");
    let (locator, key) = make(&keystore, RSA, &[unwrap(KeyManagement::RsaOaep256)]);
    let text = Arc::new(Mutex::new(Vec::new()));
    let writer = text.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || Writer(writer.clone()))
        .finish();
    // For all threads: what another test reaches first is else switched off for this one too.
    tracing::subscriber::set_global_default(subscriber).expect("the only one of this process");
    let so_far = text.lock().expect("the text").len();
    common::round_trip(&*key.0, KeyManagement::RsaOaep256, ENC);
    let text = String::from_utf8(text.lock().expect("the text")[so_far..].to_vec()).expect("UTF-8");
    let lines = text.lines().filter(|line| line.contains("\"custody\"")).collect::<Vec<_>>();
    assert_eq!(lines.len(), 2, "{text}");
    let said = |line: &str, words: &[&str]| words.iter().all(|word| line.contains(word));
    let token = ["hsm_jose::custody", "keystore=\"custody\"", "token=\"main\""];
    assert!(lines.iter().all(|line| said(line, &token)), "{text}");
    assert!(said(lines[0], &["mechanism=\"CKM_RSA_X_509\"", "place=\"token\""]), "{text}");
    assert!(said(lines[1], &["step=\"OAEP decoding\"", "place=\"host\""]), "{text}");
    keystore.destroy(&locator).expect("destroyed");
}

struct Writer(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("the text").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_child_of_fork_is_told_to_open_its_own() {
    use std::os::unix::process::CommandExt;
    let keystore = common::open("forking");
    let shape = KeyShape::Curve(Curve::P256);
    let (locator, key) = make(&keystore, shape, &[sign(SignatureAlgorithm::Es256)]);
    let child = key.0.clone();
    let mut command = Command::new("true");
    // SAFETY: the child makes no call of the module, and ends by the error given here.
    unsafe {
        command.pre_exec(move || {
            let answer = child.sign(SignatureAlgorithm::Es256, ToSign::Message(b""));
            let is_told =
                matches!(&answer, Err(BackendError::Unavailable { call, .. }) if call == "fork");
            Err(std::io::Error::from_raw_os_error(if is_told { 42 } else { 43 }))
        });
    }
    let told = command.spawn().expect_err("the child's answer");
    assert_eq!(told.raw_os_error(), Some(42));
    signs(&*key.0, SignatureAlgorithm::Es256);
    keystore.destroy(&locator).expect("destroyed");
}

#[test]
fn the_number_of_sessions_has_bounds() {
    for sessions in [0, 1, 5000] {
        let config = Pkcs11Config { sessions, ..common::config("sessions") };
        let error = Pkcs11Keystore::open(config).expect_err("no such number");
        assert!(matches!(error, BackendError::Misconfigured { .. }), "{error:?}");
    }
}

#[test]
fn a_key_that_was_destroyed_is_not_found_again() {
    let keystore = common::open("destroying");
    let shape = KeyShape::Curve(Curve::P256);
    let (locator, key) = make(&keystore, shape, &[sign(SignatureAlgorithm::Es256)]);
    keystore.destroy(&locator).expect("destroyed");
    let answer = key.0.sign(SignatureAlgorithm::Es256, ToSign::Message(b""));
    assert!(matches!(answer, Err(BackendError::NotFound { .. })), "{answer:?}");
    key.0.confirm_alive().expect("the device is alive");
}

/// C_CloseAllSessions, as another part of the process might call it.
fn close_all_sessions(label: &str) {
    let pkcs11 = Pkcs11::new(&softhsm().module).expect("the module");
    let slots = pkcs11.get_slots_with_initialized_token().expect("slots");
    let slot = slots
        .into_iter()
        .find(|slot| pkcs11.get_token_info(*slot).is_ok_and(|info| info.label() == label))
        .expect("the token");
    // SAFETY: the module is loaded and initialized; the binding has no such call of its own.
    let rv = unsafe {
        let library = cryptoki_sys::Pkcs11::new(&softhsm().module).expect("the module");
        let mut list = std::ptr::null_mut();
        assert_eq!(library.C_GetFunctionList(&mut list), cryptoki_sys::CKR_OK);
        (*list).C_CloseAllSessions.expect("C_CloseAllSessions")(
            slot.id() as cryptoki_sys::CK_SLOT_ID
        )
    };
    assert_eq!(rv, cryptoki_sys::CKR_OK);
}
