//! The workers: who they are, whether they live, how far they are.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use pricemonitor_testkit::process::{Finished, Process};
use pricemonitor_testkit::{http, place, wait};

use crate::common::pricemonitor;
use crate::ground::Ground;

/// Longest wait for a worker to start on a busy machine.
const START: Duration = Duration::from_secs(120);
/// A worker ends within five seconds; a busy machine gets some more.
const END: Duration = Duration::from_secs(15);

/// A place among the workers; it stays the same over restarts.
#[derive(Clone)]
pub struct Seat {
    /// As after `pricemonitor run`.
    pub role: &'static str,
    /// `--instance`.
    pub name: String,
    manifests: Vec<PathBuf>,
    variables: Vec<(String, String)>,
    data: PathBuf,
}

/// A worker at work.
pub struct Worker {
    pub seat: Seat,
    pub process: Process,
    port: u16,
    pub paused: bool,
    /// Until then it may end because its place is taken: it was paused beyond its session, or had a rival.
    pub contested: Option<Instant>,
}

impl Seat {
    /// A seat; number 0 reaches the servers through the proxies.
    pub fn new(ground: &Ground, role: &'static str, number: usize, monitors: &[&str]) -> Seat {
        Seat {
            role,
            name: format!("{role}-{}-{number}", monitors.join("-")),
            manifests: ground.manifests(monitors),
            variables: ground.variables(number == 0),
            data: ground.place.at("data"),
        }
    }

    /// Starts a worker in it.
    pub fn start(&self) -> Worker {
        let port = place::server_port().unwrap();
        let mut command = pricemonitor();
        command.args(["run", self.role, "--instance", &self.name]);
        command.arg("--listen").arg(format!("127.0.0.1:{port}")).arg("--data-dir").arg(&self.data);
        for manifest in &self.manifests {
            command.arg("-f").arg(manifest);
        }
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        let process = Process::start(&mut command).unwrap();
        Worker { seat: self.clone(), process, port, paused: false, contested: None }
    }
}

impl Worker {
    /// How many results it has committed since its start.
    pub fn done(&self) -> f64 {
        let metric = match self.seat.role {
            "producer" => "pricemonitor_observations_appended_total",
            "processor" => "pricemonitor_observations_processed_total",
            _ => "pricemonitor_rows_written_total",
        };
        self.metric(metric).unwrap_or(0.0)
    }

    fn metric(&self, name: &str) -> Option<f64> {
        if self.paused {
            return None;
        }
        http::metric(&http::get(self.port, "/metrics").ok()?.body, name, &[])
    }

    fn is_ready(&self) -> bool {
        http::get(self.port, "/readyz").is_ok_and(|answer| answer.status == 200)
    }
}

/// How a worker ended, with its last words.
fn told(seat: &Seat, finished: &Finished) -> String {
    let said = finished.output.all();
    let last: Vec<&str> = said.lines().rev().take(4).collect();
    let last = last.into_iter().rev().collect::<Vec<_>>().join("\n    ");
    format!("{} ended with {:?}:\n    {last}", seat.name, finished.code())
}

/// All workers.
pub struct Crew {
    pub workers: Vec<Worker>,
    /// Ends that must not be.
    pub failures: Vec<String>,
    /// Ends that may be.
    pub notes: Vec<String>,
}

