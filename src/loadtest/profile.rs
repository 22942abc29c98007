//! The loads that can be asked for, each a sort of day that a gateway has.
//!
//! Invariant: a profile is data: what is sent, how often, on how many connections, and how the provider behaves meanwhile.

use std::time::Duration;

use super::drive::Load;
use super::kind::Kind;
use super::schedule::Arrivals;
use crate::protocol::Dialect;

/// One sort of load.
#[derive(Debug, Clone)]
pub struct Profile {
    /// As it is asked for.
    pub name: &'static str,
    /// What it is, in a sentence.
    pub about: String,
    /// What is sent.
    pub kinds: Vec<Kind>,
    /// On so many connections.
    pub connections: usize,
    /// How.
    pub load: Load,
    /// How the simulated provider behaves: flags of `tollgate mock`.
    pub provider: Vec<String>,
    /// What is special about it.
    pub twist: Twist,
}

/// What is special about a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Twist {
    /// Nothing.
    None,
    /// Every request opens a connection.
    Connect,
    /// Every cell begins with a new process, so that its memory is that of this load.
    Memory,
    /// As `Memory`; all streams are open before anything counts, and gaps count.
    Crowd,
    /// As `Memory`; all bodies are on their way at one time.
    Uploads,
    /// The gateway's rules are replaced all the time.
    Reload,
    /// The provider fails: faults are what is to be seen, not what should not be.
    Failing,
    /// The rate rises until it is too much.
    Frontier,
}

/// What may be changed about profiles.
#[derive(Debug, Clone, Copy)]
pub struct Wishes {
    /// Requests a second, instead of the profile's.
    pub rate: Option<f64>,
    /// Connections, instead of the profile's.
    pub connections: Option<usize>,
    /// Streams open at one time in `streams` and `crowd`, instead of the profile's.
    pub streams: Option<usize>,
    /// Most connections that this machine lets be open.
    pub room: usize,
    /// How long each turn is measured.
    pub time: Duration,
    /// Agents' answers are streams of so many events.
    pub answer_events: Option<u32>,
    /// How arrivals are spread.
    pub arrivals: Arrivals,
}

/// All of them, in the order in which they run.
pub const NAMES: [&str; 13] = [
    "chat",
    "flat-out",
    "agent-20k",
    "agent-200k",
    "agent-1m",
    "fleet",
    "streams",
    "crowd",
    "uploads",
    "failing",
    "reload",
    "connect",
    "frontier",
];
/// Those that run unless others are asked for.
pub const USUAL: [&str; 6] = ["chat", "flat-out", "agent-200k", "fleet", "streams", "frontier"];

/// A small question: what is left is the gateway's own work.
const SMALL: usize = 300;

