//! The fault-injecting module does what its README says; other tests rely on it.

#[path = "common/faulty.rs"]
mod faulty;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use faulty::Faulty;

const PLACES: [&str; 5] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/lib64/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
];

fn softhsm() -> PathBuf {
    let named = std::env::var_os("SOFTHSM2_MODULE").map(PathBuf::from);
    named
        .or_else(|| PLACES.map(PathBuf::from).into_iter().find(|path| path.exists()))
        .expect("SoftHSM is installed; softhsm-setup/install.sh installs it")
}

/// Lists the slots of a SoftHSM without tokens, through the module.
fn list_slots(dir: &Path, faulty: &Faulty) -> Output {
    let conf = dir.join("softhsm2.conf");
    let tokens = dir.join("tokens");
    std::fs::create_dir_all(&tokens).expect("the directory is writable");
    std::fs::write(&conf, format!("directories.tokendir = {}\n", tokens.display()))
        .expect("the directory is writable");
    Command::new("pkcs11-tool")
        .arg("--module")
        .arg(faulty::module())
        .arg("--show-info")
        .arg("--list-slots")
        .env("SOFTHSM2_CONF", conf)
        .envs(faulty.env())
        .output()
        .expect("pkcs11-tool is installed; softhsm-setup/install.sh installs it")
}

#[test]
fn calls_are_forwarded_and_logged() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let faulty = Faulty::new(dir.path(), &softhsm());

    let output = list_slots(dir.path(), &faulty);

    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("SoftHSM"), "{output:?}");
    let calls = faulty.calls();
    assert_eq!(calls.first().map(String::as_str), Some("C_Initialize"));
    assert_eq!(calls.last().map(String::as_str), Some("C_Finalize"));
    assert!(calls.iter().any(|call| call == "C_GetSlotList"), "{calls:?}");
}

#[test]
fn a_call_fails_with_the_code_it_is_told() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let faulty = Faulty::new(dir.path(), &softhsm());
    for directive in
        ["fail C_GetSlotList CKR_HOST_MEMORY 1", "answer C_GetSlotList 0x2", "dead 0x2"]
    {
        faulty.set(&[directive]);
        let output = list_slots(dir.path(), &faulty);
        assert!(!output.status.success(), "{directive}");
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(message.contains("CKR_HOST_MEMORY"), "{directive}: {message}");
    }
}

#[test]
fn a_module_can_say_it_is_another() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let faulty = Faulty::new(dir.path(), &softhsm());
    faulty.set(&["manufacturer Example Devices", "model HSM 1"]);
    let output = list_slots(dir.path(), &faulty);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("Example Devices"), "{text}");
    assert!(!text.contains("SoftHSM project"), "{text}");
}

#[test]
fn a_directive_that_is_not_understood_ends_the_process() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let faulty = Faulty::new(dir.path(), &softhsm());
    for directive in
        ["fial C_Sign CKR_OK", "fail C_Singn CKR_OK", "fail C_Sign CKR_OOPS", "dead a b"]
    {
        faulty.set(&[directive]);
        let output = list_slots(dir.path(), &faulty);
        assert!(!output.status.success(), "{directive}");
        assert!(
            String::from_utf8_lossy(&output.stderr).contains("line 3"),
            "{directive}: {output:?}"
        );
    }
}
