//! `tollgate loadtest`: what this gateway costs on this machine, beside a bare proxy and the provider alone.

use std::fs::OpenOptions;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use super::say;
use crate::loadtest::check::Check;
use crate::loadtest::cores::{self, Layout};
use crate::loadtest::profile::{self, Profile, Wishes};
use crate::loadtest::report::Report;
use crate::loadtest::run::{self, BASELINE, DIRECT, GATEWAY, Plan};
use crate::loadtest::schedule::Arrivals;
use crate::loadtest::subject::Origin;
use crate::loadtest::{compare, page, room, table, url};

const EXAMPLES: &str = "\
Examples:
  tollgate loadtest --html report.html
      Starts a simulated provider, a bare proxy and Tollgate, sends the same load through each in
      turn, and tells what Tollgate adds. Takes three minutes, and needs no key and no provider.

  tollgate loadtest --quick
      Half a minute, and only an impression.

  tollgate loadtest --profiles chat,agent-200k --json today.json \\
      --check 'p99_added<2ms' --check 'cpu_ratio<1.5' --check 'faults<=0'
      For a pipeline: exit code 1 if a threshold is broken.

  tollgate loadtest --compare yesterday.json today.json

  tollgate loadtest --provider 127.0.0.1:9001 --gateway http://127.0.0.1:8080 --key \"$KEY\" \\
      --url nginx=http://127.0.0.1:8090
      Gateways that run already, whose provider must be the simulated one at --provider.

Profiles: chat (small calls at a steady rate), flat-out (as many as go through), agent-20k, agent-200k,
agent-1m (turns of that size), fleet (four agents side by side), streams (many open ones), crowd (10,000
open ones, of which one in five speaks), uploads (1,500 requests of 150 KB under way at one time), failing
(a provider that fails), reload (rules that change), connect (a connection for each call), frontier (a rising
rate); or all. By default: chat, flat-out, agent-200k, fleet, streams, frontier.

Checks: [PROFILE:]FIGURE[@SUBJECT] < LIMIT. The figures: p50, p90, p99, p99.9 and max of the latency, or
with gap_ or first_byte_ before them; with _added after them, less that of the provider alone; cpu,
cpu_event, cpu_ratio, rate, faults, memory_idle, memory_peak, memory_after, memory_kept (afterwards, over
idle), in_flight, per_stream, rate_1ms, rate_5ms, rate_10ms, rate_50ms. Units: us, ms, s, KiB, MiB. Without a profile, every one that has the figure.

Exit codes: 0 well, 1 a check did not hold, 2 wrong usage, 3 could not be run.";

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
    /// Streams open at one time in the profiles streams and crowd, instead of 1,000 and 10,000
    #[arg(long, value_name = "N", value_parser = connections)]
    streams: Option<usize>,
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
    /// Measure without the bare proxy
    #[arg(long)]
    no_baseline: bool,
    /// A gateway that runs already, instead of one of our own
    #[arg(long, value_name = "URL")]
    gateway: Option<String>,
    /// Somebody else to measure beside it; may be repeated
    #[arg(long = "url", value_name = "NAME=URL")]
    urls: Vec<String>,
    /// The key for --gateway and --url; default: $TOLLGATE_KEY
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// A header for --gateway and --url; may be repeated
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = header)]
    headers: Vec<String>,
    /// Where the simulated provider listens, so that gateways that run already can lead there
    #[arg(long, value_name = "ADDRESS:PORT")]
    provider: Option<SocketAddr>,
    /// The model that is asked for
    #[arg(long, value_name = "NAME", default_value = "simulated")]
    model: String,
    /// The URLs may be of other machines
    #[arg(long)]
    remote: bool,
    /// The URLs may lead to other providers than the simulated one, which may cost money
    #[arg(long)]
    elsewhere: bool,
    /// Write everything that was found
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write a page with charts
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// A threshold, such as p99_added<2ms; may be repeated
    #[arg(long = "check", value_name = "THRESHOLD")]
    checks: Vec<Check>,
    /// Measure nothing: tell what differs between two files of --json
    #[arg(long, value_names = ["A.json", "B.json"], num_args = 2,
        conflicts_with_all = ["checks", "json", "html", "profiles", "urls", "gateway"])]
    compare: Vec<PathBuf>,
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

