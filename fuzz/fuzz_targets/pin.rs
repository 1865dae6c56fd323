//! The PIN file: what is taken is the text less one newline, nothing of it is shown, and a file that
//! others can read is refused.
#![no_main]

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::PathBuf;
use std::sync::LazyLock;

use hsm_jose::secret::PinSource;
use libfuzzer_sys::fuzz_target;

/// One for each process.
static FILE: LazyLock<PathBuf> = LazyLock::new(|| {
    std::env::temp_dir().join(format!("hsm-jose-fuzz-pin-{}", std::process::id()))
});

fuzz_target!(|data: (u16, &[u8])| {
    let (mode, content) = data;
    let mode = u32::from(mode) & 0o377 | 0o400;
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&*FILE)
        .expect("a file");
    file.write_all(content).expect("written");
    file.set_permissions(fs::Permissions::from_mode(mode)).expect("a mode");
    drop(file);

    let read = PinSource::File(FILE.clone()).read("fuzz");
    let _ = fs::remove_file(&*FILE);
    let text = content.strip_suffix(b"\n").unwrap_or(content);
    let is_private = mode & 0o077 == 0;
    let is_text = !text.is_empty() && text.len() <= 4096 && std::str::from_utf8(text).is_ok();
    match read {
        Ok(pin) => {
            assert!(is_private && is_text, "{mode:o}");
            let pin = pin.expect("a PIN");
            assert_eq!(pin.expose().as_bytes(), text);
            assert_eq!(format!("{pin:?}"), "Pin(redacted)");
        }
        Err(message) => {
            assert!(!is_private || !is_text, "{message}");
            // Where it is and what is wrong, with a name and a mode that are not of the content.
            let plain = message.replace(&*FILE.display().to_string(), "");
            assert!(plain.len() < 128 && !plain.chars().any(char::is_control), "{message:?}");
            let is_word = text.len() >= 8 && text.iter().all(u8::is_ascii_digit);
            assert!(!is_word || !plain.as_bytes().windows(text.len()).any(|part| part == text));
        }
    }
});