impl Crew {
    /// Two producers, three processors, two storage workers and one with a CSV file, two alert workers; all ready.
    pub fn muster(ground: &Ground) -> Crew {
        let both: &[&str] = &["market", "spot"];
        let plan: [(&'static str, usize, &[&str]); 10] = [
            ("producer", 0, both),
            ("producer", 1, both),
            ("processor", 0, both),
            ("processor", 1, both),
            ("processor", 2, both),
            ("storage", 0, &["market"]),
            ("storage", 1, &["market"]),
            // The CSV file has one writer: nobody stands in for it when its network is bad.
            ("storage", 0, &["spot"]),
            ("alert", 0, both),
            ("alert", 1, both),
        ];
        let workers = plan.map(|(role, number, monitors)| Seat::new(ground, role, number, monitors).start());
        let mut crew = Crew { workers: workers.into(), failures: Vec::new(), notes: Vec::new() };
        for worker in &mut crew.workers {
            let port = worker.port;
            let answers = || http::get(port, "/readyz").is_ok_and(|answer| answer.status == 200);
            worker.process.wait_until("a worker to be ready", START, |_| answers()).unwrap();
        }
        crew
    }

    /// Starts again who ended. Only a worker whose place somebody else can have taken may end by itself.
    pub fn look_after(&mut self) {
        for at in 0..self.workers.len() {
            if self.workers[at].process.has_ended() {
                let seat = self.workers[at].seat.clone();
                let ended = std::mem::replace(&mut self.workers[at], seat.start());
                let finished = ended.process.wait(END).unwrap();
                if ended.contested.is_some_and(|until| Instant::now() < until) {
                    // Two that share a name may throw each other out: the rival of this one goes on.
                    self.workers[at].contested = ended.contested;
                    self.judge(&seat, &finished, Some(3));
                } else {
                    let why = "it ended by itself, though nobody can have had its place";
                    self.failures.push(format!("{}\n    {why}", told(&seat, &finished)));
                }
            }
        }
    }

    /// Whether an end was as it had to be.
    pub fn judge(&mut self, seat: &Seat, finished: &Finished, code: Option<i32>) {
        let text = told(seat, finished);
        if finished.code() != code || finished.output.all().contains("panicked") {
            self.failures.push(text);
        } else if code == Some(3) {
            println!("{text}");
            self.notes.push(text);
        }
    }

    /// Places of the workers of a role.
    pub fn of(&self, role: &str) -> Vec<usize> {
        (0..self.workers.len()).filter(|at| self.workers[*at].seat.role == role).collect()
    }

    /// How far each process is, to see later who got further.
    pub fn marks(&self) -> Vec<(u32, f64)> {
        self.workers.iter().map(|worker| (worker.process.id(), worker.done())).collect()
    }

    /// Whether some worker of the role has committed something since.
    pub fn got_further(&self, role: &str, marks: &[(u32, f64)]) -> bool {
        self.of(role).into_iter().any(|at| {
            let worker = &self.workers[at];
            let before =
                marks.iter().find(|(id, _)| *id == worker.process.id()).map_or(0.0, |(_, done)| *done);
            worker.done() > before
        })
    }

    /// Records that are not read yet, by worker. Members of one group tell the same.
    pub fn lag(&self) -> BTreeMap<String, f64> {
        let readers = self.workers.iter().filter(|worker| worker.seat.role != "producer");
        readers
            .map(|worker| {
                let lag = worker.metric("pricemonitor_consumer_lag_records").unwrap_or(f64::INFINITY);
                (worker.seat.name.clone(), if worker.is_ready() { lag } else { f64::INFINITY })
            })
            .collect()
    }

    /// Ends the workers of a role in order.
    pub fn end(&mut self, role: &str) {
        let (ending, staying) =
            std::mem::take(&mut self.workers).into_iter().partition(|worker| worker.seat.role == role);
        self.workers = staying;
        let ending: Vec<Worker> = ending;
        for worker in ending {
            let seat = worker.seat.clone();
            match worker.process.terminate(END) {
                Ok(finished) => self.judge(&seat, &finished, Some(0)),
                Err(error) => self.failures.push(format!("{}: {error:#}", seat.name)),
            }
        }
    }

    /// Ends all others.
    pub fn dismiss(&mut self) {
        for role in ["processor", "storage", "alert"] {
            self.end(role);
        }
    }

    /// Prints what every worker said last.
    pub fn tell(&self) {
        for worker in &self.workers {
            let said = worker.process.output().all();
            let ready = http::get(worker.port, "/readyz").map(|answer| answer.body).unwrap_or_default();
            println!("--- {} ({})", worker.seat.name, ready.trim());
            let lines: Vec<&str> = said.lines().collect();
            lines[lines.len().saturating_sub(12)..].iter().for_each(|line| println!("    {line}"));
        }
    }

    /// Waits until `is_so`, with an eye on everybody. How long it took since `since`; a failure when it took too long.
    pub fn wait(
        &mut self,
        what: &str,
        since: Instant,
        within: Duration,
        mut is_so: impl FnMut(&Crew) -> bool,
    ) -> Option<Duration> {
        let waited = wait::until(what, within, || {
            self.look_after();
            is_so(self)
        });
        match waited {
            Ok(()) => Some(since.elapsed()),
            Err(error) => {
                println!("{error}");
                self.tell();
                self.failures.push(error.to_string());
                None
            }
        }
    }
}
