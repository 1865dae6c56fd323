//! `hsm-jose jwk check`

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde_json::{Value, json};

use super::super::Report;
use super::super::input::{self, MAX_KEYS};
use super::super::value::time;
use super::Source;
use crate::error::{Error, Result};
use crate::jose::alg::Purpose;
use crate::jose::jwk::{Finding, JwkSet, PublicJwk, Severity, check};
use crate::jose::x509::{Anchors, CertificateChain, ExtendedUsage, Requirements, X509Error};

/// Look for what is wrong with public keys, and with what is said of them
#[derive(Debug, clap::Args)]
#[command(
    long_about = "Look for what is wrong with public keys, and with what is said of them: size, \
                  exponent, curve and point; use, key_ops and alg; kids that are there twice; private \
                  members; x5c, x5t#S256 and the dates of certificates. Remarks are for a look, and do \
                  not change the exit status.\n\nWith --anchors, the certificates of each key are \
                  verified to them. Revocation is not looked at, and nothing is fetched.",
    after_help = "Example:\n  hsm-jose jwk check partner-jwks.json\n\nExit status: 7 if there is a fault"
)]
pub(crate) struct Args {
    #[command(flatten)]
    source: Source,
    /// PEM certificates, one of which has to vouch for each key's x5c
    #[arg(long, value_name = "FILE")]
    anchors: Option<PathBuf>,
    /// An extended key usage that the certificates have to have, as 1.3.6.1.5.5.7.3.36
    #[arg(long, value_name = "OID", requires = "anchors")]
    usage: Option<String>,
    /// The time at which certificates have to be valid, as 2026-11-25T12:00:00Z [default: now]
    #[arg(long, value_name = "TIME", value_parser = time)]
    at: Option<SystemTime>,
}

impl Args {
    pub(super) fn run(&self) -> Result<Report> {
        let at = self.at.unwrap_or_else(SystemTime::now);
        let bytes = self.source.read()?;
        let mut findings = check(&bytes, at);
        // What cannot be read is among the findings.
        let keys = JwkSet::from_any(&bytes).unwrap_or_default().keys;
        if let Some(path) = &self.anchors {
            let anchors = read_anchors(path)?;
            for (index, jwk) in keys.iter().enumerate() {
                if let Err(error) = self.vouched(&anchors, jwk, at) {
                    let key = (keys.len() > 1).then_some(index);
                    let severity = Severity::Fault;
                    let what = error.to_string();
                    findings.push(Finding { severity, key, member: "x5c", what });
                }
            }
        }
        let mut text = String::new();
        for jwk in &keys {
            let kid = Value::from(jwk.kid.clone());
            let kind = jwk.key.kind();
            text += &format!("{kind}  kid {kid}  thumbprint {}\n", jwk.key.thumbprint());
        }
        for finding in &findings {
            text += &line(finding);
        }
        let summaries: Vec<Value> = keys.iter().map(summary).collect();
        let has_fault = findings.iter().any(|finding| finding.severity == Severity::Fault);
        let json = json!({ "ok": !has_fault, "keys": summaries, "findings": findings });
        let mut report = Report::new(text, json);
        report.found = has_fault;
        Ok(report)
    }

    /// Says why no anchor vouches for a key.
    fn vouched(
        &self,
        anchors: &Anchors,
        jwk: &PublicJwk,
        at: SystemTime,
    ) -> std::result::Result<(), X509Error> {
        let chain = jwk.x5c.as_ref().ok_or_else(|| {
            X509Error::Malformed("none, and so no anchor vouches for the key".into())
        })?;
        let purpose = match jwk.use_.as_deref() {
            Some("enc") => Purpose::Decrypt,
            Some(_) => Purpose::Sign,
            None if chain.leaf().serves(Purpose::Sign) => Purpose::Sign,
            None => Purpose::Decrypt,
        };
        let extended = self.usage.as_deref().map_or(ExtendedUsage::Any, ExtendedUsage::Required);
        let verified = anchors.verify(chain, &Requirements { at, purpose, extended });
        verified.map(|_| ())
    }
}

fn read_anchors(path: &Path) -> Result<Anchors> {
    let wrong = |what: String| Error::Usage(format!("{}: {what}", path.display()));
    let bytes = input::read(Some(path), MAX_KEYS)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| wrong("not PEM".into()))?;
    Anchors::from_pem(text).map_err(|error| wrong(error.to_string()))
}

fn line(finding: &Finding) -> String {
    let severity = match finding.severity {
        Severity::Fault => "fault",
        Severity::Remark => "remark",
    };
    let place = match finding.key {
        Some(index) => format!("keys[{index}].{}", finding.member),
        None => finding.member.to_owned(),
    };
    format!("{severity}  {place}: {}\n", finding.what)
}

fn summary(jwk: &PublicJwk) -> Value {
    let certificate = jwk.x5c.as_ref().map(CertificateChain::leaf).map(|leaf| {
        let (not_before, not_after) = leaf.validity();
        json!({
            "subject": leaf.subject(),
            "not_before": humantime::format_rfc3339_seconds(not_before).to_string(),
            "not_after": humantime::format_rfc3339_seconds(not_after).to_string(),
        })
    });
    json!({
        "kid": jwk.kid,
        "kind": jwk.key.kind().to_string(),
        "use": jwk.use_,
        "alg": jwk.alg,
        "thumbprint": jwk.key.thumbprint(),
        "certificate": certificate,
    })
}
