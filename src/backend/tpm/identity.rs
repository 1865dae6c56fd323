//! What a TPM says of itself, and what an operator should know of the way to it.

use tss_esapi::constants::PropertyTag;

use super::context::{Live, Lockout};
use super::fault::Fault;
use super::{ParentName, Shared, Tcti};
use crate::backend::{BackendError, DeviceInfo};

/// Describes the TPM at the end of `tcti`.
pub(super) fn describe(shared: &Shared, tcti: &Tcti) -> Result<DeviceInfo, BackendError> {
    let (device, lockout, max_input) =
        shared.run(|live| Ok((identity(live)?, live.lockout()?, live.max_input())))?;
    let parent = ParentName(shared.run(|live| Ok(live.parent_name().to_vec()))?);
    let is_pinned = shared.pinned.is_some();
    let is_simulator = tcti.is_simulator() || device.model.starts_with("SW");
    let pinned = if is_pinned { "pinned" } else { "not pinned" };
    Ok(DeviceInfo {
        kind: "tpm",
        software: is_simulator,
        details: vec![
            format!("parent {parent}, {pinned}"),
            format!(
                "lockout: {}, {} of {} failures, one is forgotten every {} s",
                if lockout.is_locked { "yes" } else { "no" },
                lockout.failures,
                lockout.max_failures,
                lockout.interval
            ),
            format!("HMAC of at most {max_input} bytes: header and payload in base64url"),
            "unclean stops of the TPM count as failures while a protected key is in use".to_owned(),
        ],
        warnings: warnings(shared, tcti, lockout),
        ..device
    })
}

fn warnings(shared: &Shared, tcti: &Tcti, lockout: Lockout) -> Vec<String> {
    let mut warnings = Vec::new();
    if shared.pinned.is_none() {
        warnings.push(
            "parent_name is not pinned: a device between us and the TPM can stand in for it; \
             `hsm-jose token pin` writes it"
                .to_owned(),
        );
    }
    if tcti.is_raw_device() {
        warnings.push("the TCTI has no resource manager: use device:/dev/tpmrm0".to_owned());
    }
    if lockout.is_locked {
        warnings.push(format!(
            "the TPM is in lockout: it takes no authorization of protected keys; a failure is \
             forgotten every {} s, and `tpm2_dictionarylockout --clear-lockout` clears them",
            lockout.interval
        ));
    } else if lockout.failures > 0 {
        warnings.push(format!(
            "the TPM counts {} failed authorizations and locks at {}; a power loss or a kill \
             after a protected key was used counts as one, a shutdown does not",
            lockout.failures, lockout.max_failures
        ));
    }
    if std::env::var("TSS2_LOG").map_or(true, |value| value != "all+none") {
        warnings.push(
            "TSS2_LOG is not \"all+none\": tpm2-tss writes to stderr at every error, also at \
             those that a token causes"
                .to_owned(),
        );
    }
    warnings
}

/// Reads who made the TPM.
fn identity(live: &mut Live) -> Result<DeviceInfo, Fault> {
    let mut number = |tag| Ok::<u32, Fault>(live.property(tag)?.unwrap_or_default());
    let manufacturer = number(PropertyTag::Manufacturer)?;
    let mut model = Vec::new();
    for tag in [
        PropertyTag::VendorString1,
        PropertyTag::VendorString2,
        PropertyTag::VendorString3,
        PropertyTag::VendorString4,
    ] {
        model.push(number(tag)?);
    }
    let firmware = (number(PropertyTag::FirmwareVersion1)?, number(PropertyTag::FirmwareVersion2)?);
    let revision = number(PropertyTag::Revision)?;
    Ok(DeviceInfo {
        manufacturer: text(&[manufacturer]),
        model: text(&model),
        version: format!(
            "firmware {:x}.{:x}, revision {}.{:02}",
            firmware.0,
            firmware.1,
            revision / 100,
            revision % 100
        ),
        ..DeviceInfo::default()
    })
}

/// Reads the characters that a TPM packs into numbers.
fn text(numbers: &[u32]) -> String {
    let bytes = numbers.iter().flat_map(|number| number.to_be_bytes());
    let text: String = bytes.filter(|byte| (b' '..=b'~').contains(byte)).map(char::from).collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
