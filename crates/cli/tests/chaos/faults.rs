//! The faults, drawn from a seed.

use std::time::{Duration, Instant};

use pricemonitor_testkit::rng::Rng;

use crate::crew::Crew;
use crate::ground::Ground;
use crate::ledger::Ledger;

/// Every kind beside those of the network.
pub const KINDS: &[&str] = &[
    "kill -9",
    "paused beyond the session",
    "paused and replaced",
    "broker killed",
    "database killed",
    "webhook: connections refused",
    "a processor joins and leaves",
];
const ROLES: [&str; 4] = ["producer", "processor", "storage", "alert"];
/// Beyond the session time-out of 6 s.
const BEYOND: Duration = Duration::from_millis(7500);
/// Longest wait for work to go on. The promise is seconds; a busy machine gets more.
const GOES_ON: Duration = Duration::from_secs(90);
/// For so long one that was paused beyond its session, or that had a rival of its name, may find its place taken.
const CONTESTED: Duration = Duration::from_secs(30);
/// Longest wait for a killed worker's own next result; it may be that others do all the work by then.
const OWN: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, Debug)]
enum Fault {
    Kill(&'static str),
    Pause,
    Replace,
    Broker,
    Database,
    Latency,
    Cut,
    HalfOpen,
    Refuse,
    Unhook,
}

/// Whoever does it.
pub struct Faults {
    rng: Rng,
    /// Kills of workers in a round, of each role at least one.
    kills: usize,
}

impl Faults {
    /// With so many kills in all, a long run has several rounds of more kills each.
    pub fn new(rng: Rng, kills: usize) -> Faults {
        Faults { rng, kills: (kills / 4).clamp(6, 24) }
    }

    /// Every fault once, the kills several times, in an order of its own.
    pub fn round(&mut self, ground: &mut Ground, crew: &mut Crew, ledger: &mut Ledger) {
        use Fault::{Broker, Cut, Database, HalfOpen, Kill, Latency, Pause, Refuse, Replace, Unhook};
        let mut plan = ROLES.map(Kill).to_vec();
        while plan.len() < self.kills {
            plan.push(Kill(ROLES[self.rng.between(0, 4) as usize]));
        }
        plan.extend([Pause, Replace, Broker, Database, Latency, Cut, HalfOpen]);
        plan.extend([Refuse, Unhook]);
        for at in (1..plan.len()).rev() {
            plan.swap(at, self.rng.between(0, at as u64 + 1) as usize);
        }
        for fault in plan {
            std::thread::sleep(self.rng.millis(200, 1500));
            crew.look_after();
            println!("{fault:?}");
            self.one(fault, ground, crew, ledger);
            if !crew.failures.is_empty() || !ledger.failures.is_empty() {
                return;
            }
        }
    }

    fn one(&mut self, fault: Fault, ground: &mut Ground, crew: &mut Crew, ledger: &mut Ledger) {
        match fault {
            Fault::Kill(role) => self.kill(role, crew, ledger),
            Fault::Pause => self.pause(crew, ledger),
            Fault::Replace => self.replace(crew, ledger),
            Fault::Broker => {
                ledger.fault("broker killed");
                let began = Instant::now();
                ground.kafka.kill().unwrap();
                std::thread::sleep(self.rng.millis(300, 2500));
                let marks = crew.marks();
                ground.kafka.restart().unwrap();
                goes_on("after the broker's kill", &ROLES, &marks, began, crew, ledger);
            }
            Fault::Database => {
                ledger.fault("database killed");
                let began = Instant::now();
                ground.postgres.kill().unwrap();
                std::thread::sleep(self.rng.millis(300, 2500));
                let marks = crew.marks();
                ground.postgres.restart().unwrap();
                goes_on("after the database's kill", &["storage", "alert"], &marks, began, crew, ledger);
            }
            Fault::Latency => {
                ledger.fault("network: latency");
                let latency = self.rng.millis(20, 300);
                ground.kafka.proxy().unwrap().delay(latency);
                ground.to_postgres.delay(latency);
                std::thread::sleep(Duration::from_secs(5));
                mend(ground, crew, ledger);
            }
            Fault::Cut => {
                ledger.fault("network: cut");
                for _ in 0..4 {
                    ground.kafka.proxy().unwrap().cut();
                    ground.to_postgres.cut();
                    std::thread::sleep(self.rng.millis(50, 800));
                }
                mend(ground, crew, ledger);
            }
            Fault::HalfOpen => {
                ledger.fault("network: half-open");
                ground.kafka.proxy().unwrap().swallow();
                ground.to_postgres.swallow();
                std::thread::sleep(self.rng.millis(7000, 10_000));
                mend(ground, crew, ledger);
            }
            Fault::Refuse => {
                ledger.fault("network: refused");
                ground.kafka.proxy().unwrap().refuse().unwrap();
                ground.to_postgres.refuse().unwrap();
                ground.kafka.proxy().unwrap().cut();
                ground.to_postgres.cut();
                std::thread::sleep(self.rng.millis(1000, 4000));
                mend(ground, crew, ledger);
            }
            Fault::Unhook => self.unhook(ground, crew, ledger),
        }
    }

    /// The webhook's receiver takes no connection, until some message has found that out.
    fn unhook(&mut self, ground: &Ground, crew: &mut Crew, ledger: &mut Ledger) {
        ledger.fault("webhook: connections refused");
        ground.to_hook.refuse().unwrap();
        let refused =
            "SELECT count(*) FROM alert_deliveries WHERE state = 'pending' AND reason LIKE 'cannot connect%'";
        crew.wait("a message without a connection", Instant::now(), GOES_ON, |_| ground.number(refused) > 0);
        std::thread::sleep(self.rng.millis(300, 2000));
        let (began, before) = (Instant::now(), ground.hook.received().len());
        ground.to_hook.resume().unwrap();
        let arrives = |_: &Crew| ground.hook.received().len() > before;
        if let Some(took) = crew.wait("messages to arrive again", began, GOES_ON, arrives) {
            ledger.recovered("after the webhook is back", took);
        }
    }

