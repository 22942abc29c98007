//! Start: arguments, then one command.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tollgate::cli;

// `no_thp`: with transparent huge pages a stream costs 49 KB more and large bodies a third more CPU (ARCHITECTURE.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A gateway between coding agents and LLM providers.
///
/// Agents (Claude Code, Codex CLI, Gemini CLI, OpenCode, …) keep their own protocol and learn only a base URL and a virtual
/// key. Tollgate holds the provider credentials, decides who may use what, and counts every token.
///
/// Without a command it serves: by the configuration that it finds, or, if there is none, for one person on this machine.
#[derive(Debug, Parser)]
#[command(name = "tollgate", version, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    serve: cli::serve::Serve,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve agents (the default).
    Serve(cli::serve::Serve),
    /// Check a configuration exactly as `serve` would, and say everything that is wrong with it.
    Check(cli::check::Check),
    /// Print the JSON Schema of the configuration.
    Schema(cli::schema::Schema),
    /// Make virtual keys.
    Key(cli::key::Key),
    /// Show what was used, and what it cost.
    Usage(Box<cli::usage::Usage>),
    /// Show what a model costs and why, or what a usage of it would cost.
    Price(Box<cli::price::Price>),
    /// Run a simulated provider that speaks all four dialects.
    Mock(Box<cli::mock::Mock>),
    /// Measure what this gateway costs on this machine.
    #[cfg(target_os = "linux")]
    Loadtest(Box<cli::loadtest::Loadtest>),
    #[cfg(target_os = "linux")]
    #[command(hide = true)]
    Passthrough(cli::passthrough::Passthrough),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match arguments.command {
        None => cli::serve::run(&arguments.serve),
        Some(Command::Serve(serve)) => cli::serve::run(&serve),
        Some(Command::Check(check)) => cli::check::run(&check),
        Some(Command::Schema(schema)) => cli::schema::run(&schema),
        Some(Command::Key(key)) => cli::key::run(&key),
        Some(Command::Usage(usage)) => cli::usage::run(&usage),
        Some(Command::Price(price)) => cli::price::run(&price),
        Some(Command::Mock(mock)) => cli::mock::run(*mock),
        #[cfg(target_os = "linux")]
        Some(Command::Loadtest(loadtest)) => cli::loadtest::run(&loadtest),
        #[cfg(target_os = "linux")]
        Some(Command::Passthrough(passthrough)) => cli::passthrough::run(&passthrough),
    }
}
