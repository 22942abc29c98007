//! Start: arguments, then one command.

use std::process::ExitCode;

use clap::Parser;
use tollgate::cli;

// `no_thp`: with transparent huge pages a stream costs 49 KB more and large bodies a third more CPU (ARCHITECTURE.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Debug, Parser)]
#[command(name = "tollgate", version)]
struct Arguments {
    #[command(flatten)]
    serve: cli::serve::Serve,
}

fn main() -> ExitCode {
    cli::serve::run(&Arguments::parse().serve)
}
