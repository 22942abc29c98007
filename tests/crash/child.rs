//! The process that is killed: cores that write calls down, and say what they have promised only once it is.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::dice::Dice;
use tollgate::agent::Agent;
use tollgate::journal::{CoreJournal, Journal, Settings};
use tollgate::ledger::name::Name;
use tollgate::ledger::record::{End, Final, Flags, Intent, Progress, Said};
use tollgate::money::Pico;
use tollgate::protocol::Dialect;
use tollgate::protocol::usage::Usage;
use tollgate::store::{self, Store};

pub const FOLDER: &str = "TOLLGATE_CRASH_FOLDER";
pub const MODE: &str = "TOLLGATE_CRASH_MODE";
pub const SEED: &str = "TOLLGATE_CRASH_CHILD_SEED";

const CORES: usize = 2;
/// Files as small as this follow one another quickly, so that kills meet every border.
const SEGMENT: u64 = 64 * 1024;

#[test]
#[ignore = "the process that the other tests start and kill"]
fn works_until_it_is_killed() {
    let folder = std::env::var(FOLDER).unwrap();
    let seed: u64 = std::env::var(SEED).unwrap().parse().unwrap();
    let settings = Settings { segment: SEGMENT, ..Settings::new(Path::new(&folder).join("journal")) };
    let journal = Arc::new(Journal::start(settings, CORES).unwrap());
    let _store = (std::env::var(MODE).as_deref() == Ok("store")).then(|| store(Path::new(&folder), &journal));
    std::thread::scope(|scope| {
        for index in 0..CORES {
            let core = Core {
                journal: journal.for_core(index).unwrap(),
                dice: Dice(seed ^ (index as u64) << 32),
                open: Vec::new(),
            };
            scope.spawn(|| core.work());
        }
    });
}

/// The store of a folder, which takes over at once what dead processes have left there.
pub fn store(folder: &Path, journal: &Arc<Journal>) -> Store {
    let retention = Duration::from_secs(100 * 365 * 86_400);
    Store::start(store::Settings { path: folder.join("usage.db"), retention }, journal).unwrap()
}

struct Core {
    journal: CoreJournal,
    dice: Dice,
    /// Calls under way.
    open: Vec<u64>,
}

impl Core {
    fn work(mut self) {
        loop {
            match self.dice.below(10) {
                0..5 => self.begin(),
                5 => self.progress(),
                6 => self.change_ones_mind(),
                _ => self.end(),
            }
            if self.open.len() > 64 {
                self.end();
            }
        }
    }

    /// Several in one write, as of one tick.
    fn begin(&mut self) {
        let calls: Vec<u64> = (0..=self.dice.below(3)).map(|_| self.dice.roll()).collect();
        for call in &calls {
            self.journal.intent(&intent(*call)).unwrap();
        }
        self.journal.flush().unwrap();
        for call in calls {
            say(&format!("I {call}\n"));
            self.open.push(call);
        }
    }

    fn progress(&mut self) {
        if let Some(call) = self.open.last() {
            self.journal.progress(*call, &Progress { cost: Pico::new(7), input: 1, output: 2 });
        }
    }

    fn change_ones_mind(&mut self) {
        let call = self.dice.roll();
        self.journal.intent(&intent(call)).unwrap();
        self.journal.void(call);
        self.journal.flush().unwrap();
    }

    fn end(&mut self) {
        if self.open.is_empty() {
            return;
        }
        let at = usize::try_from(self.dice.below(self.open.len() as u64)).unwrap();
        let call = self.open.swap_remove(at);
        let cost = self.dice.below(1_000_000_000_000);
        self.journal.finish(&ended(call, cost));
        self.journal.flush().unwrap();
        say(&format!("F {call} {cost}\n"));
    }
}

/// In one write, which a pipe takes whole.
fn say(line: &str) {
    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
}

fn intent(call: u64) -> Intent<'static> {
    Intent {
        call,
        at: 1_764_000_000_000,
        key: Name::of("key"),
        owner: Name::of("owner"),
        team: Name::of("team"),
        organisation: Name::of("organisation"),
        agent: Said::Here(Agent::ClaudeCode),
        dialect: Said::Here(Dialect::Anthropic),
        session: "5b1c9a3e-0d8f-4a57-9f0c-2d5a3e7b9c11",
        user: "somebody",
        asked: "large",
        hold: Pico::DOLLAR,
        known: Pico::new(1),
    }
}

fn ended(call: u64, cost: u64) -> Final<'static> {
    Final {
        intent: intent(call),
        provider: Name::of("provider"),
        credential: Name::of("credential"),
        prices: Name::of("2026-11-24"),
        served: "large-20260901",
        usage: Usage { input: 1200, output: 345, ..Usage::default() },
        cost: Pico::new(cost),
        status: 200,
        end: End::Complete,
        attempts: 1,
        latency: 2500,
        first: Some(400),
        flags: Flags::default(),
    }
}
