//! Processors that join and leave every few seconds.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use pricemonitor_testkit::rng::Rng;

use crate::crew::Seat;
use crate::ground::Ground;
use crate::ledger::Ledger;

/// How long one may take to end on a busy machine.
const END: Duration = Duration::from_secs(15);

/// What came of a visit.
enum Visit {
    Left,
    Failed(String),
}

/// A thread with the visitors.
pub struct Churn {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<Vec<Visit>>>,
}

impl Churn {
    /// Begins.
    pub fn start(ground: &Ground, mut rng: Rng) -> Churn {
        let seats = [7, 8].map(|number| Seat::new(ground, "processor", number, &["market", "spot"]));
        let over = Arc::new(AtomicBool::new(false));
        let seen = over.clone();
        let thread = std::thread::spawn(move || {
            let mut visits = Vec::new();
            while !seen.load(Ordering::SeqCst) {
                let seat = &seats[visits.len() % seats.len()];
                let visitor = seat.start();
                pause(&seen, rng.millis(3000, 7000));
                visits.push(match visitor.process.terminate(END) {
                    Ok(finished) if finished.output.all().contains("panicked") => {
                        Visit::Failed(finished.output.all())
                    }
                    Ok(finished) if finished.code() == Some(0) => Visit::Left,
                    Ok(finished) => {
                        Visit::Failed(format!("ended with {:?}: {}", finished.code(), finished.output.all()))
                    }
                    Err(error) => Visit::Failed(format!("{error:#}")),
                });
                pause(&seen, rng.millis(2000, 5000));
            }
            visits
        });
        Churn { over, thread: Some(thread) }
    }

    /// Ends, and writes down what came of it.
    pub fn end(mut self, ledger: &mut Ledger) {
        self.over.store(true, Ordering::SeqCst);
        for visit in self.thread.take().unwrap().join().unwrap() {
            ledger.fault("a processor joins and leaves");
            match visit {
                Visit::Left => {}
                Visit::Failed(why) => ledger.failures.push(format!("a visitor: {why}")),
            }
        }
    }
}

impl Drop for Churn {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn pause(over: &AtomicBool, time: Duration) {
    let end = Instant::now() + time;
    while !over.load(Ordering::SeqCst) && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(50));
    }
}