/// The profile of this name.
#[must_use]
pub fn named(name: &str, wishes: &Wishes) -> Option<Profile> {
    let small = || vec![Kind::plain("chat", Dialect::Chat, SMALL, false)];
    let rate = |usual: f64| Load::Rate(wishes.rate.unwrap_or(usual), wishes.arrivals);
    let connections = |usual: usize| wishes.connections.unwrap_or(usual);
    let simple = |name, about: &str, kinds, held, load| Profile {
        name,
        about: about.to_owned(),
        kinds,
        connections: connections(held),
        load,
        provider: Vec::new(),
        twist: Twist::None,
    };
    let profile = match name {
        "chat" => simple("chat", "small requests, JSON answers, at a steady rate", small(), 32, rate(1000.0)),
        "flat-out" => simple(
            "flat-out",
            "small requests, each connection sends the next as soon as it has an answer: throughput, and CPU without idling",
            small(),
            64,
            Load::Held(Duration::ZERO),
        ),
        "frontier" => Profile {
            twist: Twist::Frontier,
            ..simple(
                "frontier",
                "small requests at a rising rate: how many a second, and how late",
                small(),
                64,
                rate(0.0),
            )
        },
        "agent-20k" => agent("agent-20k", 20_000, rate(500.0), connections(16), wishes),
        "agent-200k" => agent("agent-200k", 200_000, rate(200.0), connections(16), wishes),
        "agent-1m" => agent("agent-1m", 1_000_000, rate(40.0), connections(16), wishes),
        "fleet" => Profile {
            provider: flags("--chunks 40 --chunk-bytes 60"),
            ..simple(
                "fleet",
                "Claude Code, Codex, Gemini CLI and OpenCode side by side: four APIs, turns of 30 to 90 KB, streams and small JSON calls",
                fleet(),
                64,
                rate(300.0),
            )
        },
        "streams" => streams(connections(wishes.streams.unwrap_or(1000))),
        "crowd" => crowd(connections(wishes.streams.unwrap_or(CROWD.min(wishes.room))), wishes.time),
        "uploads" => uploads(connections(1500)),
        "failing" => Profile {
            provider: flags(
                "--fault status=529,retry-after=1,every=10 --fault reset,every=25 --fault cut=3,how=reset,stream=yes,every=7",
            ),
            twist: Twist::Failing,
            ..simple(
                "failing",
                "the provider refuses one call in ten (529), hangs up on some, and breaks streams off",
                vec![
                    Kind::plain("chat", Dialect::Chat, SMALL, false),
                    Kind::plain("stream", Dialect::Anthropic, SMALL, true),
                ],
                32,
                rate(500.0),
            )
        },
        "reload" => Profile {
            twist: Twist::Reload,
            ..simple(
                "reload",
                "small requests while the gateway's rules change four times a second",
                small(),
                32,
                rate(1000.0),
            )
        },
        "connect" => Profile {
            twist: Twist::Connect,
            ..simple("connect", "a new connection for every request", small(), 64, rate(500.0))
        },
        _ => return None,
    };
    Some(profile)
}

fn agent(name: &'static str, bytes: usize, load: Load, connections: usize, wishes: &Wishes) -> Profile {
    let stream = wishes.answer_events.is_some();
    let answers =
        wishes.answer_events.map_or("JSON answers".to_owned(), |events| format!("answers of {events} events"));
    Profile {
        name,
        about: format!(
            "turns of a coding agent: requests of {} KB (system prompt, tools, conversation), {answers}",
            bytes / 1000
        ),
        kinds: vec![Kind::plain("turn", Dialect::Anthropic, bytes, stream)],
        connections,
        load,
        provider: wishes
            .answer_events
            .map_or_else(Vec::new, |events| flags(&format!("--chunks {events} --chunk-bytes 60"))),
        twist: Twist::None,
    }
}

/// A thousand streams speak 20 times a second each. More of them speak less often, so that it is their number that is looked at,
/// and not how many events a core can pass on: nobody holds ten thousand streams that all speak at once.
fn streams(count: usize) -> Profile {
    let slower = (count as f64 / 1000.0).max(1.0);
    let gap = 50.0 * slower;
    Profile {
        name: "streams",
        about: format!("many slow streams at one time, each of 20 events, {gap:.0} ms apart"),
        kinds: vec![Kind::plain("stream", Dialect::Chat, SMALL, true)],
        connections: count,
        // As long as one takes, so that they begin and end evenly.
        load: Load::Held(Duration::from_secs_f64(slower)),
        provider: flags(&format!("--chunks 20 --chunk-bytes 60 --gap-ms {gap:.0}")),
        twist: Twist::Memory,
    }
}

/// Streams of a crowd.
pub const CROWD: usize = 10_000;
/// How long all streams of a crowd are open before anything counts.
const SETTLE: Duration = Duration::from_millis(500);

