//! `hsm-jose policy`

use std::io::IsTerminal;
use std::path::PathBuf;

use serde_json::json;

use super::{Report, Setup, input};
use crate::engine::load;
use crate::error::{Error, Result};
use crate::jwt::{explain, explain_outside};
use crate::policy::{Context, refuse_confusable};

/// What policy allows
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Tell what a context allows, and why a token would be refused
    #[command(after_help = "Example:\n  hsm-jose policy explain --context id_token token.jwt")]
    Explain(ExplainArgs),
}

/// Arguments of `policy explain`.
#[derive(Debug, clap::Args)]
pub(super) struct ExplainArgs {
    /// The context [default: what commands outside a context take]
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// A token to judge by its header [default: stdin, if it is not empty]
    file: Option<PathBuf>,
}

impl Command {
    pub(super) fn run(&self, setup: &Setup) -> Result<Report> {
        let Self::Explain(args) = self;
        args.run(setup)
    }
}

impl ExplainArgs {
    fn run(&self, setup: &Setup) -> Result<Report> {
        let policy = load::policy(&setup.config)?;
        let contexts = load::contexts(&setup.config)?;
        refuse_confusable(&contexts)?;
        let texts: Vec<String> = contexts.iter().map(Context::text).collect();
        let hash = policy.hash(&texts);
        let context = match &self.context {
            None => None,
            Some(name) => {
                Some(contexts.iter().find(|context| context.name == *name).ok_or_else(|| {
                    Error::Usage(format!("no context is called {name:?}; see [context.*]"))
                })?)
            }
        };
        let allows = context.map_or_else(|| policy.text(), Context::text);
        let mut text = format!("{allows}policy hash: {hash}\n");
        let mut json = json!({
            "profile": policy.profile.name(),
            "context": self.context,
            "rules": allows.lines().collect::<Vec<_>>(),
            "policy_hash": hash,
        });
        let token = match &self.file {
            Some(file) => Some(input::read_token(Some(file))?),
            // A token may be piped; a terminal has none to explain.
            None if std::io::stdin().is_terminal() => None,
            None => Some(input::read_token(None)?).filter(|token| !token.is_empty()),
        };
        if let Some(token) = token {
            let verdict = match context {
                Some(context) => explain(context, &token),
                None => explain_outside(&policy, &token),
            };
            text += "\n";
            for step in &verdict.steps {
                text += &format!("{step}\n");
            }
            if verdict.accepted {
                text += "policy would let it reach a key\n";
            }
            json["token"] = json!(verdict);
        }
        Ok(Report::new(text, json))
    }
}
