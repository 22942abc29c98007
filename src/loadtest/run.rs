//! A whole run: profile by profile, round by round, everybody in turn.
//!
//! Invariant: in every round every subject has the same load, by the same schedule; rounds alternate in order. A subject that dies
//! ends the run with what it said; wrong answers do not, they are counted.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::answer::Expected;
use super::cell::{Cell, measure};
use super::child::{Child, Workplace, free_address};
use super::connection::Connection;
use super::cores::{Layout, available};
use super::drive::{Load, Run};
use super::figures::{Reading, Rounds, figures};
use super::frontier;
use super::proc;
use super::profile::{Profile, Twist};
use super::progress::Progress;
use super::report::{FORM, Machine, Report, Section, Settings};
use super::subject::{Ground, Origin, Subject, change_rules};
use super::warning;
use crate::telemetry::clock;

/// The name of the provider alone.
pub const DIRECT: &str = "direct";
/// The name of the bare proxy.
pub const BASELINE: &str = "baseline";
/// The name of this program.
pub const GATEWAY: &str = "gateway";

/// What is to be done.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Which loads.
    pub profiles: Vec<Profile>,
    /// Who, by name, besides the provider alone.
    pub subjects: Vec<(String, Origin)>,
    /// Who runs where.
    pub layout: Layout,
    /// How often each has its turn.
    pub rounds: usize,
    /// How long each turn is measured.
    pub time: Duration,
    /// How long each turn warms up.
    pub warmup: Duration,
    /// Of the schedules.
    pub seed: u64,
    /// Where the simulated provider listens; none: anywhere.
    pub provider: Option<SocketAddr>,
    /// The model asked for.
    pub model: String,
    /// Whether URLs may lead to other providers than the simulated one.
    pub elsewhere: bool,
    /// Whether configurations and logs stay.
    pub keep: bool,
    /// Whether progress is shown.
    pub quiet: bool,
}

impl Plan {
    /// About how long it takes.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.profiles.iter().map(|profile| self.of_profile(profile)).sum()
    }

    fn of_profile(&self, profile: &Profile) -> Duration {
        let subjects = u32::try_from(self.subjects.len() + 1).unwrap_or(u32::MAX);
        if profile.twist == Twist::Frontier {
            return self.time.mul_f64(frontier::turns()) * subjects;
        }
        let rounds = u32::try_from(self.rounds).unwrap_or(u32::MAX);
        self.of_cell(profile) * subjects * rounds + AFTER + Duration::from_millis(500)
    }

    fn of_cell(&self, profile: &Profile) -> Duration {
        let (warmup, time) = profile.times(self.warmup, self.time);
        // What is under way at the end takes as long as the ramp, too.
        let last = if profile.twist.anew() { Duration::from_secs(1) } else { Duration::ZERO };
        warmup + time + profile.load.ramp() + last
    }
}

/// Does it.
///
/// # Errors
/// Something did not start or has died, or it was stopped.
pub fn run(plan: &Plan, stop: &AtomicBool) -> Result<Report, String> {
    let began = (Instant::now(), clock::since_epoch());
    let place = Workplace::new(plan.keep)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("cannot start: {error}"))?;
    let mut progress = Progress::new(plan.duration(), plan.quiet);
    let mut sections = Vec::new();
    let mut warnings = warning::before(plan);
    for profile in &plan.profiles {
        let test = Test { plan, profile, place: &place, runtime: &runtime, stop };
        let (section, found) = test.profile(&mut progress)?;
        sections.push(section);
        warnings.extend(found);
    }
    progress.end();
    let (processor, kernel) = proc::machine_names();
    Ok(Report {
        form: FORM,
        tollgate: env!("CARGO_PKG_VERSION").to_owned(),
        began: jiff::Timestamp::from_second(began.1.as_secs().cast_signed()).unwrap_or_default().to_string(),
        seconds: began.0.elapsed().as_secs_f64().round(),
        machine: Machine { processor, kernel, cores: available().len() },
        settings: Settings {
            gateway_cores: plan.layout.gateway.clone(),
            provider_cores: plan.layout.provider.clone(),
            load_cores: plan.layout.load.clone(),
            rounds: plan.rounds,
            measured_ms: u64::try_from(plan.time.as_millis()).unwrap_or(u64::MAX),
            seed: plan.seed,
        },
        sections,
        warnings,
    })
}

/// How long after its last load a subject's memory is looked at: time to give back, which many do by the clock.
const AFTER: Duration = Duration::from_secs(3);

/// One profile of a run.
pub struct Test<'a> {
    pub plan: &'a Plan,
    pub profile: &'a Profile,
    place: &'a Workplace,
    runtime: &'a tokio::runtime::Runtime,
    pub stop: &'a AtomicBool,
}

/// Everybody, running.
pub struct Stage {
    provider: Child,
    at: SocketAddr,
    pub provider_pids: Vec<u32>,
    pub subjects: Vec<Subject>,
}