/// A check did not hold.
const BROKEN: u8 = 1;
const USAGE: u8 = 2;
const NOT_RUN: u8 = 3;

/// Measures and tells.
#[must_use]
pub fn run(args: &Loadtest) -> ExitCode {
    let done = if let [before, after] = args.compare.as_slice() { compare(before, after) } else { measure(args) };
    match done {
        Ok(code) => code,
        Err((code, why)) => {
            eprintln!("error: {why}");
            ExitCode::from(code)
        }
    }
}

fn compare(before: &Path, after: &Path) -> Result<ExitCode, (u8, String)> {
    let read = |path: &Path| {
        let text = std::fs::read_to_string(path).map_err(|error| error.to_string());
        text.and_then(|text| Report::read(&text)).map_err(|why| (USAGE, format!("--compare {}: {why}", path.display())))
    };
    say(&compare::render(&read(before)?, &read(after)?).map_err(|why| (USAGE, format!("--compare: {why}")))?);
    Ok(ExitCode::SUCCESS)
}

fn measure(args: &Loadtest) -> Result<ExitCode, (u8, String)> {
    let plan = args.plan().map_err(|why| (USAGE, why))?;
    for path in [&args.json, &args.html].into_iter().flatten() {
        // Better now than in three minutes.
        let writable = OpenOptions::new().append(true).create(true).open(path);
        writable.map_err(|error| (USAGE, format!("{}: {error}", path.display())))?;
    }
    let connections = plan.profiles.iter().map(|profile| profile.connections).max().unwrap_or_default();
    room::make(connections).map_err(|why| (NOT_RUN, why))?;
    let stop = Arc::new(AtomicBool::new(false));
    stop_on_signals(&stop);
    let report = run::run(&plan, &stop).map_err(|why| (NOT_RUN, why))?;
    say(&table::render(&report));
    let write = |path: &Path, text: String| {
        std::fs::write(path, text).map_err(|error| (NOT_RUN, format!("{}: {error}", path.display())))
    };
    if let Some(path) = &args.json {
        write(path, report.write().map_err(|why| (NOT_RUN, why))?)?;
    }
    if let Some(path) = &args.html {
        write(path, page::render(&report))?;
    }
    let verdicts: Vec<_> = args.checks.iter().map(|check| check.judge(&report)).collect();
    for verdict in &verdicts {
        say(&format!("{} {}", if verdict.held { "ok    " } else { "FAILED" }, verdict.told));
    }
    Ok(if verdicts.iter().all(|verdict| verdict.held) { ExitCode::SUCCESS } else { ExitCode::from(BROKEN) })
}

impl Loadtest {
    fn plan(&self) -> Result<Plan, String> {
        let (rounds, time) = if self.quick { (2, 1000) } else { (4, 2500) };
        let time = self.duration.unwrap_or(Duration::from_millis(time));
        let (profiles, subjects) = (self.wanted(time)?, self.subjects()?);
        let of_profiles: Vec<_> = profiles.iter().map(|profile| profile.name).collect();
        let of_subjects: Vec<_> = [DIRECT].into_iter().chain(subjects.iter().map(|(name, _)| name.as_str())).collect();
        self.checks.iter().try_for_each(|check| check.fits(&of_profiles, &of_subjects))?;
        Ok(Plan {
            profiles,
            subjects,
            layout: self.layout(),
            rounds: self.rounds.map_or(rounds, usize::from),
            time,
            warmup: time.mul_f64(0.2).min(Duration::from_millis(500)),
            seed: self.seed,
            provider: self.provider,
            model: self.model.clone(),
            elsewhere: self.elsewhere,
            keep: self.keep,
            quiet: self.no_progress,
        })
    }