/// One in five speaks. All are open while it is measured: each lasts for as long as it takes to open them all, and to measure.
fn crowd(count: usize, time: Duration) -> Profile {
    const STILL: &str = "Take your time before you answer. ";
    const GAP: Duration = Duration::from_millis(250);
    // As many a second as a core opens without being busy with it alone.
    let ramp = Duration::from_secs_f64((count as f64 / 2500.0).max(0.5));
    let lasts = ramp + SETTLE + time + Duration::from_secs(1);
    let events = lasts.as_millis().div_ceil(GAP.as_millis());
    let mut provider = flags(&format!("--chunks {events} --chunk-bytes 60 --gap-ms {}", GAP.as_millis()));
    let fault = format!("pause=3,ms={},says={}", lasts.as_millis(), STILL.trim_end());
    provider.extend(["--fault".to_owned(), fault]);
    let speaks = Kind::plain("speaks", Dialect::Chat, SMALL, true);
    Profile {
        name: "crowd",
        about: format!(
            "very many open streams, of which one in five speaks every {} ms and the others begin and fall silent",
            GAP.as_millis()
        ),
        kinds: vec![speaks.clone(), Kind { name: "silent", weight: 4, says: STILL, silent: true, ..speaks }],
        connections: count,
        load: Load::Once(ramp),
        provider,
        twist: Twist::Crowd,
    }
}

/// The provider answers nobody before all have sent.
fn uploads(count: usize) -> Profile {
    let ramp = Duration::from_secs_f64((count as f64 / 1000.0).max(0.2));
    let wait = ramp + Duration::from_secs(1);
    Profile {
        name: "uploads",
        about: "requests of 150 KB on their way to a slow provider, all at one time".to_owned(),
        kinds: vec![Kind::plain("turn", Dialect::Anthropic, 150_000, false)],
        connections: count,
        load: Load::Once(ramp),
        provider: flags(&format!("--first-byte-ms {}", wait.as_millis())),
        twist: Twist::Uploads,
    }
}

/// Sizes and habits of the agents' first turns and helper calls, as their current versions send them. The weights are of a day in
/// which Claude Code has most users, and every agent makes some small calls of its own beside its turns.
fn fleet() -> Vec<Kind> {
    const CLAUDE: &str = "user-agent: claude-cli/2.1.0 (external, cli)\r\nx-app: cli\r\n\
        x-claude-code-session-id: 5f0c3a52-0000-4000-8000-000000000001\r\nanthropic-beta: claude-code-20250219\r\n";
    const CODEX: &str = "user-agent: codex_cli_rs/0.98.0\r\noriginator: codex_cli_rs\r\n\
        session-id: 5f0c3a52-0000-4000-8000-000000000002\r\naccept: text/event-stream\r\n";
    const GEMINI: &str = "user-agent: GeminiCLI/0.30.0/gemini-2.5-pro (linux; x64)\r\n";
    const OPENCODE: &str = "user-agent: opencode/1.1.0\r\n";
    let kind = |name, dialect, bytes, stream, weight, headers| Kind {
        weight,
        headers,
        ..Kind::plain(name, dialect, bytes, stream)
    };
    vec![
        kind("claude-code turn", Dialect::Anthropic, 88_000, true, 40, CLAUDE),
        kind("claude-code helper", Dialect::Anthropic, 3_000, false, 8, CLAUDE),
        kind("codex turn", Dialect::Responses, 55_000, true, 25, CODEX),
        kind("gemini-cli turn", Dialect::Gemini, 50_000, true, 10, GEMINI),
        kind("gemini-cli helper", Dialect::Gemini, 4_000, false, 3, GEMINI),
        kind("opencode turn", Dialect::Chat, 30_000, true, 12, OPENCODE),
        kind("opencode title", Dialect::Chat, 2_500, true, 2, OPENCODE),
    ]
}

