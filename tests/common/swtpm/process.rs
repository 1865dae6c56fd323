//! The processes of software TPMs: what they inherit, where they listen, and when they end.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

/// How long a process may go on after its first TPM was started: tens of times what the slowest
/// takes. tpm2-tss waits for an answer without end.
const DEADLINE: Duration = Duration::from_secs(600);

/// The file with the name of the test that a TPM is for.
pub const OWNER: &str = "owner";

/// Closes what it has inherited, and becomes the program.
const CLOSE_AND_EXEC: &str = r#"
for fd in /proc/self/fd/*; do
    fd=${fd##*/}
    if ((fd > 2)); then exec {fd}>&-; fi
done
exec "$@""#;

/// Waits for the end of a process, and then ends the TPMs that it had and removes its directories.
const WATCH: &str = r#"(
while kill -0 "$1" 2>/dev/null; do sleep 0.5; done
for directory in "$2"*; do
    if [ -f "$directory/pid" ]; then kill -9 "$(cat "$directory/pid")"; fi
    rm -rf "$directory"
done
) &"#;

/// A program that inherits no file but the three of the standard.
///
/// tpm2-tss opens its sockets without FD_CLOEXEC. What is started while another thread waits for an
/// answer of its TPM inherits that connection, and an swtpm takes no other until nobody holds it.
pub fn inheriting_nothing(program: &str) -> Command {
    let mut command = Command::new("bash");
    command.args(["-c", CLOSE_AND_EXEC, "bash", program]);
    command
}

/// Whether that very process listens there, and not another.
pub fn is_listening(process: u32, host: Ipv4Addr, port: u16) -> bool {
    let local = format!("{:08X}:{port:04X}", u32::from_ne_bytes(host.octets()));
    let sockets = fs::read_to_string("/proc/net/tcp").expect("/proc");
    let inode = sockets.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let is_it = fields.get(1) == Some(&local.as_str()) && fields.get(3) == Some(&"0A");
        fields.get(9).filter(|_| is_it).map(|inode| format!("socket:[{inode}]"))
    });
    let (Some(inode), Ok(files)) = (inode, fs::read_dir(format!("/proc/{process}/fd"))) else {
        return false;
    };
    let mut files = files.flatten();
    files.any(|file| fs::read_link(file.path()).is_ok_and(|to| to == Path::new(&inode)))
}

/// The directory of this process's TPM of that name.
pub fn directory(name: &str) -> PathBuf {
    let directory = format!("swtpm-{}-{name}", std::process::id());
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(directory)
}

/// Has the TPMs of this process end with it, however it ends, and ends it at the deadline.
pub fn watch() {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| {
        let status = inheriting_nothing("sh")
            .args(["-c", WATCH, "sh", &std::process::id().to_string()])
            .arg(directory(""))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        assert!(status.expect("bash").success());
        thread::spawn(|| {
            thread::sleep(DEADLINE);
            let text = format!(
                "tests with a TPM still run after {} s, and are ended: {}\n",
                DEADLINE.as_secs(),
                owners().join(", ")
            );
            // Past what catches the output of a test, which is never printed now.
            let _ = std::io::stderr().write_all(text.as_bytes());
            std::process::abort();
        });
    });
}

/// The tests that have a TPM now.
fn owners() -> Vec<String> {
    let prefix = format!("swtpm-{}-", std::process::id());
    let all = fs::read_dir(env!("CARGO_TARGET_TMPDIR")).into_iter().flatten().flatten();
    let ours = all.filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix));
    let owner = |path: PathBuf| fs::read_to_string(path.join(OWNER)).ok();
    ours.filter_map(|entry| owner(entry.path())).collect::<BTreeSet<_>>().into_iter().collect()
}
