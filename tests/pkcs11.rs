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
fn a_refused_pin_is_tried_once() {
    let pin = softhsm().directory.join("wrong-pin");
    common::write_pin(&pin, "00000000", 0o600);
    let config = Pkcs11Config {
        token: TokenSelector::label("refused"),
        pin: PinSource::File(pin.clone()),
        ..common::config("wrong")
    };
    let error = Pkcs11Keystore::open(config.clone()).expect_err("the wrong PIN");
    let BackendError::PinRefused { code, .. } = &error else { panic!("{error:?}") };
    assert_eq!(code, "CKR_PIN_INCORRECT");
    assert!(!error.to_string().contains("00000000"), "{error}");
    // The right one is not tried either: the token is not touched any more.
    common::write_pin(&pin, PIN, 0o600);
    let error = Pkcs11Keystore::open(config.clone()).expect_err("latched");
    assert!(matches!(error, BackendError::PinRefused { .. }), "{error:?}");
    let other = Pkcs11Config { name: "right".to_owned(), ..config };
    Pkcs11Keystore::open(other).expect("another keystore has its own attempt");
}

#[test]
fn a_pin_that_cannot_be_read_says_why() {
    let directory = &softhsm().directory;
    let open = directory.join("open-pin");
    common::write_pin(&open, PIN, 0o644);
    let empty = directory.join("empty-pin");
    common::write_pin(&empty, "", 0o600);
    for (pin, says) in [
        (PinSource::File(open), "chmod 600"),
        (PinSource::File(empty), "empty"),
        (PinSource::File(directory.join("absent")), "No such file"),
        (PinSource::File(directory.clone()), "not a regular file"),
        (PinSource::Fd(987), "file descriptor 987"),
        (PinSource::Env("HSM_JOSE_TEST_ABSENT".to_owned()), "HSM_JOSE_TEST_ABSENT"),
        (PinSource::Credential("pin".to_owned()), "CREDENTIALS_DIRECTORY"),
        (PinSource::Credential("../pin".to_owned()), "not the name of a credential"),
    ] {
        let error = pin.read("x").expect_err("no PIN");
        assert!(error.contains(says), "{error}");
        assert!(!error.contains(PIN), "{error}");
    }
    let pin = PinSource::File(softhsm().pin_file.clone()).read("x").expect("a PIN");
    assert_eq!(pin.expect("a PIN").expose(), PIN);
    let two_newlines = directory.join("two-newlines");
    common::write_pin(&two_newlines, "1\n", 0o400);
    let pin = PinSource::File(two_newlines).read("x").expect("a PIN");
    assert_eq!(pin.expect("a PIN").expose(), "1\n");
    assert!(PinSource::Protected.read("x").expect("nothing").is_none());
    assert!(PinSource::None.read("x").expect("nothing").is_none());
}

#[test]
fn a_pin_file_must_be_a_file_of_ours() {
    use std::os::unix::fs::chown;
    let directory = &softhsm().directory;
    let fifo = directory.join("fifo");
    let made = Command::new("mkfifo").args(["-m", "600"]).arg(&fifo).status().expect("mkfifo");
    assert!(made.success());
    let error = PinSource::File(fifo).read("x").expect_err("no writer, and no wait for one");
    assert!(error.contains("not a regular file"), "{error}");
    let others = directory.join("others-pin");
    common::write_pin(&others, PIN, 0o600);
    // Only root can give a file away.
    if chown(&others, Some(4321), None).is_ok() {
        let pin = PinSource::File(others).read("x").expect("root acts for a service's user");
        assert_eq!(pin.expect("a PIN").expose(), PIN);
    }
    let rebased = PinSource::File("pin".into()).rebased(Path::new("/etc/x"));
    assert_eq!(rebased, PinSource::File("/etc/x/pin".into()));
}