fn flags(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

impl Twist {
    /// Whether every cell begins with a new process.
    #[must_use]
    pub const fn anew(self) -> bool {
        matches!(self, Self::Memory | Self::Crowd | Self::Uploads)
    }
}

impl Profile {
    /// How long a turn warms up, and how long it is measured, of the times that were asked for.
    #[must_use]
    pub fn times(&self, warmup: Duration, time: Duration) -> (Duration, Duration) {
        let ramp = self.load.ramp();
        match self.twist {
            Twist::Crowd => (ramp + SETTLE, time),
            Twist::Uploads => (Duration::ZERO, ramp),
            _ => (warmup.max(ramp), time),
        }
    }

    /// How the load is told in a report.
    #[must_use]
    pub fn told(&self) -> String {
        let each = match self.twist {
            Twist::Connect => "a connection for each request".to_owned(),
            _ => format!("{} connections", self.connections),
        };
        match self.load {
            _ if self.twist == Twist::Frontier => each,
            Load::Rate(rate, arrivals) => {
                let how = if arrivals == Arrivals::Poisson { "at random" } else { "evenly" };
                format!("{rate} requests a second, {how}; {each}")
            }
            Load::Once(ramp) => format!("{each}, one request on each, begun over {:.1} s", ramp.as_secs_f64()),
            Load::Held(_) => format!("{each}, each always waiting for an answer"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WISHES: Wishes = Wishes {
        rate: None,
        connections: None,
        streams: None,
        room: CROWD,
        time: Duration::from_millis(2500),
        answer_events: None,
        arrivals: Arrivals::Constant,
    };

    #[test]
    fn every_name_is_a_profile_and_knows_itself() {
        for name in NAMES {
            let profile = named(name, &WISHES).unwrap();
            assert_eq!(profile.name, name);
            assert!(!profile.kinds.is_empty() && profile.connections > 0);
        }
        assert!(USUAL.iter().all(|name| NAMES.contains(name)));
        assert!(named("nothing", &WISHES).is_none());
    }

    #[test]
    fn more_streams_speak_less_often() {
        let of = |streams| named("streams", &Wishes { streams: Some(streams), ..WISHES }).unwrap();
        for (count, gap, ramp) in [(10, "50", 1), (1000, "50", 1), (10_000, "500", 10)] {
            let profile = of(count);
            assert_eq!(profile.provider.last().unwrap(), gap, "{count}");
            assert_eq!(profile.load, Load::Held(Duration::from_secs(ramp)), "{count}");
        }
    }

    /// The silent ones must outlast everybody's opening and the measurement.
    #[test]
    fn a_crowd_is_all_there_while_it_is_measured() {
        for (streams, seconds) in [(10, 1), (10_000, 2), (28_000, 30)] {
            let time = Duration::from_secs(seconds);
            let crowd = named("crowd", &Wishes { streams: Some(streams), time, ..WISHES }).unwrap();
            let (warmup, measured) = crowd.times(Duration::ZERO, time);
            assert!(warmup > crowd.load.ramp() && measured == time, "{streams}");
            let fault: crate::simulator::Fault = crowd.provider.last().unwrap().parse().unwrap();
            let crate::simulator::Effect::Pause(pause) = fault.effect else { panic!("{fault:?}") };
            assert!(Duration::from_millis(pause.ms) > warmup + measured, "{streams}");
            let marked: Vec<_> =
                crowd.kinds.iter().map(|kind| kind.says.contains(&fault.says.clone().unwrap())).collect();
            assert_eq!(marked, [false, true], "{streams}");
        }
    }

    #[test]
    fn wishes_are_heard() {
        let wishes = Wishes { rate: Some(7.0), streams: Some(5), answer_events: Some(2000), ..WISHES };
        assert_eq!(named("chat", &wishes).unwrap().load, Load::Rate(7.0, Arrivals::Constant));
        assert_eq!(named("streams", &wishes).unwrap().connections, 5);
        assert_eq!(named("crowd", &wishes).unwrap().connections, 5);
        assert_eq!(named("crowd", &Wishes { room: 77, ..WISHES }).unwrap().connections, 77, "as many as fit");
        let agent = named("agent-1m", &wishes).unwrap();
        assert!(agent.kinds[0].stream && agent.provider.contains(&"2000".to_owned()));
    }

    #[test]
    fn the_fleet_speaks_every_dialect_in_both_forms() {
        let fleet = fleet();
        for dialect in Dialect::ALL {
            assert!(fleet.iter().any(|kind| kind.dialect == dialect && kind.stream), "{}", dialect.name());
        }
        assert!(fleet.iter().any(|kind| !kind.stream));
        assert_eq!(fleet.iter().map(|kind| kind.weight).sum::<u32>(), 100, "the weights are percent");
    }
}
