//! What a topic holds, as Kafka's own consumer reads it.

use anyhow::{Context, Result, bail};

use crate::kafka::Kafka;

/// How long the consumer waits for more before it ends, in milliseconds; for the first record, too, which on a busy
/// machine comes late.
const PATIENCE: &str = "12000";

/// A record of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Its partition.
    pub partition: u32,
    /// Its place in there.
    pub offset: u64,
    /// The log's time, in milliseconds since 1970.
    pub time: i64,
    /// Its key, if it has one.
    pub key: Option<String>,
    /// Its value.
    pub value: String,
}

/// Every committed record of a topic, in the order of partition and offset. Takes some seconds: a JVM that waits
/// whether more comes.
///
/// # Errors
/// When the consumer fails, or writes what this does not understand.
pub fn committed(kafka: &Kafka, topic: &str) -> Result<Vec<Taken>> {
    let bootstrap = kafka.bootstrap();
    let mut arguments = vec!["--bootstrap-server", &bootstrap, "--topic", topic, "--from-beginning"];
    arguments.extend(["--isolation-level", "read_committed", "--timeout-ms", PATIENCE]);
    for part in ["print.timestamp=true", "print.partition=true", "print.offset=true", "print.key=true"] {
        arguments.extend(["--formatter-property", part]);
    }
    let text = kafka.tool("consumer.ConsoleConsumer", &arguments)?;
    parse(&text).with_context(|| format!("reading {topic}"))
}

/// As [`committed`], of several topics at a time, in their order.
///
/// # Errors
/// As for [`committed`].
pub fn all_committed(kafka: &Kafka, topics: &[String]) -> Result<Vec<Vec<Taken>>> {
    std::thread::scope(|scope| {
        let readers: Vec<_> =
            topics.iter().map(|topic| scope.spawn(move || committed(kafka, topic))).collect();
        let read = |reader: std::thread::ScopedJoinHandle<'_, Result<Vec<Taken>>>| {
            reader.join().unwrap_or_else(|_| bail!("a reader fell over"))
        };
        readers.into_iter().map(read).collect()
    })
}

/// The lines of the console consumer. What does not begin like a record belongs to the value before it.
fn parse(text: &str) -> Result<Vec<Taken>> {
    let mut found: Vec<Taken> = Vec::new();
    for line in text.lines() {
        match record(line) {
            Some(record) => found.push(record),
            None => match found.last_mut() {
                Some(last) => {
                    last.value.push('\n');
                    last.value.push_str(line);
                }
                None if line.trim().is_empty() => {}
                None => bail!("no record begins with `{line}`"),
            },
        }
    }
    found.sort_by_key(|taken| (taken.partition, taken.offset));
    Ok(found)
}

fn record(line: &str) -> Option<Taken> {
    let mut fields = line.splitn(5, '\t');
    let time = fields.next()?;
    let (_, time) = time.split_once("Time:")?;
    let partition = fields.next()?.strip_prefix("Partition:")?;
    let offset = fields.next()?.strip_prefix("Offset:")?;
    let key = fields.next()?;
    Some(Taken {
        partition: partition.parse().ok()?,
        offset: offset.parse().ok()?,
        time: time.parse().ok()?,
        key: (key != "null").then(|| key.to_owned()),
        value: fields.next()?.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_with_their_places_and_values_of_several_lines() {
        let text = "LogAppendTime:7\tPartition:1\tOffset:4\tk\t{\"a\":\"x\\ty\"}\n\
                    LogAppendTime:5\tPartition:0\tOffset:9\tnull\thead\nbody\n";
        let taken = parse(text).unwrap();
        assert_eq!(taken.len(), 2);
        assert_eq!((taken[0].partition, taken[0].offset, taken[0].time), (0, 9, 5));
        assert_eq!((taken[0].key.as_deref(), taken[0].value.as_str()), (None, "head\nbody"));
        assert_eq!((taken[1].key.as_deref(), taken[1].value.as_str()), (Some("k"), "{\"a\":\"x\\ty\"}"));
        assert!(parse("something else").is_err());
    }
}
