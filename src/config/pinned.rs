//! Writes a pinned name into the file and leaves everything else of it as it is, comments too.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use super::{Config, KeystoreConfig, raw};
use crate::backend::tpm::ParentName;
use crate::error::{Error, Result};

impl Config {
    /// Writes `parent_name` of a TPM keystore into the file that this was read from.
    ///
    /// # Errors
    /// [`Error::Config`] with the line to add where the file is written in a way that this does not
    /// change, or has been changed meanwhile; [`Error::Io`].
    pub fn write_parent_name(&self, keystore: &str, name: &ParentName) -> Result<()> {
        let io = |error| Error::Io(format!("configuration {}: {error}", self.path.display()));
        // Where it really is, so that a link to it stays one.
        let path = fs::canonicalize(&self.path).map_err(io)?;
        let old = fs::read_to_string(&path).map_err(io)?;
        let new = with_parent_name(&self.path, &old, keystore, name).ok_or_else(|| {
            Error::Config(format!(
                "{} is not changed: put parent_name = \"{name}\" into [keystore.{keystore}]",
                self.path.display()
            ))
        })?;
        replace(&path, &new).map_err(io)
    }
}

/// Returns the text with the name in it; `None` where the result would not be what it was and the
/// name.
fn with_parent_name(path: &Path, old: &str, keystore: &str, name: &ParentName) -> Option<String> {
    let file: raw::File = toml::from_str(old).ok()?;
    let (key, settings) = file.keystore.iter().find(|(key, _)| key.get_ref() == keystore)?;
    let new = match &settings.get_ref().parent_name {
        Some(value) => {
            let place = value.span();
            [&old[..place.start], &format!("\"{name}\""), &old[place.end..]].concat()
        }
        None => {
            // After the line of the table's header, if it is one.
            let line = old[..key.span().start].rfind('\n').map_or(0, |at| at + 1);
            let end = old[line..].find('\n').map_or(old.len(), |at| line + at + 1);
            if !old[line..end].trim_start().starts_with('[') {
                return None;
            }
            let newline = if old[..end].ends_with('\n') { "" } else { "\n" };
            let added = format!("{newline}parent_name = \"{name}\"\n");
            [&old[..end], &added, &old[end..]].concat()
        }
    };
    let (before, after) = (Config::parse(path, old).ok()?, Config::parse(path, &new).ok()?);
    let mut expected = before.keystores;
    match expected.get_mut(keystore)? {
        KeystoreConfig::Tpm(settings) => settings.parent_name = Some(name.clone()),
        _ => return None,
    }
    (after.keystores == expected && after.contexts == before.contexts).then_some(new)
}

/// Writes beside and renames, so that the file is the old one or the new one.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let mode = fs::metadata(path)?.permissions().mode();
    let beside = path.with_extension("toml.new");
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    let renamed = written.and_then(|()| fs::rename(&beside, path));
    if renamed.is_err() {
        let _ = fs::remove_file(&beside);
    }
    renamed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(byte: &str) -> ParentName {
        format!("000b{}", byte.repeat(32)).parse().unwrap()
    }

    const OLD: &str = "schema = 1 # one\nenvironment = \"test\"\n\n[keystore.a]\ntype = \"memory\"\n\
                       [keystore.edge] # the TPM\n# how to reach it\ntype = \"tpm\"\n\
                       tcti = \"device:/dev/tpmrm0\"\nkeys = \"keys\"\nauth = { none = true }\n";

    #[test]
    fn a_name_is_added_and_replaced_and_nothing_else_is_touched() {
        let path = Path::new("hsm-jose.toml");
        let first = with_parent_name(path, OLD, "edge", &name("5a")).unwrap();
        let line = format!("parent_name = \"{}\"\n", name("5a"));
        assert_eq!(first.replace(&line, ""), OLD);
        let second = with_parent_name(path, &first, "edge", &name("a5")).unwrap();
        assert_eq!(second, first.replace("5a5a", "a5a5"));
        assert!(with_parent_name(path, OLD, "a", &name("5a")).is_none());
        assert!(with_parent_name(path, OLD, "other", &name("5a")).is_none());
        let inline = "schema = 1\nenvironment = \"test\"\nkeystore.edge = { type = \"tpm\", \
                      tcti = \"device:/dev/tpmrm0\", keys = \"k\", auth = { none = true } }\n";
        assert!(with_parent_name(path, inline, "edge", &name("5a")).is_none());
    }
}
