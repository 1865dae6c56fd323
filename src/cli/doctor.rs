//! `hsm-jose doctor`

use serde_json::json;

use super::key::size_and_check;
use super::{Report, Setup};
use crate::doctor::{AlgorithmReport, examine};
use crate::error::Result;

/// Ask every keystore whether it is there and what it does, and check every key
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  hsm-jose doctor")]
pub(super) struct Args {}

impl Args {
    pub(super) fn run(&self, setup: &Setup) -> Result<Report> {
        let examined = examine(&setup.keystores, &setup.keyring.read()?);
        let mut text = String::new();
        for keystore in &examined.keystores {
            let state = if keystore.healthy { "reachable, logged in" } else { "NOT usable" };
            text += &format!("keystore {}: {state}\n", keystore.name);
            if !keystore.device.is_empty() {
                text += &format!("  {}\n", keystore.device);
            }
            for detail in &keystore.details {
                text += &format!("  {detail}\n");
            }
            text += &algorithms(&keystore.algorithms);
        }
        for key in &examined.keys {
            text += &format!("key {} (kid {}) in {}\n", key.name, key.kid, key.keystore);
            if let Some(secret) = &key.secret {
                text += &format!("  symmetric: {}\n", size_and_check(secret));
            }
            text += &algorithms(&key.algorithms);
            if !key.attributes.is_empty() {
                text += &format!("  {}\n", key.attributes.join(" "));
            }
            for what in &key.unproven {
                text += &format!("  not proven by the device: {what}\n");
            }
        }
        text += "content encryption, on the host but for dir\n";
        for content in &examined.content {
            text += &format!("  {:<16} {}\n", content.enc.name(), content.host);
        }
        for (on_purpose, title) in [(true, "refused on purpose"), (false, "not in this build")] {
            text += &format!("{title}\n");
            for refused in examined.refused.iter().filter(|it| it.on_purpose == on_purpose) {
                text += &format!("  {:<19} {:<12} {}\n", refused.name, refused.place, refused.why);
            }
        }
        for finding in &examined.findings {
            let severity = format!("{:?}", finding.severity).to_lowercase();
            text += &format!(
                "{severity} {}: {}: {}\n  -> {}\n",
                finding.id, finding.subject, finding.what, finding.fix
            );
        }
        let found = !examined.is_clean();
        text += if found { "something needs attention\n" } else { "nothing needs attention\n" };
        let json = json!({
            "keystores": examined.keystores,
            "keys": examined.keys,
            "content": examined.content,
            "refused": examined.refused,
            "findings": examined.findings,
            "clean": !found,
        });
        let mut report = Report::new(text, json);
        report.found = found;
        Ok(report)
    }
}

fn algorithms(algorithms: &[AlgorithmReport]) -> String {
    let line = |report: &AlgorithmReport| {
        format!(
            "  {:<16} {:<9} {:<14} {}\n",
            report.alg.name(),
            report.key,
            report.support,
            report.how
        )
    };
    algorithms.iter().map(line).collect()
}
