//! A software TPM for each test process, and ones of a test's own.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use hsm_jose::backend::tpm::{ParentName, Tcti, TpmConfig, TpmKeystore};
use hsm_jose::secret::PinSource;

/// The authorization value of the fixture: with a colon and a blank, which are part of it.
pub const AUTH: &str = "12:34 56";

/// A running swtpm, in a directory of its own. Killed when it is dropped.
pub struct Swtpm {
    /// Its state, and everything else.
    pub directory: PathBuf,
    /// The port of its commands; that of its control is the next.
    pub port: u16,
    child: Option<Child>,
}

impl Swtpm {
    /// Starts one on free ports.
    pub fn start() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        silence();
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("swtpm-{}-{number}", std::process::id()));
        let _ = std::fs::remove_dir_all(&directory);
        std::fs::create_dir_all(directory.join("state")).expect("a directory for the TPM");
        write_pin(&directory.join("auth"), AUTH, 0o600);
        let mut swtpm = Self { directory, port: 0, child: None };
        // A port that was free can be taken by the time swtpm asks for it.
        for _ in 0..20 {
            swtpm.port = free_ports();
            if swtpm.spawn() {
                return swtpm;
            }
        }
        panic!("swtpm does not start: see {}", swtpm.directory.display());
    }

    /// The TCTI that leads to it.
    pub fn tcti(&self) -> Tcti {
        tcti(self.port)
    }

    /// The TCTI, as tpm2-tools and tpm2-openssl take it.
    pub fn tools_tcti(&self) -> String {
        format!("swtpm:host=127.0.0.1,port={}", self.port)
    }

    /// A configuration for it: nothing pinned, an authorization value, a folder of its own.
    pub fn config(&self, name: &str) -> TpmConfig {
        TpmConfig {
            name: name.to_owned(),
            tcti: self.tcti(),
            keys: self.directory.join(format!("keys-{}", unique())),
            auth: PinSource::File(self.directory.join("auth")),
            parent_name: None,
        }
    }

    /// The name of its parent key.
    pub fn parent_name(&self) -> ParentName {
        let keystore = TpmKeystore::open(self.config("parent")).expect("the keystore opens");
        keystore.parent_name().expect("a name").0
    }

    /// Opens a keystore with its parent pinned.
    pub fn open(&self, name: &str) -> TpmKeystore {
        let config = TpmConfig { parent_name: Some(self.parent_name()), ..self.config(name) };
        TpmKeystore::open(config).expect("the keystore opens")
    }

    /// Kills it as a power loss does.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("killed");
            child.wait().expect("ended");
        }
    }

    /// Starts it again on the same ports, with the state that it had.
    pub fn restart(&mut self) {
        self.kill();
        let start = Instant::now();
        while !self.spawn() {
            assert!(start.elapsed() < Duration::from_secs(10), "swtpm does not start again");
        }
    }

    /// Runs one of tpm2-tools, or openssl with its provider, on it; returns what it wrote.
    pub fn tool(&self, program: &str, args: &[&str]) -> String {
        let output = Command::new(program)
            .args(args)
            .current_dir(&self.directory)
            .env("TPM2TOOLS_TCTI", self.tools_tcti())
            .env("TPM2OPENSSL_TCTI", self.tools_tcti())
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|error| panic!("{program} (Debian: tpm2-tools, openssl): {error}"));
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {args:?}: {errors}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn spawn(&mut self) -> bool {
        let state = self.directory.join("state");
        let log = std::fs::File::create(self.directory.join("log")).expect("a log");
        let mut child = Command::new("swtpm")
            .args(["socket", "--tpm2", "--flags", "startup-clear", "--tpmstate"])
            .arg(format!("dir={}", state.display()))
            .arg("--server")
            .arg(format!("type=tcp,port={},bindaddr=127.0.0.1", self.port))
            .arg("--ctrl")
            .arg(format!("type=tcp,port={},bindaddr=127.0.0.1", self.port + 1))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .spawn()
            .expect("swtpm (Debian: apt install swtpm)");
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(10) {
            if child.try_wait().expect("a child").is_some() {
                return false;
            }
            if TcpStream::connect(("127.0.0.1", self.port + 1)).is_ok() {
                self.child = Some(child);
                return true;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        child.kill().expect("killed");
        child.wait().expect("ended");
        false
    }
}

impl Drop for Swtpm {
    fn drop(&mut self) {
        self.kill();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// The TPM of this process; started when first asked for.
pub fn swtpm() -> &'static Swtpm {
    static SWTPM: OnceLock<Swtpm> = OnceLock::new();
    SWTPM.get_or_init(|| {
        let swtpm = Swtpm::start();
        stop_with_us(swtpm.child.as_ref().expect("a child").id(), &swtpm.directory);
        swtpm
    })
}

/// Opens a keystore on the TPM of this process, its parent pinned, with a folder of its own.
pub fn open(name: &str) -> TpmKeystore {
    swtpm().open(name)
}

/// Writes a file with a PIN, or an authorization value, and a mode.
pub fn write_pin(path: &Path, pin: &str, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, format!("{pin}\n")).expect("a PIN file");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("its mode");
}

/// The TCTI of a port.
pub fn tcti(port: u16) -> Tcti {
    format!("swtpm:host=127.0.0.1,port={port}").parse().expect("a TCTI")
}

/// Two free ports in a row.
pub fn free_ports() -> u16 {
    loop {
        let first = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let port = first.local_addr().expect("an address").port();
        if port < u16::MAX && TcpListener::bind(("127.0.0.1", port + 1)).is_ok() {
            return port;
        }
    }
}

/// A static is never dropped: a watcher ends the TPM when this process has ended.
fn stop_with_us(child: u32, directory: &Path) {
    let script = "(while kill -0 $0 2>/dev/null; do sleep 0.5; done; kill -9 $1; rm -rf \"$2\") &";
    let status = Command::new("sh")
        .args(["-c", script])
        .args([std::process::id().to_string(), child.to_string()])
        .arg(directory)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    assert!(status.expect("sh").success());
}

fn silence() {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| {
        // SAFETY: tpm2-tss reads its log level from the environment only. Under the OnceLock, and
        // before it is first used: nothing of these tests reads the environment before that.
        unsafe { std::env::set_var("TSS2_LOG", "all+none") };
    });
}

fn unique() -> u32 {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    NUMBER.fetch_add(1, Ordering::Relaxed)
}
