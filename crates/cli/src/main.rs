//! `pricemonitor`: watches prices. This file wires and nothing else.

#![deny(clippy::print_stdout, clippy::print_stderr)] // see `out`

mod args;
mod audit;
mod dead_letters;
mod exit;
mod export;
mod health;
mod input;
mod installation;
mod logging;
mod out;
mod pipeline;
mod plain;
mod run;
mod servers;
mod setup;
mod test_alert;
mod up;
mod validate;

use std::process::ExitCode;

use args::{Cli, Command};
use clap::{CommandFactory, Parser};

fn main() -> ExitCode {
    let cli = Cli::parse();
    // Several crates speak TLS; they agree on ring here, once.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let result = match cli.command {
        Command::Up(args) => up::run(args),
        Command::Run(args) => run::run(&args),
        Command::Setup(args) => setup::run(&args),
        Command::Teardown(args) => setup::teardown(&args),
        Command::Validate(args) => validate::run(&args),
        Command::TestAlert(args) => test_alert::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Audit(args) => audit::run(&args),
        Command::DeadLetters(args) => dead_letters::run(&args),
        Command::Health(args) => health::run(&args),
        Command::Completions { shell } => {
            // It panics when a write fails, which memory does not.
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "pricemonitor", &mut script);
            out::bytes(&script)
        }
        Command::Man => args::man_page(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
