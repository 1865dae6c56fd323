//! What module and token say of themselves, and what an operator should know of them.

use std::path::Path;

use super::*;

impl Pkcs11Keystore {
    pub(super) fn told_of_itself(&self) -> Result<DeviceInfo, BackendError> {
        let token = self.connection.current_token()?;
        let module = self.connection.module();
        let version = {
            let _admin = self.admin()?;
            let library = module.pkcs11().get_library_info();
            let library = library.map_or_else(
                |_| "unknown library".to_owned(),
                |info| {
                    let version = info.library_version();
                    let (major, minor) = (version.major(), version.minor());
                    format!("{} {major}.{minor}", info.library_description().trim_end())
                },
            );
            format!("{library}, firmware {}.{}", token.firmware.0, token.firmware.1)
        };
        Ok(DeviceInfo {
            kind: "pkcs11",
            manufacturer: token.manufacturer.clone(),
            model: token.model.clone(),
            serial: token.serial.clone(),
            version,
            label: token.label.clone(),
            software: token.is_software(),
            details: Vec::new(),
            warnings: self.warnings(&token),
        })
    }

    fn warnings(&self, token: &token::Token) -> Vec<String> {
        let mut warnings = Vec::new();
        let spies = std::env::var_os("PKCS11SPY").is_some()
            || self.connection.module().path().to_string_lossy().contains("pkcs11-spy");
        if spies {
            warnings.push("PKCS11SPY: a spy module may log PINs and plaintexts".to_owned());
        }
        if std::env::var_os("LD_PRELOAD").is_some() {
            warnings.push("LD_PRELOAD: another library may stand between us and the module".into());
        }
        if is_writable_by_others(self.connection.module().path()) {
            warnings.push("the module's file can be written by group or others".to_owned());
        }
        if token.pin_count_low {
            warnings.push("CKF_USER_PIN_COUNT_LOW: a wrong PIN has been tried".to_owned());
        }
        if token.pin_final_try {
            warnings.push("CKF_USER_PIN_FINAL_TRY: one attempt before the PIN locks".to_owned());
        }
        if token.pin_locked {
            warnings.push("CKF_USER_PIN_LOCKED: the PIN is locked".to_owned());
        }
        let pin = &self.connection.config().pin;
        if token.protected_path && *pin != PinSource::Protected {
            warnings.push("the token has a PIN pad: pin = { protected = true } uses it".to_owned());
        }
        if !token.login_required && *pin != PinSource::None {
            warnings.push("the token does not require a login".to_owned());
        }
        if token.max_sessions.is_some_and(|max| max < self.connection.config().sessions) {
            warnings.push("the token allows fewer sessions than the configuration".to_owned());
        }
        warnings
    }
}

fn is_writable_by_others(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).is_ok_and(|metadata| metadata.mode() & 0o022 != 0)
}