#[test]
fn a_descriptor_gives_the_pin_once() {
    use std::io::Write;
    use std::os::fd::AsRawFd;
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    writer.write_all(format!("{PIN}\n").as_bytes()).expect("written");
    drop(writer);
    let source = PinSource::Fd(reader.as_raw_fd().try_into().expect("a descriptor"));
    let pin = source.read("x").expect("a PIN").expect("a PIN");
    assert_eq!(pin.expose(), PIN);
    let error = source.read("x").expect_err("read already");
    assert!(error.contains("at its end"), "{error}");
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
fn a_new_key_has_the_attributes_that_were_asked() {
    let keystore = common::open("templates");
    let witness = Witness::of("main");
    let cases: [(KeyShape, KeyAlgorithm, &[MechanismType]); 7] = [
        (RSA, unwrap(KeyManagement::RsaOaep), &[MechanismType::RSA_PKCS_OAEP]),
        (
            RSA,
            unwrap(KeyManagement::RsaOaep256),
            &[MechanismType::RSA_PKCS_OAEP, MechanismType::RSA_X_509],
        ),
        (
            RSA,
            sign(SignatureAlgorithm::Ps256),
            &[MechanismType::RSA_PKCS_PSS, MechanismType::SHA256_RSA_PKCS_PSS],
        ),
        (
            RSA,
            sign(SignatureAlgorithm::Rs384),
            &[MechanismType::RSA_PKCS, MechanismType::SHA384_RSA_PKCS],
        ),
        (
            KeyShape::Curve(Curve::P256),
            sign(SignatureAlgorithm::Es256),
            &[MechanismType::ECDSA, MechanismType::ECDSA_SHA256],
        ),
        (KeyShape::Curve(Curve::Ed25519), sign(SignatureAlgorithm::EdDsa), &[MechanismType::EDDSA]),
        (
            KeyShape::Curve(Curve::X25519),
            unwrap(KeyManagement::EcdhEs),
            &[MechanismType::ECDH1_DERIVE],
        ),
    ];
    for (shape, alg, mechanisms) in cases {
        let (locator, key) = make(&keystore, shape, &[alg]);
        let private = witness.find(ObjectClass::PRIVATE_KEY, &locator);
        assert_eq!(private.len(), 1, "{alg}");
        let read = |kind| witness.read(private[0], kind);
        let is_ecdh = matches!(alg, KeyAlgorithm::Unwrap(alg) if alg.is_ecdh());
        let is_sign = matches!(alg, KeyAlgorithm::Sign(_));
        for (kind, wanted) in [
            (AttributeType::Token, Attribute::Token(true)),
            (AttributeType::Private, Attribute::Private(true)),
            (AttributeType::Sensitive, Attribute::Sensitive(true)),
            (AttributeType::Extractable, Attribute::Extractable(false)),
            (AttributeType::AlwaysSensitive, Attribute::AlwaysSensitive(true)),
            (AttributeType::NeverExtractable, Attribute::NeverExtractable(true)),
            (AttributeType::Local, Attribute::Local(true)),
            (AttributeType::Modifiable, Attribute::Modifiable(false)),
            (AttributeType::Copyable, Attribute::Copyable(false)),
            (AttributeType::Decrypt, Attribute::Decrypt(!is_sign && !is_ecdh)),
            (AttributeType::Sign, Attribute::Sign(is_sign)),
            (AttributeType::Derive, Attribute::Derive(is_ecdh)),
            (AttributeType::SignRecover, Attribute::SignRecover(false)),
            (AttributeType::Unwrap, Attribute::Unwrap(false)),
            (AttributeType::Label, Attribute::Label(b"made".to_vec())),
        ] {
            assert_eq!(read(kind), Some(wanted), "{alg}: {kind}");
        }
        let Some(Attribute::AllowedMechanisms(allowed)) = read(AttributeType::AllowedMechanisms)
        else {
            panic!("{alg}: no CKA_ALLOWED_MECHANISMS")
        };
        assert_eq!(allowed.len(), mechanisms.len(), "{alg}: {allowed:?}");
        assert!(mechanisms.iter().all(|one| allowed.contains(one)), "{alg}: {allowed:?}");
        assert_eq!(key.0.info().unproven, Vec::<String>::new(), "{alg}");
        assert_eq!(key.0.info().weak, Vec::<String>::new(), "{alg}");
        assert!(!key.0.info().exportable, "{alg}");
        assert_eq!(witness.find(ObjectClass::PUBLIC_KEY, &locator).len(), 1, "{alg}");
        keystore.destroy(&locator).expect("destroyed");
        assert!(witness.find(ObjectClass::PRIVATE_KEY, &locator).is_empty(), "{alg}");
        assert!(witness.find(ObjectClass::PUBLIC_KEY, &locator).is_empty(), "{alg}");
    }
}

#[test]
fn host_oaep_is_used_only_where_it_is_allowed() {
    let config = Pkcs11Config { host_oaep: false, ..common::config("strict") };
    let strict = Pkcs11Keystore::open(config).expect("open");
    let alg = unwrap(KeyManagement::RsaOaep256);
    let support = strict.supports(alg, RSA).expect("an answer");
    let Support::No { reason } = &support else { panic!("{support:?}") };
    assert!(
        reason.contains("CKR_ARGUMENTS_BAD") && reason.contains("host_oaep = true"),
        "{reason}"
    );
    let native = strict.supports(unwrap(KeyManagement::RsaOaep), RSA).expect("an answer");
    assert_eq!(native, Support::Hardware { mechanism: "CKM_RSA_PKCS_OAEP" });
    let locator = strict.new_locator("strict").expect("a locator");
    let refused = strict.generate(&locator, &KeySpec { shape: RSA, algs: vec![alg] });
    assert!(matches!(refused, Err(BackendError::Unsupported { .. })), "{refused:?}");
    assert!(matches!(strict.find(&locator), Err(BackendError::NotFound { .. })));

    let keystore = common::open("lenient");
    let (locator, key) = make(&keystore, RSA, &[alg]);
    let support = key.0.support(alg).expect("an answer");
    let Support::HostAssisted { mechanism, step } = support else { panic!("{support:?}") };
    assert_eq!(mechanism, "CKM_RSA_X_509");
    assert!(step.contains("OAEP decoding (SHA-256)"), "{step}");
    // The very same key is refused to a keystore that does not allow it.
    let strictly = strict.find(&locator).expect("found");
    assert!(!strictly.support(alg).expect("an answer").is_available());
    keystore.destroy(&locator).expect("destroyed");
}

#[test]
fn a_foreign_key_is_judged_and_not_changed() {
    let witness = Witness::of("main");
    let keystore = common::open("foreign");
    let locator = witness.generate(
        b"foreign-weak",
        &[
            Attribute::Sensitive(false),
            Attribute::Extractable(true),
            Attribute::Decrypt(true),
            Attribute::Sign(true),
        ],
    );
    let key = keystore.find(&locator).expect("found");
    let weak = key.info().weak.join("; ");
    for phrase in ["CKA_SENSITIVE is false", "CKA_EXTRACTABLE is true", "CKA_DECRYPT, CKA_SIGN"] {
        assert!(weak.contains(phrase), "{weak}");
    }
    assert!(key.info().exportable);
    assert!(key.info().unproven.iter().any(|one| one.starts_with("CKA_ALLOWED_MECHANISMS")));
    assert!(key.info().public.is_some());
    common::round_trip(&*key, KeyManagement::RsaOaep, ENC);
    signs(&*key, SignatureAlgorithm::Rs256);
    // A second one under the same id.
    witness.generate(b"foreign-weak", &[Attribute::Decrypt(true)]);
    let answer = keystore.find(&locator);
    assert!(matches!(answer, Err(BackendError::Ambiguous { count: 2, .. })), "{answer:?}");
    for handle in witness.find(ObjectClass::PRIVATE_KEY, &locator) {
        witness.session.destroy_object(handle).expect("destroyed");
    }
}

#[test]
fn a_key_that_is_bound_to_the_hashing_mechanism_signs() {
    let witness = Witness::of("main");
    let keystore = common::open("hashing");
    let locator = witness.generate(
        b"hashing",
        &[
            Attribute::Sign(true),
            Attribute::AllowedMechanisms(vec![MechanismType::SHA256_RSA_PKCS]),
        ],
    );
    let key = keystore.find(&locator).expect("found");
    let alg = SignatureAlgorithm::Rs256;
    let support = key.support(sign(alg)).expect("an answer");
    assert_eq!(support, Support::Hardware { mechanism: "CKM_SHA256_RSA_PKCS" });
    signs(&*key, alg);
    let digest = key.sign(alg, ToSign::Digest(&[0; 32]));
    assert!(matches!(digest, Err(BackendError::Unsupported { .. })), "{digest:?}");
    assert!(!key.support(sign(SignatureAlgorithm::Ps256)).expect("an answer").is_available());
    keystore.destroy(&locator).expect("destroyed");
}

#[test]
fn a_key_that_always_authenticates_is_served() {
    let witness = Witness::of("main");
    let keystore = common::open("always");
    let locator =
        witness.generate(b"always", &[Attribute::Sign(true), Attribute::AlwaysAuthenticate(true)]);
    let key = keystore.find(&locator).expect("found");
    signs(&*key, SignatureAlgorithm::Ps256);
    signs(&*key, SignatureAlgorithm::Ps256);
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

/// RFC 7520 section 3.4.
#[test]
fn a_known_rsa_key_can_be_put_in() {
    let keystore = common::open("importing");
    let json = include_bytes!("data/rfc/rfc7520-section-3.4.json");
    let private = PrivateJwk::parse(json).expect("a private JWK");
    for (alg, is_sign) in [
        (sign(SignatureAlgorithm::Ps256), true),
        (unwrap(KeyManagement::RsaOaep), false),
        (unwrap(KeyManagement::RsaOaep256), false),
    ] {
        let locator = keystore.new_locator("imported").expect("a locator");
        let spec = KeySpec { shape: RSA, algs: vec![alg] };
        let key = keystore.import(&locator, &spec, &private).expect("imported");
        assert_eq!(key.info().public.as_ref(), Some(&private.public.key));
        let unproven = key.info().unproven.join("; ");
        assert!(unproven.contains("CKA_NEVER_EXTRACTABLE is false"), "{unproven}");
        match alg {
            KeyAlgorithm::Sign(alg) => signs(&*key, alg),
            KeyAlgorithm::Unwrap(alg) => common::round_trip(&*key, alg, ENC),
        }
        let private = Witness::of("main").find(ObjectClass::PRIVATE_KEY, &locator);
        let witness = Witness::of("main");
        let told = witness.read(private[0], AttributeType::Sign);
        assert_eq!(told, Some(Attribute::Sign(is_sign)));
        let told = witness.read(private[0], AttributeType::Extractable);
        assert_eq!(told, Some(Attribute::Extractable(false)));
        assert_eq!(witness.read(private[0], AttributeType::PrivateExponent), None);
        keystore.destroy(&locator).expect("destroyed");
    }
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

/// The calls of the module, as pkcs11-spy saw them, in a process of its own: the spy is told what
/// to load and where to write by the environment, before it is loaded.
#[test]
fn every_path_to_a_failed_decryption_makes_the_same_calls() {
    let spies = [
        "/usr/lib/x86_64-linux-gnu/pkcs11-spy.so",
        "/usr/lib/x86_64-linux-gnu/pkcs11/pkcs11-spy.so",
        "/usr/lib/aarch64-linux-gnu/pkcs11-spy.so",
        "/usr/lib64/pkcs11-spy.so",
        "/usr/lib64/pkcs11/pkcs11-spy.so",
    ];
    let spy = spies.iter().find(|path| Path::new(path).is_file());
    let spy = spy.expect("pkcs11-spy.so (Debian: apt install opensc)");
    let log = softhsm().directory.join("spy.log");
    let output = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "spied_child", "--ignored", "--nocapture"])
        .env("PKCS11SPY", &softhsm().module)
        .env("PKCS11SPY_OUTPUT", &log)
        .env("HSM_JOSE_TEST_SPY", spy)
        .output()
        .expect("a child");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let calls = |path: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{path}: ")));
        line.unwrap_or_else(|| panic!("no {path} in {text}")).to_owned()
    };
    for alg in ["RSA-OAEP", "RSA-OAEP-256"] {
        let good = calls(&format!("{alg} good"));
        assert_eq!(good, "C_DecryptInit C_Decrypt C_GetSessionInfo C_GenerateRandom", "{alg}");
        for bad in ["flipped", "short", "long", "zero", "large"] {
            assert_eq!(calls(&format!("{alg} {bad}")), good, "{alg} {bad}");
        }
    }
    let agreed = calls("ECDH-ES+A256KW good");
    let start = "C_DeriveKey C_GetAttributeValue C_DestroyObject";
    assert_eq!(agreed, format!("{start} C_GetSessionInfo C_GenerateRandom"));
    assert_eq!(calls("ECDH-ES+A256KW flipped"), agreed);
    assert_eq!(calls("sign"), "C_SignInit C_Sign");
}

