//! `tollgate loadtest`: what this gateway costs on this machine, beside a bare proxy and the provider alone.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::say;
use crate::loadtest::cores::{self, Layout};
use crate::loadtest::profile::{self, Profile, Wishes};
use crate::loadtest::run::{self, BASELINE, GATEWAY, Plan};
use crate::loadtest::schedule::Arrivals;
use crate::loadtest::subject::Origin;
use crate::loadtest::table;

const EXAMPLES: &str = "\
Examples:
  tollgate loadtest
      Starts a simulated provider, a bare proxy and Tollgate, sends the same load through
      each in turn, and tells what Tollgate adds. Takes three minutes.

  tollgate loadtest --quick --html report.html
  tollgate loadtest --profiles agent-1m,streams --streams 10000 --json today.json

Profiles: chat, flat-out, agent-20k, agent-200k, agent-1m, fleet, streams, failing, reload,
connect, frontier; or all.

Exit codes: 0 well, 1 a --check did not hold, 2 wrong usage, 3 could not be run.";

/// Measure what Tollgate costs on this machine
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES, after_help = "Use --help for examples.")]
pub struct Loadtest {
    /// Which loads, separated by commas; or all
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    profiles: Vec<String>,
    /// Two short rounds: half a minute, and only an impression
    #[arg(long)]
    quick: bool,
    /// How often each subject has its turn
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    rounds: Option<u16>,
    /// How long each turn is measured
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    duration: Option<Duration>,
    /// Requests a second, instead of the profiles' own
    #[arg(long, value_name = "N", value_parser = rate)]
    rate: Option<f64>,
    /// Connections, instead of the profiles' own
    #[arg(long, value_name = "N", value_parser = connections)]
    connections: Option<usize>,
    /// Streams open at one time in the profile streams
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = connections)]
    streams: usize,
    /// Agents' answers are streams of so many events, instead of JSON
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    answer_events: Option<u32>,
    /// Arrivals at random, as those of many people, instead of evenly
    #[arg(long)]
    poisson: bool,
    /// Of the schedule; the same seed sends the same
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Cores for whoever is measured, such as 0 or 0,2-3
    #[arg(long, value_name = "CORES", value_parser = core_list)]
    gateway_cores: Option<Cores>,
    /// Cores for the simulated provider
    #[arg(long, value_name = "CORES", value_parser = core_list)]
    provider_cores: Option<Cores>,
    /// Cores for the load
    #[arg(long, value_name = "CORES", value_parser = core_list)]
    load_cores: Option<Cores>,
    /// Bind nothing to cores
    #[arg(long, conflicts_with_all = ["gateway_cores", "provider_cores", "load_cores"])]
    no_pin: bool,
    /// Leave the configurations and logs where they are
    #[arg(long)]
    keep: bool,
    /// No progress
    #[arg(long)]
    no_progress: bool,
}

/// So that clap does not take it for an option that may be repeated.
#[derive(Debug, Clone)]
struct Cores(Vec<usize>);

/// Measures and tells.
#[must_use]
pub fn run(args: &Loadtest) -> ExitCode {
    const USAGE: u8 = 2;
    const NOT_RUN: u8 = 3;
    let plan = match args.plan() {
        Ok(plan) => plan,
        Err(why) => {
            eprintln!("error: {why}");
            return ExitCode::from(USAGE);
        }
    };
    raise_descriptor_limit();
    let stop = Arc::new(AtomicBool::new(false));
    stop_on_signals(&stop);
    match run::run(&plan, &stop) {
        Ok(report) => {
            say(&table::render(&report));
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("\nerror: {why}");
            ExitCode::from(NOT_RUN)
        }
    }
}

impl Loadtest {
    fn plan(&self) -> Result<Plan, String> {
        let (rounds, time) = if self.quick { (2, 1000) } else { (4, 2500) };
        let time = self.duration.unwrap_or(Duration::from_millis(time));
        Ok(Plan {
            profiles: self.wanted()?,
            subjects: vec![(BASELINE.to_owned(), Origin::Baseline(Vec::new())), (GATEWAY.to_owned(), Origin::Gateway)],
            layout: self.layout(),
            rounds: self.rounds.map_or(rounds, usize::from),
            time,
            warmup: time.mul_f64(0.2).min(Duration::from_millis(500)),
            seed: self.seed,
            provider: None,
            model: "simulated".to_owned(),
            keep: self.keep,
            quiet: self.no_progress,
        })
    }

    fn wanted(&self) -> Result<Vec<Profile>, String> {
        let wishes = Wishes {
            rate: self.rate,
            connections: self.connections,
            streams: self.streams,
            answer_events: self.answer_events,
            arrivals: if self.poisson { Arrivals::Poisson } else { Arrivals::Constant },
        };
        let names: Vec<&str> = match self.profiles.as_slice() {
            [] => profile::USUAL.to_vec(),
            [all] if all == "all" => profile::NAMES.to_vec(),
            some => some.iter().map(String::as_str).collect(),
        };
        let unknown = |name: &str| format!("--profiles: there is no {name:?}; there are {}", profile::NAMES.join(", "));
        names.into_iter().map(|name| profile::named(name, &wishes).ok_or_else(|| unknown(name))).collect()
    }

    fn layout(&self) -> Layout {
        if self.no_pin {
            return Layout::default();
        }
        let usual = Layout::usual(&cores::available());
        let or = |asked: &Option<Cores>, usual: Vec<usize>| asked.as_ref().map_or(usual, |cores| cores.0.clone());
        Layout {
            gateway: or(&self.gateway_cores, usual.gateway),
            provider: or(&self.provider_cores, usual.provider),
            load: or(&self.load_cores, usual.load),
        }
    }
}

/// Many connections need many descriptors, here and in the children.
fn raise_descriptor_limit() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // If it is refused, connections fail later and say so.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

/// The children and the folder go with the run, so the run must end by itself.
fn stop_on_signals(stop: &Arc<AtomicBool>) {
    let stop = Arc::clone(stop);
    std::thread::spawn(move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        runtime.block_on(async {
            let terminated = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate());
            let Ok(mut terminated) = terminated else { return };
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminated.recv() => {}
            }
            stop.store(true, Relaxed);
        });
    });
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: Option<f64> = text.parse().ok().filter(|seconds| (0.2..=3600.0).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| "seconds, from 0.2 to 3600".to_owned())
}

fn rate(text: &str) -> Result<f64, String> {
    let rate: Option<f64> = text.parse().ok().filter(|rate| (0.1..=1_000_000.0).contains(rate));
    rate.ok_or_else(|| "a number from 0.1 to 1000000".to_owned())
}

fn connections(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|count| (1..=60_000).contains(count)).ok_or_else(|| "a number from 1 to 60000".to_owned())
}

fn core_list(text: &str) -> Result<Cores, String> {
    let cores = cores::parse(text)?;
    let mine = cores::available();
    match cores.iter().find(|core| !mine.contains(core)) {
        Some(core) => Err(format!("core {core} is not there, or not ours to use")),
        None => Ok(Cores(cores)),
    }
}
