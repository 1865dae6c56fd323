//! A software TPM for each test process, and ones of a test's own.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use hsm_jose::backend::tpm::{ParentName, Tcti, TpmConfig, TpmKeystore};
use hsm_jose::secret::PinSource;

/// The authorization value of the fixture: with a colon and a blank, which are part of it.
pub const AUTH: &str = "12:34 56";

pub mod keys;
pub mod macs;
mod process;

use process::{inheriting_nothing, is_listening};

/// How long an swtpm may take to start, on a machine with much else to do.
const START: Duration = Duration::from_secs(60);

/// The first of the ports: below those that the kernel gives to clients.
const FIRST_PORT: u16 = 20_000;

/// A running swtpm, in a directory of its own. Killed when it is dropped.
pub struct Swtpm {
    /// Its state, and everything else.
    pub directory: PathBuf,
    /// The port of its commands; that of its control is the next.
    pub port: u16,
    child: Option<Child>,
}

impl Swtpm {
    /// Starts one on ports of its own.
    pub fn start() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        silence();
        process::watch();
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let directory = process::directory(&number.to_string());
        let _ = std::fs::remove_dir_all(&directory);
        std::fs::create_dir_all(directory.join("state")).expect("a directory for the TPM");
        write_pin(&directory.join("auth"), AUTH, 0o600);
        let test = std::thread::current().name().unwrap_or("a thread").to_owned();
        std::fs::write(directory.join(process::OWNER), test).expect("its owner");
        let mut swtpm = Self { directory, port: 0, child: None };
        // Somebody may listen on all addresses.
        for _ in 0..20 {
            swtpm.port = next_ports();
            if swtpm.spawn() {
                return swtpm;
            }
        }
        let log = std::fs::read_to_string(swtpm.directory.join("log"));
        panic!("swtpm does not start: {}", log.unwrap_or_default());
    }

    /// The TCTI that leads to it.
    pub fn tcti(&self) -> Tcti {
        tcti(self.port)
    }

    /// The TCTI, as tpm2-tools and tpm2-openssl take it.
    pub fn tools_tcti(&self) -> String {
        format!("swtpm:host={},port={}", host(), self.port)
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
        if let Some(child) = self.child.take() {
            self.end(child);
        }
    }

    /// Starts it again on the same ports, with the state that it had.
    pub fn restart(&mut self) {
        self.kill();
        let start = Instant::now();
        while !self.spawn() {
            assert!(start.elapsed() < START, "swtpm does not start again");
        }
    }

    /// Runs one of tpm2-tools, or openssl with its provider, on it; returns what it wrote.
    pub fn tool(&self, program: &str, args: &[&str]) -> String {
        let (is_done, said) = self.attempt(program, args);
        assert!(is_done, "{program} {args:?}: {said}");
        said
    }

    /// As [`Swtpm::tool`], where it may be refused: whether it was done, and what it wrote, or its
    /// errors.
    pub fn attempt(&self, program: &str, args: &[&str]) -> (bool, String) {
        let output = inheriting_nothing(program)
            .args(args)
            .current_dir(&self.directory)
            .env("TPM2TOOLS_TCTI", self.tools_tcti())
            .env("TPM2OPENSSL_TCTI", self.tools_tcti())
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|error| panic!("{program} (Debian: tpm2-tools, openssl): {error}"));
        let is_done = output.status.success();
        let said = if is_done { &output.stdout } else { &output.stderr };
        (is_done, String::from_utf8_lossy(said).into_owned())
    }

    /// Returns whether it has come up: whether this very process listens on both ports.
    fn spawn(&mut self) -> bool {
        let state = self.directory.join("state");
        let log = std::fs::File::create(self.directory.join("log")).expect("a log");
        let mut child = inheriting_nothing("swtpm")
            .args(["socket", "--tpm2", "--flags", "startup-clear", "--tpmstate"])
            .arg(format!("dir={}", state.display()))
            .arg("--server")
            .arg(format!("type=tcp,port={},bindaddr={}", self.port, host()))
            .arg("--ctrl")
            .arg(format!("type=tcp,port={},bindaddr={}", self.port + 1, host()))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .spawn()
            .expect("bash");
        std::fs::write(self.pid_file(), child.id().to_string()).expect("its number");
        let start = Instant::now();
        while start.elapsed() < START {
            if child.try_wait().expect("a child").is_some() {
                break;
            }
            if (0..2).all(|next| is_listening(child.id(), host(), self.port + next)) {
                self.child = Some(child);
                return true;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self.end(child);
        false
    }

    fn end(&self, mut child: Child) {
        // Before its number can be another's.
        let _ = std::fs::remove_file(self.pid_file());
        let _ = child.kill();
        child.wait().expect("ended");
    }

    fn pid_file(&self) -> PathBuf {
        self.directory.join("pid")
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
    SWTPM.get_or_init(Swtpm::start)
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
    format!("swtpm:host={},port={port}", host()).parse().expect("a TCTI")
}

/// The address of this process: all of 127.0.0.0/8 is this machine, and a process's number is its
/// own (at most 22 bits). A port that is free for a while, as that of a TPM that restarts, is taken by
/// no other process, and not by the kernel for a client, whose address is 127.0.0.1.
pub fn host() -> Ipv4Addr {
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, 64 | high, middle, low)
}

/// Two ports in a row that nobody has been given.
pub fn next_ports() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(FIRST_PORT);
    NEXT.fetch_add(2, Ordering::Relaxed)
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