#[test]
#[ignore = "run by every_path_to_a_failed_decryption_makes_the_same_calls, in its environment"]
fn spied_child() {
    let Some(spy) = std::env::var_os("HSM_JOSE_TEST_SPY") else { return };
    let log = PathBuf::from(std::env::var_os("PKCS11SPY_OUTPUT").expect("a log"));
    let config = Pkcs11Config { module: spy.into(), ..common::bare_config("spied") };
    let keystore = Pkcs11Keystore::open(config).expect("open");
    let warnings = keystore.describe().expect("told").warnings.join("; ");
    assert!(warnings.contains("PKCS11SPY"), "{warnings}");
    let calls_of = |name: String, run: &dyn Fn()| {
        let before = std::fs::read_to_string(&log).expect("the log").len();
        run();
        let text = std::fs::read_to_string(&log).expect("the log");
        let calls = text[before..]
            .lines()
            .filter_map(|line| line.split_once(": ").map(|(_, call)| call))
            .filter(|call| call.starts_with("C_"))
            .map(|call| call.split_whitespace().next().unwrap_or_default().to_owned())
            .collect::<Vec<_>>();
        println!("{name}: {}", calls.join(" "));
    };
    for alg in [KeyManagement::RsaOaep, KeyManagement::RsaOaep256] {
        let (_, key) = make(&keystore, RSA, &[unwrap(alg)]);
        let public = key.0.info().public.clone().expect("a public half");
        let sent = common::send(&public, alg, ENC);
        let failing = |encrypted_key: &[u8]| {
            let request =
                CekRequest::RsaOaep { hash: alg.oaep_hash().expect("OAEP"), encrypted_key };
            // What the core does on every path: the good CEK meets a bad tag there.
            let _ = key.0.unwrap_cek(&request, ENC);
            key.0.confirm_alive().expect("alive");
        };
        let good = &sent.encrypted_key;
        let mut flipped = good.clone();
        flipped[100] ^= 1;
        failing(good);
        calls_of(format!("{alg} good"), &|| failing(good));
        calls_of(format!("{alg} flipped"), &|| failing(&flipped));
        calls_of(format!("{alg} short"), &|| failing(&good[1..]));
        calls_of(format!("{alg} long"), &|| failing(&[good.as_slice(), &[0]].concat()));
        calls_of(format!("{alg} zero"), &|| failing(&vec![0; good.len()]));
        calls_of(format!("{alg} large"), &|| failing(&vec![0xff; good.len()]));
    }
    // Whatever was sent: the device is given as many bytes as the modulus has.
    let text = std::fs::read_to_string(&log).expect("the log");
    let given = text.lines().filter(|line| line.contains("pEncryptedData[")).collect::<Vec<_>>();
    assert!(given.len() >= 12 && given.iter().all(|line| line.ends_with("/ 256")), "{given:?}");
    let alg = KeyManagement::EcdhEsA256Kw;
    let (_, key) = make(&keystore, KeyShape::Curve(Curve::P256), &[unwrap(alg)]);
    let public = key.0.info().public.clone().expect("a public half");
    let mut sent = common::send(&public, alg, ENC);
    let failing = |sent: &common::Sent| {
        let _ = key.0.unwrap_cek(&common::request(sent, alg), ENC);
        key.0.confirm_alive().expect("alive");
    };
    calls_of(format!("{alg} good"), &|| failing(&sent));
    sent.encrypted_key[3] ^= 1;
    calls_of(format!("{alg} flipped"), &|| failing(&sent));
    let (_, key) = make(&keystore, RSA, &[sign(SignatureAlgorithm::Ps256)]);
    calls_of("sign".to_owned(), &|| {
        key.0.sign(SignatureAlgorithm::Ps256, ToSign::Digest(&[1; 32])).expect("a signature");
    });
    assert!(matches!(
        key.0.unwrap_cek(&CekRequest::RsaOaep { hash: Hash::Sha1, encrypted_key: &[] }, ENC),
        Err(BackendError::Unsupported { .. })
    ));
}

