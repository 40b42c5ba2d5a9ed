//! What a process costs, from `/proc`.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

/// Memory and processor time of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Resident bytes now.
    pub resident: u64,
    /// Most resident bytes so far.
    pub peak: u64,
    /// Processor time so far, user and system, of all its threads.
    pub cpu: Duration,
}

/// Looks at a process.
///
/// # Errors
/// When it is gone.
pub fn of(pid: u32) -> Result<Usage> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).context("the process is gone")?;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).context("the process is gone")?;
    let kilobytes = |name: &str| -> Result<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).context(name.to_owned())?;
        Ok(line.trim().trim_end_matches("kB").trim().parse::<u64>()? * 1024)
    };
    Ok(Usage {
        resident: kilobytes("VmRSS:")?,
        peak: kilobytes("VmHWM:")?,
        cpu: cpu_of(&stat).context("an unknown /proc/<pid>/stat")?,
    })
}

/// Processor time in the text of a `stat` file, of a process or of one of its threads; `None` when it
/// is no such text.
pub fn cpu_of(stat: &str) -> Option<Duration> {
    cpu(stat, rustix::param::clock_ticks_per_second())
}

/// Fields 14 and 15 of `stat`; the name in field 2 may hold blanks and brackets.
fn cpu(stat: &str, ticks: u64) -> Option<Duration> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let spent = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(Duration::from_secs_f64(spent as f64 / ticks as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_found_behind_a_hostile_name() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 1 2 3 4 150 50 0 0 20 0 1 0 5 6 7";
        assert_eq!(cpu(stat, 100), Some(Duration::from_secs(2)));
    }

    #[test]
    fn this_very_process_has_memory_and_a_gone_one_is_an_error() {
        let mine = of(std::process::id()).unwrap();
        assert!(mine.resident > 100_000 && mine.peak >= mine.resident);
        assert!(of(u32::MAX).is_err());
    }
}