impl Test<'_> {
    fn profile(&self, progress: &mut Progress) -> Result<(Section, Vec<String>), String> {
        progress.now(&format!("{}: starting", self.profile.name));
        let mut stage = self.start()?;
        let began = Instant::now();
        let mut all: Vec<Rounds> = stage
            .subjects
            .iter()
            .map(|subject| Rounds { name: subject.name.clone(), exact: subject.exact, ..Rounds::default() })
            .collect();
        // Idle is what it is when it has answered a first call and nothing happens.
        std::thread::sleep(Duration::from_millis(300));
        for (rounds, subject) in all.iter_mut().zip(&stage.subjects) {
            rounds.idle = proc::resident(&subject.pids);
        }
        let steps = if self.profile.twist == Twist::Frontier {
            frontier::climb(self, &mut stage, progress)?
        } else {
            self.rounds(&mut stage, &mut all, progress)?;
            Vec::new()
        };
        if !self.profile.twist.anew() {
            std::thread::sleep(AFTER);
            for (rounds, subject) in all.iter_mut().zip(&stage.subjects) {
                rounds.after = proc::resident(&subject.pids);
            }
        }
        let reading = Reading {
            seconds: self.plan.time.as_secs_f64(),
            queue: matches!(self.profile.load, Load::Held(_)),
            held: matches!(self.profile.twist, Twist::Memory | Twist::Crowd).then_some(self.profile.connections),
            once: matches!(self.profile.load, Load::Once(_)),
            uploads: self.profile.twist == Twist::Uploads,
            began,
            load_cores: self.plan.layout.load.len(),
            provider_cores: self.plan.layout.provider.len(),
        };
        let mut told = figures(&all, DIRECT, BASELINE, &reading);
        frontier::tell(&mut told, steps);
        let section = Section {
            profile: self.profile.name.to_owned(),
            about: self.profile.about.clone(),
            load: self.profile.told(),
            failing: self.profile.twist == Twist::Failing,
            subjects: told,
        };
        let warnings = warning::after(&section, &all, &self.plan.layout);
        Ok((section, warnings))
    }

    fn rounds(&self, stage: &mut Stage, all: &mut [Rounds], progress: &mut Progress) -> Result<(), String> {
        let count = stage.subjects.len();
        for round in 0..self.plan.rounds {
            let mut order: Vec<usize> = (0..count).collect();
            if round % 2 == 1 {
                order.reverse();
            }
            for index in order {
                let Some(rounds) = all.get_mut(index) else { continue };
                let told =
                    format!("{}: {}, round {} of {}", self.profile.name, rounds.name, round + 1, self.plan.rounds);
                progress.now(&told);
                if self.profile.twist.anew() && (round > 0 || index > 0) {
                    self.again(stage, index)?;
                }
                rounds.cells.push(self.cell(stage, index, self.profile.load, self.plan.time, round as u64)?);
                if self.profile.twist.anew() && round + 1 == self.plan.rounds {
                    // Before it makes room for the next one.
                    std::thread::sleep(AFTER);
                    rounds.after = stage.subjects.get(index).and_then(|subject| proc::resident(&subject.pids));
                }
                progress.did(self.plan.of_cell(self.profile));
            }
        }
        Ok(())
    }

    /// One subject's turn.
    pub fn cell(
        &self,
        stage: &mut Stage,
        index: usize,
        load: Load,
        time: Duration,
        round: u64,
    ) -> Result<Cell, String> {
        if self.stop.load(Relaxed) {
            return Err("stopped".to_owned());
        }
        let Stage { subjects, provider_pids, at, .. } = &*stage;
        let Some(subject) = subjects.get(index) else { return Err("nobody to measure".to_owned()) };
        let (warmup, time) = if load == self.profile.load {
            self.profile.times(self.plan.warmup, time)
        } else {
            (self.plan.warmup, time)
        };
        let run = Run {
            to: subject.to,
            sent: &subject.sent,
            connections: self.profile.connections,
            load,
            fresh: self.profile.twist == Twist::Connect,
            warmup,
            time,
            // A stream that has just begun takes as long as the ramp.
            grace: Duration::from_secs(5) + load.ramp(),
            // Another one each round, the same for all who are in it.
            seed: self.plan.seed.wrapping_add(round.wrapping_mul(1_000_003)),
            cores: &self.plan.layout.load,
            stop: self.stop,
        };
        let ours = self.plan.subjects.iter().any(|(name, origin)| *name == subject.name && *origin == Origin::Gateway);
        let change = |times: u64| {
            // A reload that is refused shows as nothing changing; it is the answers that are looked at here.
            let _ = change_rules(subject, &self.ground(*at, provider_pids), times);
            Duration::from_millis(250)
        };
        let meanwhile: Option<&(dyn Fn(u64) -> Duration + Sync)> =
            if ours && self.profile.twist == Twist::Reload { Some(&change) } else { None };
        let cell = measure(&run, &subject.pids, provider_pids, meanwhile)?;
        stage.provider.lives()?;
        if let Some(subject) = stage.subjects.get_mut(index) {
            subject.lives()?;
        }
        Ok(cell)
    }

    fn ground<'g>(&'g self, provider: SocketAddr, provider_pids: &'g [u32]) -> Ground<'g> {
        Ground { provider, provider_pids, cores: &self.plan.layout.gateway, place: self.place, model: &self.plan.model }
    }

    fn start(&self) -> Result<Stage, String> {
        let (provider, at) = self.provider()?;
        let provider_pids = vec![provider.pid()];
        let mut stage = Stage { provider, at, provider_pids, subjects: Vec::new() };
        let direct = (DIRECT.to_owned(), Origin::Direct);
        let mut known = None;
        self.hurry(at, true)?;
        for (name, origin) in [direct].iter().chain(&self.plan.subjects) {
            let mut subject = Subject::start(name, origin, &self.ground(at, &stage.provider_pids))?;
            let before = self.asked(at);
            let expected = self.prepare(&mut subject, known.as_deref())?;
            if matches!(origin, Origin::Url(_)) && !self.plan.elsewhere && self.asked(at) <= before {
                return Err(format!(
                    "{name} does not lead to the simulated provider at {at} (see --provider): its calls go to somebody who may \
                     want money for them; --elsewhere allows it"
                ));
            }
            known = known.or(Some(expected));
            stage.subjects.push(subject);
        }
        self.hurry(at, false)?;
        Ok(stage)
    }

    /// The simulated provider, as this profile wants it.
    fn provider(&self) -> Result<(Child, SocketAddr), String> {
        let at = self.plan.provider.map_or_else(free_address, Ok)?;
        let mut arguments: Vec<String> =
            ["mock", "--skim", "--model", "simulated", "--listen"].iter().map(|word| (*word).to_owned()).collect();
        arguments.push(at.to_string());
        arguments.extend(["--workers".to_owned(), self.plan.layout.provider.len().clamp(1, 64).to_string()]);
        arguments.extend(self.profile.provider.iter().cloned());
        let mut provider = Child::start("provider", &arguments, &[], &self.plan.layout.provider, self.place)?;
        provider.listens(at)?;
        Ok((provider, at))
    }

    fn prepare(&self, subject: &mut Subject, known: Option<&[Expected]>) -> Result<Vec<Expected>, String> {
        subject.prepare(&self.profile.kinds, known, self.profile.twist == Twist::Connect, self.runtime)
    }

    /// Whether the provider leaves all waiting out: to learn what it answers, nobody needs to wait for it.
    fn hurry(&self, provider: SocketAddr, hurry: bool) -> Result<(), String> {
        let request = format!(
            "POST /__hurry HTTP/1.1\r\nhost: provider\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{hurry}",
            hurry.to_string().len()
        );
        match self.runtime.block_on(Connection::new(provider, true).ask(request.as_bytes())) {
            Ok((200, _)) => Ok(()),
            Ok((status, _)) => Err(format!("the simulated provider: status {status}")),
            Err(fault) => Err(format!("the simulated provider: {fault}")),
        }
    }

    /// How many requests the simulated provider has had.
    fn asked(&self, provider: SocketAddr) -> u64 {
        let request = b"GET /__stats HTTP/1.1\r\nhost: provider\r\nconnection: close\r\n\r\n";
        let answer = self.runtime.block_on(Connection::new(provider, true).ask(request));
        let counts = answer.ok().and_then(|(_, body)| serde_json::from_slice::<serde_json::Value>(&body).ok());
        counts.and_then(|counts| counts.get("requests")?.as_u64()).unwrap_or_default()
    }

    /// The same subject as a new process. One that is not ours stays as it is.
    ///
    /// The provider is a new one, too, where nobody was told its address: else the ports of ten thousand connections that the one
    /// before has just closed would be missing, or looked for at great length by the kernel, on account of the next.
    fn again(&self, stage: &mut Stage, index: usize) -> Result<(), String> {
        if self.plan.provider.is_none() {
            (stage.provider, stage.at) = self.provider()?;
            stage.provider_pids = vec![stage.provider.pid()];
        }
        let Some(old) = stage.subjects.get_mut(index) else { return Ok(()) };
        let direct = (DIRECT.to_owned(), Origin::Direct);
        let mut all = self.plan.subjects.iter().chain([&direct]);
        let Some((name, origin)) = all.find(|(name, _)| *name == old.name) else { return Ok(()) };
        if matches!(origin, Origin::Url(_)) {
            return Ok(());
        }
        let known: Vec<_> = old.sent.iter().map(|sent| sent.expected.clone()).collect();
        let mut new = Subject::start(name, origin, &self.ground(stage.at, &stage.provider_pids))?;
        self.hurry(stage.at, true)?;
        self.prepare(&mut new, Some(&known))?;
        self.hurry(stage.at, false)?;
        *old = new;
        Ok(())
    }
}
