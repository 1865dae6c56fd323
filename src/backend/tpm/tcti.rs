//! The text that names the way to a TPM, read more strictly than the binding reads it: that one
//! takes `swtpm:path=/x` for localhost and port 2321, and `device:` for /dev/tpm0.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use tss_esapi::tcti_ldr::TctiNameConf;

/// The way to a TPM: `device:/dev/tpmrm0`, `swtpm:host=127.0.0.1,port=2321`,
/// `mssim:host=...,port=...`, `tabrmd:bus_name=...,bus_type=system`.
///
/// ```
/// use hsm_jose::backend::tpm::Tcti;
///
/// let tcti: Tcti = "swtpm:host=127.0.0.1,port=2321".parse().expect("a TCTI");
/// assert_eq!(tcti.as_str(), "swtpm:host=127.0.0.1,port=2321");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tcti(String);

/// The text does not name a way to a TPM; the message says what would.
///
/// ```
/// use hsm_jose::backend::tpm::Tcti;
///
/// assert!("carrier-pigeon:".parse::<Tcti>().is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TctiError(String);

impl Tcti {
    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether it leads to a TPM that is software.
    #[must_use]
    pub fn is_simulator(&self) -> bool {
        self.0.starts_with("swtpm:") || self.0.starts_with("mssim:")
    }

    /// Returns whether it is the device without the kernel's resource manager: one user at a time.
    #[must_use]
    pub fn is_raw_device(&self) -> bool {
        let path = self.0.strip_prefix("device:").and_then(|path| Path::new(path).file_name());
        let name = path.and_then(|name| name.to_str());
        name.is_some_and(|name| name.starts_with("tpm") && !name.starts_with("tpmrm"))
    }
}

impl FromStr for Tcti {
    type Err = TctiError;

    fn from_str(text: &str) -> Result<Self, TctiError> {
        let wrong = |what: &str| {
            TctiError(format!(
                "tcti {text:?}: {what}; it is \"device:/dev/tpmrm0\", \
                 \"swtpm:host=127.0.0.1,port=2321\", \"mssim:host=...,port=...\" or \
                 \"tabrmd:bus_name=...,bus_type=system\""
            ))
        };
        let Some((kind, options)) = text.split_once(':') else {
            return Err(wrong("no colon after the kind"));
        };
        let (known, needed): (&[&str], &[&str]) = match kind {
            "device" if options.starts_with('/') => (&[], &[]),
            "device" => return Err(wrong("a device is an absolute path")),
            "swtpm" | "mssim" => (&["host", "port"], &["host", "port"]),
            "tabrmd" => (&["bus_name", "bus_type"], &[]),
            _ => return Err(wrong("a kind that is not known")),
        };
        if kind != "device" {
            let mut names = Vec::new();
            for option in options.split(',').filter(|_| !options.is_empty()) {
                let name = option.split_once('=').map_or(option, |(name, _)| name);
                if name == "path" {
                    return Err(wrong("a socket's path is not supported, only host and port"));
                }
                if !known.contains(&name) || names.contains(&name) {
                    return Err(wrong(&format!("{name:?} is not for here, or twice")));
                }
                names.push(name);
            }
            if let Some(name) = needed.iter().find(|name| !names.contains(*name)) {
                return Err(wrong(&format!("{name}= is missing")));
            }
        }
        match TctiNameConf::from_str(text) {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(_) => Err(wrong("a value that cannot be read")),
        }
    }
}

impl fmt::Display for Tcti {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_binding_would_misread_is_refused() {
        for text in [
            "",
            "device",
            "device:",
            "device:tpm0",
            "swtpm",
            "swtpm:",
            "swtpm:path=/run/swtpm.sock",
            "swtpm:host=127.0.0.1,port=2321,path=/x",
            "swtpm:host=127.0.0.1",
            "swtpm:port=2321",
            "swtpm:host=127.0.0.1,port=23210000",
            "swtpm:host=127.0.0.1,port=1,port=2",
            "swtpm:host=a_b,port=2321",
            "mssim:anything",
            "tabrmd:bus_type=both",
            "pcap:device:/dev/tpmrm0",
            "libtss2-tcti-swtpm.so",
        ] {
            assert!(text.parse::<Tcti>().is_err(), "{text}");
        }
        for text in [
            "device:/dev/tpmrm0",
            "swtpm:host=127.0.0.1,port=2321",
            "mssim:port=2321,host=localhost",
            "tabrmd:bus_name=com.intel.tss2.Tabrmd,bus_type=session",
        ] {
            assert_eq!(text.parse::<Tcti>().map(|tcti| tcti.to_string()), Ok(text.to_owned()));
        }
        assert!("device:/dev/tpm0".parse::<Tcti>().is_ok_and(|tcti| tcti.is_raw_device()));
        assert!("device:/dev/tpmrm0".parse::<Tcti>().is_ok_and(|tcti| !tcti.is_raw_device()));
    }
}
