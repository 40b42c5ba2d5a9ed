//! Dead letters for people. Their content is somebody else's, and may be hostile to a terminal.

use pricemonitor_model::Repeated;
use pricemonitor_workers::letters::{Letter, LetterId, Listed, PutBack};

use crate::exit::Result;
use crate::out::say;
use crate::plain;

/// Characters of a key in a list.
const KEY: usize = 32;
/// Characters of a payload in a list.
const PAYLOAD: usize = 60;
/// Ids that a sentence names.
const NAMED: usize = 10;

/// A monitor's letters, a line each.
pub(super) fn list(monitor: &str, listed: &Listed) -> Result<()> {
    match (listed.total, listed.letters.len()) {
        (0, _) => say!("{monitor}: no dead letters")?,
        (total, shown) if shown as u64 == total => say!("{monitor}: {}", letters(total))?,
        (total, shown) => say!("{monitor}: {}, the newest {shown}", letters(total))?,
    }
    if listed.unreadable > 0 {
        say!(
            "  {} other records there cannot be read: no letters, or of a newer version",
            listed.unreadable
        )?;
    }
    if listed.letters.is_empty() {
        return Ok(());
    }
    let key = |letter: &Letter| part(letter.key.as_ref(), KEY);
    let widths = |least: usize, width: &dyn Fn(&Letter) -> usize| {
        listed.letters.iter().map(width).max().unwrap_or(0).max(least)
    };
    let ids = widths(2, &|letter| letter.id.to_string().len());
    let reasons = widths(6, &|letter| plain::short(letter.reason.as_bytes(), KEY).chars().count());
    let keys = widths(3, &|letter| key(letter).chars().count());
    say!("  {:<ids$}  {:<24}  {:<reasons$}  {:<keys$}  PAYLOAD", "ID", "WHEN", "REASON", "KEY")?;
    for letter in &listed.letters {
        let reason = plain::short(letter.reason.as_bytes(), KEY);
        let retried = if letter.retried.is_some() { "[retried] " } else { "" };
        let payload = part(letter.payload.as_ref(), PAYLOAD);
        let (id, key) = (letter.id.to_string(), key(letter));
        say!("  {id:<ids$}  {:<24}  {reason:<reasons$}  {key:<keys$}  {retried}{payload}", letter.at)?;
    }
    Ok(())
}

fn letters(count: u64) -> String {
    if count == 1 { "1 dead letter".to_owned() } else { format!("{count} dead letters") }
}

fn part(bytes: Option<&Repeated<'_>>, width: usize) -> String {
    bytes.map_or_else(|| "(none)".to_owned(), |bytes| plain::short(bytes.bytes(), width))
}

/// Everything of a letter.
pub(super) fn show(letter: &Letter) -> Result<()> {
    say!("dead letter  {}", letter.id)?;
    say!("written      {}", letter.at)?;
    say!("reason       {}", plain::line(letter.reason.as_bytes()))?;
    say!("detail       {}", plain::line(letter.detail.as_bytes()))?;
    let at = letter.coordinates;
    say!("raw record   partition {}, offset {} (incarnation {})", at.partition, at.offset, at.incarnation)?;
    say!("taken        {}", letter.log_time)?;
    match letter.retried {
        Some(at) => say!("retried      {at}")?,
        None => say!("retried      never")?,
    }
    say!("key          {}", letter.key.as_ref().map_or("(none)".to_owned(), |key| plain::line(key.bytes())))?;
    let Some(payload) = &letter.payload else { return say!("payload      (none)") };
    let size = match letter.truncated {
        true => format!("{} bytes, of which only the beginning was kept", letter.payload_bytes),
        false => format!("{} bytes", letter.payload_bytes),
    };
    say!("payload      {size}")?;
    match payload.text().and_then(plain::pretty) {
        Some(lines) => lines.iter().try_for_each(|line| say!("  {line}")),
        None => say!("  {}", plain::line(payload.bytes())),
    }
}

/// What came of a retry.
pub(super) fn put_back(told: &PutBack, dry_run: bool) -> Result<()> {
    let records = if told.count == 1 { "record" } else { "records" };
    match (told.count, dry_run) {
        (0, _) => say!("nothing to put back")?,
        (count, true) => say!("would put back {count} {records}: {}", ids(&told.done, count))?,
        (count, false) => say!("put back {count} {records}: {}", ids(&told.done, count))?,
    }
    if told.before > 0 {
        say!("left alone, put back before: {} (--again puts them back once more)", told.before)?;
    }
    if !told.cut.is_empty() {
        say!("left alone, not kept whole: {}", ids(&told.cut, told.cut.len() as u64))?;
    }
    Ok(())
}

fn ids(ids: &[LetterId], count: u64) -> String {
    let named: Vec<String> = ids.iter().take(NAMED).map(ToString::to_string).collect();
    let more = if count > named.len() as u64 { ", ..." } else { "" };
    format!("{}{more}", named.join(", "))
}