    fn subjects(&self) -> Result<Vec<(String, Origin)>, String> {
        let key = self.key.clone().or_else(|| std::env::var("TOLLGATE_KEY").ok());
        let url = |flag: &str, text: &str| {
            let url = url::parse(text, key.clone(), self.headers.clone(), self.remote);
            url.map(Origin::Url).map_err(|why| format!("{flag}: {why}"))
        };
        let mut all = Vec::new();
        if !self.no_baseline {
            all.push((BASELINE.to_owned(), Origin::Baseline));
        }
        let own = self.gateway.as_ref().map_or(Ok(Origin::Gateway), |text| url("--gateway", text))?;
        all.push((GATEWAY.to_owned(), own));
        for text in &self.urls {
            let (name, at) = text.split_once('=').ok_or_else(|| format!("--url {text}: it takes NAME=URL"))?;
            if name == DIRECT || all.iter().any(|(other, _)| other == name) {
                return Err(format!("--url {text}: there is a {name} already"));
            }
            all.push((name.to_owned(), url("--url", at)?));
        }
        Ok(all)
    }

    fn wanted(&self, time: Duration) -> Result<Vec<Profile>, String> {
        let wishes = Wishes {
            rate: self.rate,
            connections: self.connections,
            streams: self.streams,
            room: room::most(profile::CROWD),
            time,
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

fn header(text: &str) -> Result<String, String> {
    let (name, value) = text.split_once(':').ok_or("it takes NAME: VALUE")?;
    let name: Result<http::HeaderName, _> = name.trim().parse();
    let value = http::HeaderValue::from_str(value.trim());
    match (name, value) {
        (Ok(name), Ok(value)) => Ok(format!("{name}: {}", value.to_str().unwrap_or_default())),
        _ => Err("it takes NAME: VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::{Args, FromArgMatches};

    use super::*;

    fn plan(flags: &str) -> Result<Plan, String> {
        let command = Loadtest::augment_args(clap::Command::new("loadtest").no_binary_name(true));
        let matches = command.try_get_matches_from(flags.split_whitespace()).map_err(|error| error.to_string())?;
        Loadtest::from_arg_matches(&matches).map_err(|error| error.to_string())?.plan()
    }

    #[test]
    fn without_flags_it_takes_less_than_ten_minutes() {
        let plan = plan("").unwrap();
        assert!(plan.duration() < Duration::from_secs(300), "{:?}", plan.duration());
        let names: Vec<_> = plan.subjects.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["baseline", "gateway"]);
    }

    #[test]
    fn flags_say_who_and_what() {
        let plan = plan(
            "--profiles agent-1m,streams --streams 7 --answer-events 2000 --quick --rounds 3 --gateway http://127.0.0.1:1/x \
             --url other=http://127.0.0.1:2 --no-baseline --no-pin --key k --provider 127.0.0.1:3 --header X-A:b",
        )
        .unwrap();
        assert_eq!(plan.profiles.iter().map(|profile| profile.name).collect::<Vec<_>>(), ["agent-1m", "streams"]);
        assert_eq!((plan.rounds, plan.time, plan.profiles[1].connections), (3, Duration::from_secs(1), 7));
        assert_eq!(plan.layout, Layout::default());
        let [(gateway, Origin::Url(first)), (other, Origin::Url(second))] = plan.subjects.as_slice() else {
            panic!("{:?}", plan.subjects)
        };
        assert_eq!((gateway.as_str(), first.prefix.as_str(), other.as_str()), ("gateway", "/x", "other"));
        assert_eq!((second.key.as_deref(), second.headers.as_slice()), (Some("k"), ["x-a: b".to_owned()].as_slice()));
    }

    #[track_caller]
    fn refused(flags: &str, why: &str) {
        let error = plan(flags).unwrap_err();
        assert!(error.contains(why), "{flags}: {error}");
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_what_would() {
        refused("--profiles chats", "flat-out");
        refused("--duration 0", "from 0.2");
        refused("--rate nan", "a number");
        refused("--gateway http://192.0.2.1", "--remote");
        refused("--url http://127.0.0.1:1", "NAME=URL");
        refused("--url gateway=http://127.0.0.1:1", "already");
        refused("--check p99", "neither");
        refused("--check p97<1", "no figure");
        refused("--profiles chat --check streams:p99<1", "there will be chat");
        refused("--no-baseline --check p99@baseline<1", "direct, gateway");
        refused("--compare a.json b.json --check p99<1", "cannot be used with");
        refused("--compare a.json", "2 values");
        refused("--gateway-cores 4000", "no list of cores");
        refused("--header x", "NAME: VALUE");
    }
}
