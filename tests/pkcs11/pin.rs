//! Where a PIN comes from, and how often it is tried.

use super::*;

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