    fn any(&mut self, of: &[usize]) -> usize {
        of[self.rng.between(0, of.len() as u64) as usize]
    }

    fn kill(&mut self, role: &str, crew: &mut Crew, ledger: &mut Ledger) {
        ledger.fault("kill -9");
        let at = self.any(&crew.of(role));
        let seat = crew.workers[at].seat.clone();
        let (after_kill, own): (&'static str, &'static str) = match seat.role {
            "producer" => ("producer killed: the role", "producer killed: its own"),
            "processor" => ("processor killed: the role", "processor killed: its own"),
            "storage" => ("storage killed: the role", "storage killed: its own"),
            _ => ("alert killed: the role", "alert killed: its own"),
        };
        let marks = crew.marks();
        if role == "alert" {
            ledger.fault("of these alert workers");
        }
        let began = Instant::now();
        let finished = crew.workers.remove(at).process.kill9().unwrap();
        crew.workers.insert(at, seat.start());
        crew.judge(&seat, &finished, None);
        goes_on(after_kill, &[seat.role], &marks, began, crew, ledger);
        while began.elapsed() < OWN {
            if crew.workers[at].done() > 0.0 {
                ledger.recovered(own, began.elapsed());
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        ledger.notes.push(format!("{} had nothing to do for {OWN:?} after its restart", seat.name));
    }

    /// Nobody takes the place of the one that sleeps, but its partitions have other owners when it wakes.
    fn pause(&mut self, crew: &mut Crew, ledger: &mut Ledger) {
        ledger.fault("paused beyond the session");
        let all: Vec<usize> = (0..crew.workers.len()).collect();
        let at = self.any(&all);
        let role = crew.workers[at].seat.role;
        println!("  {}", crew.workers[at].seat.name);
        crew.workers[at].process.pause().unwrap();
        crew.workers[at].paused = true;
        std::thread::sleep(BEYOND);
        let (began, marks) = (Instant::now(), crew.marks());
        crew.workers[at].process.resume().unwrap();
        crew.workers[at].paused = false;
        crew.workers[at].contested = Some(Instant::now() + CONTESTED);
        goes_on("after a pause", &[role], &marks, began, crew, ledger);
    }

    /// The one that sleeps finds its very name taken when it wakes. Of the two, one must end, and it should be this one.
    /// The protocol lets it take the name back, should it join anew before it hears; its stand-in ends then, is started
    /// again as by any orchestrator, and finds nobody asleep this time.
    fn replace(&mut self, crew: &mut Crew, ledger: &mut Ledger) {
        ledger.fault("paused and replaced");
        // The CSV file is on one machine: nobody may write it beside its owner.
        let not_csv = |at: &usize| !crew.workers[*at].seat.name.starts_with("storage-spot");
        let all: Vec<usize> = (0..crew.workers.len()).filter(not_csv).collect();
        let at = self.any(&all);
        let seat = crew.workers[at].seat.clone();
        println!("  {}", seat.name);
        crew.workers[at].process.pause().unwrap();
        crew.workers[at].paused = true;
        std::thread::sleep(BEYOND);
        let (began, marks) = (Instant::now(), crew.marks());
        let mut zombie = std::mem::replace(&mut crew.workers[at], seat.start());
        goes_on("after a pause", &[seat.role], &marks, began, crew, ledger);
        crew.wait("the stand-in to work", began, GOES_ON, |crew| crew.workers[at].done() > 0.0);
        zombie.process.resume().unwrap();
        let began = Instant::now();
        crew.workers[at].contested = Some(began + GOES_ON);
        while !zombie.process.has_ended() && began.elapsed() < GOES_ON {
            crew.look_after();
            std::thread::sleep(Duration::from_millis(20));
        }
        crew.workers[at].contested = Some(Instant::now() + CONTESTED);
        match zombie.process.wait(Duration::from_secs(1)) {
            Ok(finished) => crew.judge(&seat, &finished, Some(3)),
            Err(error) => {
                crew.failures.push(format!("{}, whose name is taken, lives on: {error:#}", seat.name))
            }
        }
    }
}

/// Waits until all `roles` get on, and writes down how long that took since `began`.
fn goes_on(
    after: &'static str,
    roles: &[&'static str],
    marks: &[(u32, f64)],
    began: Instant,
    crew: &mut Crew,
    ledger: &mut Ledger,
) {
    let all = |crew: &Crew| roles.iter().all(|role| crew.got_further(role, marks));
    if let Some(took) = crew.wait(&format!("{roles:?} to go on {after}"), began, GOES_ON, all) {
        ledger.recovered(after, took);
    }
}

/// Makes the network good again and waits for those behind it.
fn mend(ground: &Ground, crew: &mut Crew, ledger: &mut Ledger) {
    let (began, marks, length) = (Instant::now(), crew.marks(), ground.csv_length());
    ground.kafka.proxy().unwrap().resume().unwrap();
    ground.to_postgres.resume().unwrap();
    goes_on("after the network is back", &ROLES, &marks, began, crew, ledger);
    // Every role has one whose network was good all the time; the CSV file has nobody else.
    let grows = |_: &Crew| ground.csv_length() > length;
    if let Some(took) = crew.wait("the CSV file to grow on", began, GOES_ON, grows) {
        ledger.recovered("after the network is back: CSV file", took);
    }
}
