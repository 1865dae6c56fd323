//! A SoftHSM token directory for each test process.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use hsm_jose::backend::pkcs11::{Pkcs11Config, Pkcs11Keystore, TokenSelector};
use hsm_jose::secret::PinSource;

/// The user's PIN of every token of the fixture: with a colon and a blank, which are part of it.
pub const PIN: &str = "12:34 56";

/// The security officer's PIN.
pub const SO_PIN: &str = "87654321";

/// The tokens of the fixture; two of them have one label.
pub const TOKENS: [&str; 5] = ["main", "other", "twin", "twin", "refused"];

/// The token directory of this process.
pub struct SoftHsm {
    /// The directory of everything.
    pub directory: PathBuf,
    /// The module.
    pub module: PathBuf,
    /// The PIN file, readable by its owner only.
    pub pin_file: PathBuf,
}

/// Returns the token directory of this process; made when first asked for.
pub fn softhsm() -> &'static SoftHsm {
    static SOFTHSM: OnceLock<SoftHsm> = OnceLock::new();
    SOFTHSM.get_or_init(|| {
        let directory =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("softhsm-{}", std::process::id()));
        remove_left_over(Path::new(env!("CARGO_TARGET_TMPDIR")));
        let _ = std::fs::remove_dir_all(&directory);
        std::fs::create_dir_all(directory.join("tokens")).expect("a directory for tokens");
        let conf = directory.join("softhsm2.conf");
        let text = format!(
            "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
            directory.join("tokens").display()
        );
        std::fs::write(&conf, text).expect("softhsm2.conf");
        for label in TOKENS {
            let status = Command::new("softhsm2-util")
                .args(["--init-token", "--free", "--label", label])
                .args(["--so-pin", SO_PIN, "--pin", PIN])
                .env("SOFTHSM2_CONF", &conf)
                .stdout(std::process::Stdio::null())
                .status()
                .expect("softhsm2-util (Debian: apt install softhsm2)");
            assert!(status.success(), "softhsm2-util --init-token {label}");
        }
        let pin_file = directory.join("pin");
        write_pin(&pin_file, PIN, 0o600);
        // SAFETY: SoftHSM reads its configuration from the environment only. Under the OnceLock,
        // and before the module is loaded: nothing of these tests reads the environment before it
        // has been here.
        unsafe { std::env::set_var("SOFTHSM2_CONF", &conf) };
        SoftHsm { directory, module: softhsm_module(), pin_file }
    })
}

/// Removes the token directories of test processes that are gone.
fn remove_left_over(directory: &Path) {
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix("softhsm-"));
        if pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// Finds SoftHSM's module among the places of the usual distributions.
pub fn softhsm_module() -> PathBuf {
    let places = [
        "/usr/lib/softhsm/libsofthsm2.so",
        "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
        "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
        "/usr/lib64/pkcs11/libsofthsm2.so",
        "/usr/lib64/softhsm/libsofthsm2.so",
        "/usr/local/lib/softhsm/libsofthsm2.so",
        "/opt/homebrew/lib/softhsm/libsofthsm2.so",
    ];
    let found = places.iter().map(PathBuf::from).find(|path| path.is_file());
    found.expect("libsofthsm2.so (Debian: apt install softhsm2; Fedora: dnf install softhsm)")
}

/// Writes a PIN file with a mode.
pub fn write_pin(path: &Path, pin: &str, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, format!("{pin}\n")).expect("a PIN file");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("its mode");
}

/// Logs in to the tokens that the tests share, once and before anything else: SoftHSM rewrites a
/// token's file at a login, and two logins at once damage what it remembers. The test has them for
/// itself until its thread ends.
pub fn logged_in() {
    alone();
    static KEYSTORES: OnceLock<Vec<Pkcs11Keystore>> = OnceLock::new();
    KEYSTORES.get_or_init(|| {
        let open = |label: &str| {
            let token = TokenSelector::label(label);
            Pkcs11Keystore::open(Pkcs11Config { token, ..bare_config("anchor") })
        };
        ["main", "other"].map(|label| open(label).expect("the keystore opens")).into()
    });
}

/// Waits until no other test uses the tokens that they share: SoftHSM reads an object's file while
/// another thread writes it, so that a new key may lack attributes, be there twice or not be found; and
/// it rewrites a token's file at a login, so that a process that reads it meanwhile finds no token.
///
/// For the test's own thread, and not for those that it starts: they would wait for it.
pub fn alone() {
    static TURN: Mutex<()> = Mutex::new(());
    thread_local! {
        static HELD: OnceCell<MutexGuard<'static, ()>> = const { OnceCell::new() };
    }
    let turn = || TURN.lock().unwrap_or_else(PoisonError::into_inner);
    HELD.with(|held| {
        held.get_or_init(turn);
    });
}

/// The configuration of a keystore on the token `main`, which is logged in.
pub fn config(name: &str) -> Pkcs11Config {
    logged_in();
    bare_config(name)
}

/// The configuration of a keystore on the token `main`.
pub fn bare_config(name: &str) -> Pkcs11Config {
    let softhsm = softhsm();
    Pkcs11Config {
        name: name.to_owned(),
        module: softhsm.module.clone(),
        token: TokenSelector::label("main"),
        pin: PinSource::File(softhsm.pin_file.clone()),
        sessions: 8,
        host_oaep: true,
    }
}

/// Opens a keystore on the token `main`.
pub fn open(name: &str) -> Pkcs11Keystore {
    Pkcs11Keystore::open(config(name)).expect("the keystore opens")
}
