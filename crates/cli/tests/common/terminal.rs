//! A terminal in which the commands of the documents are typed.

// Each test program uses its own part of this.
#![allow(dead_code, unreachable_pub)]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pricemonitor_testkit::process::Process;
use pricemonitor_testkit::terminal::Terminal;
use pricemonitor_testkit::{documents, http, place};

use super::common::SOON;

/// An end in order takes less.
pub const END: Duration = Duration::from_secs(5);

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The text of a document.
pub fn document(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap()
}

/// The blocks of commands of a document that name this test: all of them, so that none is left out.
#[track_caller]
pub fn typed<const N: usize>(name: &str, test: &str) -> [String; N] {
    let blocks = documents::run_by(&document(name), test);
    blocks.try_into().unwrap_or_else(|blocks| panic!("{test} knows {N} blocks of {name}, not {blocks:#?}"))
}

/// A terminal with the real program, and the port at which it listens.
pub fn terminal() -> (Terminal, u16) {
    let mut terminal = Terminal::open(&root()).unwrap();
    terminal.program("pricemonitor", env!("CARGO_BIN_EXE_pricemonitor")).unwrap();
    // It stands in for cargo: the program is built already.
    let cargo = r#"[ "$1 $2 $3" = "run --release --" ] || exit 101; shift 3; exec pricemonitor "$@""#;
    terminal.stand_in("cargo", cargo).unwrap();
    let port = place::server_port().unwrap();
    terminal.set("PRICEMONITOR_LISTEN", format!("127.0.0.1:{port}"));
    terminal.set("PRICEMONITOR_URL", format!("http://127.0.0.1:{port}"));
    (terminal, port)
}

/// Types a command that goes on until it is stopped, and waits until it is ready.
#[track_caller]
pub fn start(terminal: &Terminal, command: &str, port: u16) -> Process {
    let mut process = terminal.start(&format!("exec {command}")).unwrap();
    let ready = |_: &_| http::get(port, "/readyz").is_ok_and(|answer| answer.status == 200);
    process.wait_until("it to be ready", SOON, ready).unwrap();
    process
}

/// Ctrl-C: it must end in order.
#[track_caller]
pub fn stop(process: Process) {
    let finished = process.interrupt(END).unwrap();
    assert_eq!(finished.code(), Some(0), "{}", finished.output.all());
}

/// As [`str::replace`], of what must be there.
#[track_caller]
pub fn swap(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "`{from}` is not in:\n{text}");
    text.replace(from, to)
}