/// p11-kit's client makes a new instance of itself for each function list, and answers
/// CKR_DEVICE_ERROR for ever once its connection has broken.
#[test]
fn a_broken_connection_is_noticed_and_comes_back() {
    let socket = softhsm().directory.join("p11-kit.sock");
    let output = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "remote_child", "--ignored", "--nocapture"])
        .env("P11_KIT_SERVER_ADDRESS", format!("unix:path={}", socket.display()))
        .env("HSM_JOSE_TEST_SOCKET", &socket)
        .output()
        .expect("a child");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("came back"), "{text}");
}

/// `p11-kit server` in front of SoftHSM; killed with this.
struct Server(std::process::Child);

impl Server {
    fn start(socket: &Path) -> Self {
        let child = Command::new("p11-kit")
            .args(["server", "-f", "-n"])
            .arg(socket)
            .arg("--provider")
            .arg(&softhsm().module)
            .arg("pkcs11:")
            .stdout(std::process::Stdio::null())
            .spawn()
            .expect("p11-kit server (Debian: apt install p11-kit)");
        for _ in 0..100 {
            if socket.exists() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        Self(child)
    }

    /// Kills the processes that serve our connections; the server goes on listening.
    fn break_connections(&self) {
        let pid = self.0.id();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        for child in children.expect("its children").split_whitespace() {
            let status = Command::new("kill").args(["-9", child]).status().expect("kill");
            assert!(status.success());
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.break_connections();
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
#[ignore = "run by a_broken_connection_is_noticed_and_comes_back, in its environment"]
fn remote_child() {
    let Some(socket) = std::env::var_os("HSM_JOSE_TEST_SOCKET").map(PathBuf::from) else { return };
    let clients = [
        "/usr/lib/x86_64-linux-gnu/pkcs11/p11-kit-client.so",
        "/usr/lib/aarch64-linux-gnu/pkcs11/p11-kit-client.so",
        "/usr/lib64/pkcs11/p11-kit-client.so",
    ];
    let client = clients.iter().map(PathBuf::from).find(|path| path.is_file());
    let client = client.expect("p11-kit-client.so (Debian: apt install p11-kit-modules)");
    let config = Pkcs11Config { module: client, ..common::bare_config("remote") };
    let server = Server::start(&socket);
    let keystore = Pkcs11Keystore::open(config).expect("open");
    let (locator, key) = make(&keystore, RSA, &[unwrap(KeyManagement::RsaOaep256)]);
    let (_, signer) = make(&keystore, RSA, &[sign(SignatureAlgorithm::Ps256)]);
    let curve = KeyShape::Curve(Curve::P256);
    let no = keystore.supports(unwrap(KeyManagement::EcdhEs), curve).expect("an answer");
    assert!(!no.is_available(), "p11-kit 0.24 does not pass CKM_ECDH1_DERIVE: {no:?}");
    let works = || {
        common::round_trip(&*key.0, KeyManagement::RsaOaep256, ENC);
        signs(&*signer.0, SignatureAlgorithm::Ps256);
    };
    works();
    let sent = common::send(
        &key.0.info().public.clone().expect("a public half"),
        KeyManagement::RsaOaep256,
        ENC,
    );
    let request = common::request(&sent, KeyManagement::RsaOaep256);
    let garbage = CekRequest::RsaOaep { hash: Hash::Sha256, encrypted_key: &[9; 256] };
    assert!(matches!(key.0.unwrap_cek(&garbage, ENC), Err(BackendError::Rejected)));
    key.0.confirm_alive().expect("alive after a bad ciphertext");

    server.break_connections();
    let dead = key.0.confirm_alive();
    assert!(matches!(dead, Err(BackendError::Unavailable { .. })), "{dead:?}");
    // The next operation brings it back: finalized, initialized, logged in, keys found again.
    key.0.unwrap_cek(&request, ENC).expect("unwrapped after a reconnect");
    works();
    println!("came back after a health call");

    server.break_connections();
    signs(&*signer.0, SignatureAlgorithm::Ps256);
    server.break_connections();
    keystore.health().expect("healthy again");
    keystore.find(&locator).expect("found");
    server.break_connections();
    keystore.find(&locator).expect("found after a reconnect");

    drop(server);
    std::fs::remove_file(&socket).ok();
    let gone = key.0.confirm_alive();
    assert!(matches!(gone, Err(BackendError::Unavailable { .. })), "{gone:?}");
    let gone = signer.0.sign(SignatureAlgorithm::Ps256, ToSign::Message(b""));
    assert!(matches!(gone, Err(BackendError::Unavailable { .. })), "{gone:?}");
    let waiting = keystore.health().expect_err("no attempt before its time").to_string();
    assert!(waiting.contains("next attempt"), "{waiting}");
    let _server = Server::start(&socket);
    std::thread::sleep(std::time::Duration::from_millis(2500));
    works();
    println!("came back after the server was away");
}
