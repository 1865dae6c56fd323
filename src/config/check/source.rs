//! The text of a configuration: where in it something is wrong, and how single members are taken.

use std::fmt::Display;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;

use crate::config::{Environment, raw};
use crate::error::{Error, Result};
use crate::jose::json::told;
use crate::keyring::check_name;
use crate::secret::PinSource;

/// The text of a configuration and where it is from.
pub(in crate::config) struct Source<'a> {
    pub(in crate::config) path: &'a Path,
    pub(in crate::config) text: &'a str,
}

impl Source<'_> {
    pub(super) fn parse<T: serde::de::DeserializeOwned>(&self) -> Result<T> {
        // Only the message: the crate's own display quotes the line, and what stands there may be
        // a secret in the wrong place.
        toml::from_str(self.text)
            .map_err(|error| self.error(error.span().unwrap_or_default(), error.message()))
    }

    pub(super) fn error(&self, span: Range<usize>, what: impl Display) -> Error {
        let (line, column) = self.position(span.start);
        let what = told(&what.to_string());
        Error::Config(format!("{}:{line}:{column}: {what}", self.path.display()))
    }

    /// Returns line and column, both from 1, the column in characters.
    pub(super) fn position(&self, offset: usize) -> (usize, usize) {
        let before = self.text.get(..offset).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }

    pub(super) fn line_of<T>(&self, value: &Spanned<T>) -> usize {
        self.position(value.span().start).0
    }

    pub(super) fn check_name(&self, what: &str, name: &Spanned<String>) -> Result<()> {
        check_name(what, name.get_ref()).map_err(|error| self.error(name.span(), error))
    }

    pub(super) fn required<T>(
        &self,
        member: Option<T>,
        place: &Range<usize>,
        name: &str,
    ) -> Result<T> {
        member.ok_or_else(|| self.error(place.clone(), format!("{name} is missing here")))
    }

    /// Refuses a setting of another kind of keystore.
    pub(super) fn only(&self, settings: &raw::Keystore, known: &[&str]) -> Result<()> {
        match settings.foreign(known) {
            None => Ok(()),
            Some((name, place)) => {
                let kind = settings.kind.get_ref();
                Err(self.error(place, format!("a keystore of type {kind:?} has no {name}")))
            }
        }
    }

    pub(super) fn pin(
        &self,
        environment: Environment,
        pin: Spanned<raw::PinMember>,
    ) -> Result<PinSource> {
        if matches!(pin.get_ref().0, PinSource::Env(_)) && environment == Environment::Production {
            let what = "a PIN from an environment variable is refused in production: \
                        every child of the process and /proc/PID/environ have it";
            return Err(self.error(pin.span(), what));
        }
        Ok(pin.into_inner().0.rebased(self.directory()))
    }

    pub(super) fn zero(&self, member: Option<&Spanned<u64>>, name: &str) -> Result<()> {
        match member {
            Some(value) if *value.get_ref() == 0 => {
                Err(self.error(value.span(), format!("{name} is in seconds and more than 0")))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn optional_list<T: PartialEq>(
        &self,
        list: Option<Spanned<Vec<T>>>,
        name: &str,
    ) -> Result<Option<Vec<T>>> {
        let Some(list) = list else { return Ok(None) };
        if list.get_ref().is_empty() {
            let what = format!("{name} is an empty list, which would allow nothing");
            return Err(self.error(list.span(), what));
        }
        let items = list.get_ref();
        if items.iter().enumerate().any(|(at, item)| items[..at].contains(item)) {
            return Err(self.error(list.span(), format!("{name} has an entry twice")));
        }
        Ok(Some(list.into_inner()))
    }

    pub(super) fn directory(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }

    pub(super) fn resolve(&self, path: PathBuf) -> PathBuf {
        self.directory().join(path)
    }
}
