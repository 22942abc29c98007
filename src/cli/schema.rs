//! `tollgate schema`: the JSON Schema of the configuration, for editors (draft 2020-12).

use std::process::ExitCode;

use clap::Args;

use crate::config::schema::Config;

/// Arguments of `schema`.
///
/// Example, for an editor that reads schemas for TOML:
///   tollgate schema > tollgate.schema.json
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct Schema {}

/// Prints it.
#[must_use]
pub fn run(_: &Schema) -> ExitCode {
    match serde_json::to_string_pretty(&schemars::schema_for!(Config)) {
        Ok(text) => {
            super::say(&text);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: the schema cannot be printed: {error}");
            ExitCode::FAILURE
        }
    }
}
