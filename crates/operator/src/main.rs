//! `pricemonitor-operator`: turns `PriceMonitor` resources into running workers.

use std::process::ExitCode;

use clap::Parser;

mod args;
mod render;
mod run;

use args::{Cli, Command};

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Run(args) => run::run(*args),
        Command::Crd => render::crd(),
        Command::Rbac(args) => render::rbac(&args),
        Command::Render(args) => render::render(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
