//! `pricemonitor dead-letters`.

mod human;

use pricemonitor_config::Monitor;
use pricemonitor_workers::letters::{self, Letter, Retry, Select};
use pricemonitor_workers::now;
use serde_json::json;

use crate::args::{
    AnswerFormat, DeadLettersArgs, DeadLettersCommand, ListArgs, RetryArgs, SelectArgs, ShowArgs,
};
use crate::exit::{Failure, Result};
use crate::export::since;
use crate::installation::{Access, Installation, failed};
use crate::out::say;

/// Lists, shows or puts back.
pub(crate) fn run(args: &DeadLettersArgs) -> Result<()> {
    match &args.command {
        DeadLettersCommand::List(args) => list(args),
        DeadLettersCommand::Show(args) => show(args),
        DeadLettersCommand::Retry(args) => retry(args),
    }
}

fn select(args: &SelectArgs) -> Result<Select> {
    let since = args.since.as_deref().map(since).transpose()?;
    Ok(Select { reason: args.reason.clone(), since, ids: Vec::new() })
}

fn list(args: &ListArgs) -> Result<()> {
    let (installation, select) = (Installation::load(&args.installed)?, select(&args.select)?);
    for (n, one) in installation.monitors.iter().enumerate() {
        let open = installation.log(&one.monitor, Access::Read)?;
        let listed = letters::list(&open.log, &select, args.limit as usize).map_err(failed)?;
        match args.format {
            AnswerFormat::Json => {
                for letter in &listed.letters {
                    say!("{}", as_json(&one.monitor, letter))?;
                }
            }
            AnswerFormat::Human => {
                if n > 0 {
                    say!("")?;
                }
                human::list(one.monitor.id.name(), &listed)?;
            }
        }
    }
    Ok(())
}

fn show(args: &ShowArgs) -> Result<()> {
    let installation = Installation::load(&args.installed)?;
    let monitor = installation.only()?;
    let open = installation.log(monitor, Access::Read)?;
    let select = Select { ids: args.ids.clone(), ..Select::default() };
    let found = letters::list(&open.log, &select, args.ids.len()).map_err(failed)?.letters;
    for (n, id) in args.ids.iter().enumerate() {
        let Some(letter) = found.iter().find(|letter| letter.id == *id) else {
            return Err(Failure::input(format!(
                "{}: there is no dead letter {id} (retention may have deleted it); `dead-letters list` shows those that \
                 there are",
                monitor.id.name()
            )));
        };
        match args.format {
            AnswerFormat::Json => say!("{}", as_json(monitor, letter))?,
            AnswerFormat::Human => {
                if n > 0 {
                    say!("")?;
                }
                human::show(letter)?;
            }
        }
    }
    Ok(())
}

fn retry(args: &RetryArgs) -> Result<()> {
    let installation = Installation::load(&args.installed)?;
    let monitor = installation.only()?;
    let select = Select { ids: args.ids.clone(), ..select(&args.select)? };
    let how = Retry { select, again: args.again, dry_run: args.dry_run };
    let access = if args.dry_run { Access::Read } else { Access::Write };
    let open = installation.log(monitor, access)?;
    let told = letters::retry(&open.log, &how, now()).map_err(failed)?;
    human::put_back(&told, args.dry_run)?;
    if let Some(id) = told.missing.first() {
        return Err(Failure::input(format!("{}: there is no dead letter {id}", monitor.id.name())));
    }
    Ok(())
}

/// Everything of a letter, as the schema has it, with its place and when it was put back.
fn as_json(monitor: &Monitor, letter: &Letter) -> serde_json::Value {
    json!({
        "monitor": monitor.id.as_str(),
        "id": letter.id.to_string(),
        "at": letter.at,
        "reason": letter.reason,
        "detail": letter.detail,
        "coordinates": letter.coordinates,
        "log_time": letter.log_time,
        "key": letter.key,
        "payload": letter.payload,
        "payload_bytes": letter.payload_bytes,
        "truncated": letter.truncated,
        "retried": letter.retried,
    })
}
