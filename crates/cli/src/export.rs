//! `pricemonitor export`.

use std::io::{BufWriter, Write};
use std::ops::ControlFlow;
use std::path::PathBuf;

use pricemonitor_model::Time;
use pricemonitor_store::query::{ExportRow, Filter};
use pricemonitor_store::{Database, postgres};
use pricemonitor_workers::now;

use crate::args::{ExportArgs, ExportFormat, ServerVariables};
use crate::exit::{Failure, Result};
use crate::input::{self, small_runtime};
use crate::out;
use crate::servers;

/// Writes the history of the manifests' monitors to standard output.
pub(crate) fn run(args: &ExportArgs) -> Result<()> {
    let loaded = input::manifests(&args.files)?;
    let from = args.since.as_deref().map(since).transpose()?;
    let place = Place::of(args)?;
    let mut output = Output::new(args.format, BufWriter::new(std::io::stdout().lock()));
    small_runtime()?.block_on(async {
        let database = place.open().await?;
        for one in &loaded {
            let filter = Filter { monitor: Some(one.monitor.id.to_string()), from, ..Filter::default() };
            database.export(&filter, |row| output.row(&row)).await.map_err(Failure::runtime)?;
        }
        database.close().await;
        Ok(())
    })?;
    output.end()
}

/// Where the history is.
enum Place {
    Folder(PathBuf),
    Server(Box<postgres::Settings>),
}

impl Place {
    fn of(args: &ExportArgs) -> Result<Place> {
        if let Some(url) = &args.database_url {
            let settings = servers::named(url, &ServerVariables::read())?;
            return Ok(Place::Server(Box::new(settings)));
        }
        let path = args.data.data_dir.join("prices.sqlite");
        if path.is_file() {
            return Ok(Place::Folder(path));
        }
        Err(Failure::input(format!(
            "there is no history in {}: name the folder of `pricemonitor up` with --data-dir, or a server with \
             --database-url",
            args.data.data_dir.display()
        )))
    }

    async fn open(&self) -> Result<Database> {
        match self {
            Place::Folder(path) => Database::open_sqlite(path).await,
            Place::Server(settings) => Database::open_postgres(settings).await,
        }
        .map_err(Failure::input)
    }
}

/// A time, or an age.
pub(crate) fn since(text: &str) -> Result<Time> {
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    let age = pricemonitor_config::duration(text).map_err(|_| {
        Failure::input(format!(
            "--since {text}: give a time such as 2026-01-04T22:45:00Z or an age such as 24h"
        ))
    })?;
    Ok(now().plus(-i64::try_from(age.as_millis()).unwrap_or(i64::MAX)))
}

enum Output<W: Write> {
    Csv(Box<csv::Writer<W>>, Option<csv::Error>),
    Json(W, Option<std::io::Error>),
}

impl<W: Write> Output<W> {
    fn new(format: ExportFormat, to: W) -> Output<W> {
        match format {
            ExportFormat::Csv => {
                let mut writer = csv::WriterBuilder::new().from_writer(to);
                let header = [
                    "monitor",
                    "source",
                    "item",
                    "event",
                    "section",
                    "price",
                    "base",
                    "unit",
                    "observed_at",
                    "slot_start",
                    "slot_end",
                ];
                let failed = writer.write_record(header).err();
                Output::Csv(Box::new(writer), failed)
            }
            ExportFormat::Json => Output::Json(to, None),
        }
    }

    /// Writes one row; a reader that went away (`| head`) ends the export.
    fn row(&mut self, row: &ExportRow) -> ControlFlow<()> {
        let failed = match self {
            Output::Csv(writer, failed) => {
                let time = |time: Option<Time>| time.map(|time| time.to_string()).unwrap_or_default();
                *failed = writer
                    .write_record([
                        &row.monitor,
                        &row.source,
                        &row.item,
                        &row.event,
                        &row.section,
                        &row.price,
                        row.base.as_deref().unwrap_or_default(),
                        &row.unit,
                        &row.observed_at.to_string(),
                        &time(row.slot.map(|slot| slot.start)),
                        &time(row.slot.map(|slot| slot.end)),
                    ])
                    .err();
                failed.is_some()
            }
            Output::Json(to, failed) => {
                *failed = serde_json::to_writer(&mut *to, row)
                    .map_err(Into::into)
                    .and_then(|()| to.write_all(b"\n"))
                    .err();
                failed.is_some()
            }
        };
        if failed { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn end(self) -> Result<()> {
        let failed = match self {
            Output::Csv(mut writer, failed) => failed.map(io_error).or_else(|| writer.flush().err()),
            Output::Json(mut to, failed) => failed.or_else(|| to.flush().err()),
        };
        out::ended(failed.map_or(Ok(()), Err))
    }
}

/// With its kind, which the conversion of the crate `csv` loses.
fn io_error(error: csv::Error) -> std::io::Error {
    let text = error.to_string();
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        _ => std::io::Error::other(text),
    }
}
