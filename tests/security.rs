//! SECURITY.md's table of time-outs and sizes, held against the program.
//!
//! A setting's default is read from a configuration that does not say it, a fixed bound from the source. A new setting or a
//! new constant must be said in one of the lists below; `TOLLGATE_BLESS=1 cargo test --test security` then writes the table.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, also in its helpers")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tollgate::config::{Loaded, load_text};
use tollgate::telemetry::metrics::Metrics;

/// What a bound is counted in.
#[derive(Clone, Copy)]
enum Of {
    Time,
    Bytes,
    Count,
}
use Of::{Bytes, Count, Time};

/// What a setting bounds, its name, and how to read it.
type Setting = (&'static str, &'static str, Of, fn(&Loaded) -> u64);

const SETTINGS: &[Setting] = &[
    ("client connections at one time", "listen.max_connections", Count, |l| count(l.startup.listen.max_connections)),
    ("from a connection's beginning (TLS included) to its first request's head", "listen.header_timeout", Time, |l| {
        micros(l.startup.listen.header_timeout)
    }),
    (
        "a connection idle between two requests, or whose client takes nothing of an answer (once to twice that)",
        "listen.idle_timeout",
        Time,
        |l| micros(l.startup.listen.idle_timeout),
    ),
    ("streams under way at shutdown", "listen.drain", Time, |l| micros(l.startup.listen.drain)),
    ("one request's body", "limits.request_body", Bytes, |l| l.prepared.0.limits.request_body),
    ("all request bodies held", "limits.inflight_bodies", Bytes, |l| l.prepared.0.limits.inflight_bodies),
    ("requests under way", "limits.inflight_requests", Count, |l| l.prepared.0.limits.inflight_requests),
    ("unknown keys of one address in a minute", "limits.failed_keys", Count, |l| {
        l.prepared.0.limits.failed_keys.into()
    }),
    ("answers in a minute to the same body of one session", "limits.repeats", Count, |l| {
        l.prepared.0.limits.repeats.into()
    }),
    (
        "ids of responses and their items, and again of files and the like; the oldest go first",
        "limits.response_ids",
        Count,
        |l| count(l.startup.state.response_ids),
    ),
    ("usage that waits on disk for its database", "ledger.journal_max", Bytes, |l| l.startup.ledger.journal_max),
    ("single calls in the usage database", "ledger.retention", Time, |l| micros(l.startup.ledger.retention)),
    ("between two pieces of a request's body", "timeouts.body", Time, |l| micros(l.prepared.0.timeouts.body)),
    ("a silent stream before a keep-alive", "timeouts.keepalive", Time, |l| micros(l.prepared.0.timeouts.keepalive)),
    ("to connect to a provider: name, TCP, proxy, TLS", "timeouts.connect", Time, |l| {
        micros(provider(l).timeouts.connect)
    }),
    ("to the head of a provider's answer", "timeouts.first_byte", Time, |l| micros(provider(l).timeouts.first_byte)),
    ("between two pieces of a provider's answer", "timeouts.idle", Time, |l| micros(provider(l).timeouts.idle)),
    ("an address from the resolver is as good as new", "upstream.dns_ttl", Time, |l| micros(provider(l).dns_ttl)),
];

/// Numbers in the same tables of the configuration that bound nothing that comes from outside.
const OTHER_SETTINGS: &[(&str, &str)] = &[
    ("budget.warn_at", "a part of the operator's own budgets"),
    ("listen.workers", "how many threads there are: one per core"),
];

/// What a constant bounds, its file in `src/` and its name.
type Fixed = (&'static str, &'static str, &'static str, Of);

const FIXED: &[Fixed] = &[
    ("connections handed to another core that wait there", "listen/place.rs", "INBOX", Count),
    ("a PROXY protocol header's addresses and extensions", "listen/peer.rs", "LONGEST", Bytes),
    ("a request's head", "listen/http1/head.rs", "LONGEST", Bytes),
    ("limits, and budgets, of one account", "config/compile/accounts.rs", "MOST", Count),
    (
        "a wait that a refusal names; what takes longer is worded as a budget",
        "protocol/problem/table.rs",
        "LONGEST_WAIT",
        Time,
    ),
    ("its lines, and those of an answer's head", "http1/lines.rs", "MOST", Count),
    ("of a refused upload, read on behind the refusal", "listen/http1/mod.rs", "READ_ON_BYTES", Bytes),
    ("the same in time", "listen/http1/mod.rs", "READ_ON_TIME", Time),
    ("HTTP/2: of a connection's bytes, before others of its core have their turn", "listen/turns.rs", "TURN", Bytes),
    ("HTTP/2: requests at one time on a client's connection", "listen/http2.rs", "STREAMS", Count),
    ("HTTP/2: of one request's body, before it is read", "listen/http2.rs", "STREAM_WINDOW", Bytes),
    (
        "HTTP/2: of all bodies of a client's connection, before they are read",
        "listen/http2.rs",
        "CONNECTION_WINDOW",
        Bytes,
    ),
    ("HTTP/2: of an answer that waits for a slow client", "listen/http2.rs", "SEND_BUFFER", Bytes),
    ("HTTP/2: a request's headers", "listen/http2.rs", "HEADER_LIST", Bytes),
    ("HTTP/2: streams reset before they were taken up, then the connection ends", "listen/http2.rs", "RESETS", Count),
    ("HTTP/2: resets for faults, then the connection ends", "listen/http2.rs", "FAULTS", Count),
    ("HTTP/2: between two pings of a client", "listen/http2.rs", "PING_EVERY", Time),
    ("HTTP/2: until a ping's answer", "listen/http2.rs", "PING_PATIENCE", Time),
    ("addresses with unknown keys that are remembered", "policy/strangers.rs", "MOST", Count),
    ("how long they are", "policy/strangers.rs", "WINDOW", Time),
    ("of a long answer between two notes in the usage journal, at least", "policy/meter.rs", "NOTE", Bytes),
    ("the same at most, and until its cost is looked at", "policy/meter.rs", "LONGEST", Bytes),
    ("of an answer before its cost is first looked at", "policy/meter.rs", "FIRST", Bytes),
    ("`retry-after` when too many requests are under way", "policy/authenticate.rs", "RETRY", Time),
    ("`retry-after` when too many bodies are held", "policy/admit.rs", "ROOM_RETRY", Time),
    (
        "kinds of calls (agent and model) whose cost is learnt; further ones share one",
        "ledger/hold.rs",
        "CLASSES",
        Count,
    ),
    ("calls that each of them remembers", "ledger/hold.rs", "WINDOW", Count),
    (
        "lengths and bodies of sessions that the loop guard remembers, in 16 tables of",
        "ledger/repeat.rs",
        "PLACES",
        Count,
    ),
    ("`retry-after` when calls under way are in the way", "ledger/account.rs", "SOON", Time),
    ("nesting of a JSON body", "protocol/mod.rs", "MAX_DEPTH", Count),
    ("a model's name", "protocol/peek.rs", "MAX_MODEL", Bytes),
    ("a model's name or a team's claim in a path", "protocol/path.rs", "MAX_NAME", Bytes),
    ("of an unknown path, kept for the answer and the log", "protocol/path.rs", "MAX_ECHO", Bytes),
    ("of a name or path, repeated in a refusal", "protocol/problem/shape.rs", "MAX_QUOTE", Bytes),
    ("a session id or a user's claim in a header", "agent/detect.rs", "MAX_ID", Bytes),
    ("a session id in a body", "protocol/peek/session.rs", "MAX_SESSION", Bytes),
    ("an event of a stream that is looked into", "protocol/mod.rs", "MAX_EVENT", Bytes),
    ("a compressed body: gzip members or zstd frames in it", "protocol/inflate.rs", "PARTS", Count),
    ("a compressed body: what zstd looks back at", "protocol/inflate.rs", "WINDOW", Bytes),
    ("a compressed body: a piece of what comes out", "protocol/inflate.rs", "PIECE", Bytes),
    ("a compressed body: the decompressor of gzip", "protocol/inflate/gzip.rs", "KEPT", Bytes),
    ("a compressed body: the decompressor of zstd, beside its window", "protocol/inflate/zstd.rs", "TABLES", Bytes),
    ("an id of something stored, in a path", "protocol/path.rs", "MAX_ID", Bytes),
    ("the same where a body names it, as spelled", "protocol/peek.rs", "ID_RAW", Bytes),
    ("stored things that one body names", "protocol/named.rs", "MOST", Count),
    ("the same in an answer, as spelled", "protocol/tap/made.rs", "MAX_RAW", Bytes),
    ("what an answer says of its container", "protocol/tap/made.rs", "MAX_CONTAINER", Bytes),
    ("the same where it is kept", "owned/mod.rs", "MAX_ID", Bytes),
    ("ids on their way to the disk, then the file is made anew", "owned/mod.rs", "QUEUE", Count),
    ("a line of their file", "owned/journal.rs", "MAX_LINE", Bytes),
    ("usage journal: what a core keeps in memory while nothing can be written", "journal/core.rs", "MOST", Bytes),
    ("usage journal: of that, kept for the ends of calls under way", "journal/core.rs", "RESERVE", Bytes),
    ("usage journal: written, and not yet safe from a power cut", "journal/mod.rs", "SYNC", Time),
    ("usage journal: a frame that is read", "journal/frame.rs", "LONGEST", Bytes),
    ("usage journal: a session, and a user's claim", "journal/frame.rs", "SHORT", Bytes),
    ("usage journal: a model's name", "journal/frame.rs", "MODEL", Bytes),
    ("usage database: the write-ahead log, between transactions", "store/schema.rs", "WAL", Bytes),
    ("usage database: waiting for another process' transaction", "store/schema.rs", "PATIENCE", Time),
    ("usage database: frames of one transaction", "store/tail.rs", "BATCH", Count),
    ("usage database: names, then models that requests name are one", "store/names.rs", "MOST", Count),
    ("names of the configuration that are numbered, of one process", "ledger/name.rs", "MOST", Count),
    ("the model that an answer names", "protocol/tap/served.rs", "MAX", Bytes),
    ("a usage object that is read", "protocol/tap/watch.rs", "MAX_USAGE", Bytes),
    ("the name of a price class that is read", "protocol/tap/watch.rs", "MAX_TIER", Bytes),
    ("the type of a tool, or its bound, that is read", "protocol/peek/suspect.rs", "RAW", Bytes),
    ("`stream_options` that are read", "protocol/peek.rs", "OPTIONS_RAW", Bytes),
    (
        "an event that may be the usage that only we asked for, kept until its end",
        "protocol/withhold.rs",
        "MAX_HELD",
        Bytes,
    ),
    ("of one event, looked into for an estimate", "protocol/estimate.rs", "COUNTED", Bytes),
    ("the type of an item that is read", "protocol/tap/hosted.rs", "MAX_TYPE", Bytes),
    ("start-up events held back while another target may be tried", "policy/failover.rs", "HOLD_BYTES", Bytes),
    ("the same in time", "policy/failover.rs", "HOLD_TIME", Time),
    ("of a provider's error, read to see whose fault it is", "policy/failover.rs", "ERROR_BYTES", Bytes),
    ("a stream held open by the provider after its terminal event", "policy/passage.rs", "LINGER", Time),
    (
        "of an answer that nobody wants any more, read to save its connection",
        "upstream/body.rs",
        "SALVAGE_BYTES",
        Bytes,
    ),
    ("the same in time", "upstream/body.rs", "SALVAGE_TIME", Time),
    ("the head of a provider's answer", "upstream/http1/head.rs", "LONGEST", Bytes),
    ("interim answers before it", "upstream/http1/mod.rs", "INTERIM", Count),
    ("one chunk's size line, and all trailers", "http1/framing.rs", "ASIDE", Bytes),
    ("HTTP/2: requests at one time on a provider's connection", "upstream/http2.rs", "STREAMS", Count),
    ("HTTP/2: of one answer, before it is read", "upstream/http2.rs", "STREAM_WINDOW", Bytes),
    ("HTTP/2: of one request, waiting to be sent", "upstream/http2.rs", "SEND_BUFFER", Bytes),
    ("HTTP/2: an answer's headers", "upstream/http2.rs", "HEADER_LIST", Bytes),
    ("HTTP/2: between two pings of a provider", "upstream/http2.rs", "PING_EVERY", Time),
    ("HTTP/2: until a ping's answer", "upstream/http2.rs", "PING_PATIENCE", Time),
    ("idle connections per provider and core", "upstream/pool.rs", "MAX_IDLE", Count),
    ("of those, kept for long", "provider/mod.rs", "KEPT_WARM", Count),
    ("how long those are", "upstream/pool.rs", "WARM", Time),
    ("how long the others are", "upstream/pool.rs", "COLD", Time),
    ("an address has for itself before the next is tried beside it", "upstream/dial.rs", "HEAD_START", Time),
    ("addresses of one name that are tried", "upstream/dial.rs", "MOST", Count),
    ("names remembered per core", "upstream/resolve.rs", "MOST_HOSTS", Count),
    ("beyond its time to live, an address is used without waiting", "upstream/resolve.rs", "STALE", Time),
    ("a proxy's answer to CONNECT", "upstream/proxy.rs", "LONGEST_HEAD", Bytes),
    ("its headers", "upstream/proxy.rs", "MOST_HEADERS", Count),
    ("webhook: messages that wait for the task, then newer ones are dropped", "webhook/mod.rs", "QUEUE", Count),
    (
        "webhook: messages that wait for their next attempt, then they wait for the task",
        "webhook/mod.rs",
        "MOST",
        Count,
    ),
    ("webhook: attempts at one time", "webhook/mod.rs", "AT_ONCE", Count),
    ("webhook: one attempt, from the name to the head of the answer", "webhook/mod.rs", "PATIENCE", Time),
    ("webhook: the head of an answer", "upstream/post.rs", "LONGEST_HEAD", Bytes),
    ("webhook: its headers", "upstream/post.rs", "MOST_HEADERS", Count),
    ("a secret's file", "config/compile/secret.rs", "MAX_BYTES", Bytes),
    ("a key that an operator chose, at least, in characters", "config/compile/key.rs", "MIN_CHARACTERS", Count),
    ("between two looks at files that changed unseen", "config/watch.rs", "POLL", Time),
    ("targets with series of their own in the metrics", "telemetry/metrics.rs", "MAX_ROUTES", Count),
    ("teams, and owners, with series of their own", "telemetry/metrics/spend.rs", "MAX_NAMES", Count),
    ("accounts whose budgets and limits are in the metrics", "admin/money.rs", "MOST", Count),
    ("keys that ask the usage database at one time", "journal/desk.rs", "MOST", Count),
    ("how long they wait for it", "policy/standing.rs", "PATIENCE", Time),
    ("its answers that are remembered", "store/report/desk.rs", "MOST", Count),
    ("how long they are", "store/report/desk.rs", "FRESH", Time),
    ("a buffer of the access log", "telemetry/access_log.rs", "BUFFER", Bytes),
    ("such buffers waiting, then lines are dropped", "telemetry/access_log.rs", "QUEUE", Count),
    ("refusals at shutdown before idle connections close", "worker.rs", "GRACE", Time),
    ("open connections served on after a handover", "worker.rs", "SERVED_ON", Time),
    ("a word of the other process at a handover", "cli/serve/handover.rs", "PATIENCE", Time),
    ("a new process to begin to serve", "cli/serve/handover.rs", "START", Time),
    ("descriptors at a handover", "cli/serve/handover.rs", "MOST", Count),
];

/// Constants that bound nothing that comes from outside.
const OTHERS: &[(&str, &str)] = &[
    ("protocol/estimate.rs PERIOD", "how often is looked"),
    ("protocol/estimate.rs RUN", "how often is looked"),
    ("protocol/estimate.rs FIRST", "how often is looked"),
    ("protocol/estimate.rs STRIDE", "how often is looked"),
    ("protocol/estimate.rs SHOWN", "how much is looked at"),
    ("protocol/estimate.rs COUNTED_LATER", "less than COUNTED"),
    ("protocol/estimate.rs ENOUGH", "when less is looked at"),
    ("protocol/estimate.rs REQUEST_BYTES", "a ratio"),
    ("protocol/estimate.rs ANSWER_BYTES", "a ratio"),
    ("protocol/tap/anthropic.rs LONG", "what is looked at closer"),
    ("cli/key/file.rs PATIENCE", "two commands that edit one file"),
    ("cli/serve/books.rs PARTS", "a step"),
    ("cli/mock.rs HOUR", "the simulator's"),
    ("config/compile/accounts.rs LONGEST_ROLLING", "the operator's own"),
    ("config/compile/accounts.rs LONGEST_WINDOW", "the operator's own"),
    ("cli/serve/handover.rs AT_ONCE", "the kernel's, in steps"),
    ("cli/usage.rs EVERY", "a table shown again"),
    ("cli/usage/span.rs DAY", "a day"),
    ("cli/usage/span.rs HOUR", "an hour"),
    ("config/compile/ledger.rs DAY", "a day"),
    ("config/compile/price.rs PER_TOKEN", "when a warning is due"),
    ("config/watch.rs PATIENCE", "settling of edits"),
    ("config/watch.rs QUIET", "settling of edits"),
    ("config/watch.rs ROUNDS", "settling of edits"),
    ("journal/core.rs USUAL", "a step"),
    ("journal/frame.rs HEAD", "the form's"),
    ("journal/frame.rs KINDS", "a closed set"),
    ("journal/frame.rs NAME", "config's bound on names, with room"),
    ("journal/run.rs TRIES", "names for a folder"),
    ("journal/segment.rs STEP", "a step of reading"),
    ("policy/standing.rs DAY", "a day"),
    ("store/report/desk.rs DAYS", "days"),
    ("ledger/account.rs ALONE", "a part of the operator's own"),
    ("ledger/account.rs STEP", "when a clock is believed"),
    ("ledger/account.rs UNKNOWN", "a part of the operator's own"),
    ("ledger/bound.rs FLOOR", "a part of the operator's own"),
    ("ledger/bound.rs GATE", "a part of the operator's own"),
    ("ledger/calendar.rs DAY", "a unit"),
    ("ledger/hold.rs BUCKETS", "an index"),
    ("ledger/hold.rs ENOUGH", "when something is known"),
    ("ledger/hold.rs EVERY", "a step"),
    ("ledger/hold.rs FINE", "an index"),
    ("ledger/receipt.rs INLINE", "a step"),
    ("ledger/receipt.rs STRIDE", "a step"),
    ("ledger/ring.rs SLOTS", "how finely the operator's windows are cut"),
    ("listen/http1/reply.rs BATCH", "a step"),
    ("listen/http1/reply.rs KEPT", "one room per core, whatever comes"),
    ("listen/http1/reply.rs TOGETHER", "a step"),
    ("listen/http1/wire.rs LARGE", "a step"),
    ("listen/http1/wire.rs PIECE", "a step"),
    ("http1/lines.rs USUAL", "a step"),
    ("message.rs BASIS", "a hash's"),
    ("message.rs HIGH", "a mask"),
    ("money.rs DECIMALS", "a unit"),
    ("price/hours.rs DAY", "a unit"),
    ("price/rates.rs AHEAD", "which price list a hold is made by"),
    ("message.rs ONES", "a mask"),
    ("message.rs SPARE", "a step"),
    ("owned/book.rs SECOND", "a numbering"),
    ("owned/journal.rs BATCH", "a step of writing"),
    ("owned/journal.rs PAGE", "a step of writing"),
    ("owned/journal.rs RETRY", "nobody waits for it"),
    ("owned/journal.rs SMALL", "when making a file anew pays"),
    ("policy/debt.rs RETRY", "said to clients"),
    ("policy/fund.rs BYTES_PER_TOKEN", "a rule of thumb"),
    ("policy/fund.rs MOST_INPUT", "reckoned with, not a bound"),
    ("policy/fund.rs MOST_OUTPUT", "reckoned with, not a bound"),
    ("ledger/repeat.rs MINUTE", "said by limits.repeats"),
    ("ledger/repeat.rs SHARDS", "said with PLACES"),
    ("ledger/repeat.rs WAYS", "an index"),
    ("protocol/tap/served.rs RAW", "MAX and quotes"),
    ("policy/fund.rs MOST_USES", "reckoned with, not a bound"),
    ("policy/fund.rs USUAL_OUTPUT", "a rule of thumb"),
    ("policy/meter.rs BYTES_PER_TOKEN", "a rule of thumb"),
    ("policy/meter.rs SHORTEST", "how often is looked"),
    ("policy/mod.rs STEP", "request ids"),
    ("protocol/headers/table.rs BUCKETS", "an index"),
    ("protocol/inflate/gzip.rs CHECKED", "a flag"),
    ("protocol/inflate/gzip.rs COMMENTED", "a flag"),
    ("protocol/inflate/gzip.rs EXTRA", "a flag"),
    ("protocol/inflate/gzip.rs NAMED", "a flag"),
    ("protocol/inflate/gzip.rs RESERVED", "a flag"),
    ("protocol/inflate/zstd.rs BLOCK", "the format's, inside TABLES"),
    ("protocol/inflate/zstd.rs BLOCK_HEAD", "a step"),
    ("protocol/inflate/zstd.rs CHECKSUM", "a step"),
    ("protocol/inflate/zstd.rs MAGIC", "the format's"),
    ("protocol/inflate/zstd.rs SKIPPED", "the format's"),
    ("protocol/json.rs MAX_KEY", "follows from the keys that we act on"),
    ("protocol/json/text.rs LEN", "a step"),
    ("protocol/json.rs ITEM_DEPTH", "a place"),
    ("protocol/named.rs MAX_ID", "owned/mod.rs's"),
    ("protocol/path/query.rs MAX_CREDENTIAL", "follows from the names of credentials"),
    ("protocol/peek.rs MODEL_RAW", "follows from MAX_MODEL"),
    ("protocol/peek.rs SCALAR_RAW", "a number's spelling"),
    ("protocol/peek/session.rs MAX_RAW", "follows from the shape of session ids"),
    ("protocol/peek/suspect.rs ENCRYPTED", "a flag"),
    ("protocol/peek/suspect.rs RESULT", "a flag"),
    ("protocol/sse.rs KEPT", "when a buffer is given back"),
    ("protocol/tap/gemini.rs MAX", "what is worth keeping of one chunk"),
    ("protocol/tap/kind.rs MAX_NAME", "an event's name"),
    ("protocol/tap/recent.rs KEPT", "what is worth keeping of the last events"),
    ("protocol/tap/recent.rs MAX", "what is worth keeping of the last events"),
    ("protocol/tap/shape.rs MAX", "what is worth learning of a stream"),
    ("protocol/tap/shape.rs TRIES", "what is worth learning of a stream"),
    ("protocol/unmetered.rs SERVICE_COUNT", "a closed set"),
    ("store/batch.rs DAY", "a day"),
    ("store/batch.rs HOUR", "an hour"),
    ("store/batch.rs SHIFT", "the form's"),
    ("store/mod.rs LOOK", "housekeeping"),
    ("store/mod.rs RETRY", "nobody waits for it"),
    ("store/mod.rs STEP", "a step of deleting"),
    ("store/mod.rs TICK", "nobody waits for it"),
    ("journal/core.rs NAMES", "the form's"),
    ("store/row.rs COLUMNS", "the form's"),
    ("store/row.rs COUNTED", "the form's"),
    ("store/row.rs STRIDE", "a step"),
    ("store/names.rs KEPT", "what is worth remembering of the names"),
    ("snapshot/key.rs BYTES", "a key's form"),
    ("snapshot/key.rs RANDOM", "a key's form"),
    ("telemetry/access_log.rs LOOK", "rotation"),
    ("telemetry/histogram.rs COUNT", "bounds of a histogram"),
    ("telemetry/histogram.rs SECOND", "a unit"),
    ("telemetry/metrics.rs VOICES", "closed sets"),
    ("upstream/http1/request.rs PARTS", "a step"),
    ("upstream/http1/request.rs TOGETHER", "a step"),
    ("upstream/http2.rs CONNECTION_WINDOW", "the sum of its streams'"),
    ("http1/room.rs LEAST", "one room per core, whatever comes"),
    ("http1/room.rs ROOM", "one room per core, whatever comes"),
    ("upstream/pool.rs KEPT_WARM", "provider/mod.rs's"),
    ("upstream/resolve.rs RETRY", "how often a resolver is asked that fails"),
    ("worker.rs FLUSH", "housekeeping"),
    ("worker.rs SWEEP", "housekeeping"),
];

fn count(n: usize) -> u64 {
    u64::try_from(n).unwrap()
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap()
}

fn provider(loaded: &Loaded) -> &tollgate::provider::Provider {
    &loaded.prepared.0.routes.routes[0].targets[0].provider
}

fn place(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// All that says no more than it must.
fn silent() -> Loaded {
    let text = "version = 1\n[[provider]]\nname = 'p'\nspeaks = ['chat']\nbase_url = 'http://127.0.0.1:1'\n\
         [[model]]\nname = 'm'\nprovider = 'p'\n[[key]]\nname = 'k'\nsecret = { env = 'K' }\n";
    let env = |name: &str| (name == "K").then(|| "a-key-of-sixteen-characters".to_owned());
    load_text(Path::new("t.toml"), text, &env, &Metrics::default()).unwrap_or_else(|e| panic!("{e}"))
}

/// Every constant of `src/` that is a number or a time: `file NAME` -> how it is written.
fn constants() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![place("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let file = path.strip_prefix(place("src")).unwrap().to_str().unwrap().to_owned();
            // Simulator and load test are no gateway, and tests bound nothing.
            if ["simulator/", "loadtest/", "cli/loadtest.rs"].iter().any(|tool| file.starts_with(tool))
                || file.ends_with("tests.rs")
                || !file.ends_with(".rs")
            {
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            for line in text.split("#[cfg(test)]\nmod tests {").next().unwrap().lines() {
                let Some((_, rest)) = line.split_once("const ").filter(|(before, _)| {
                    let before = before.trim();
                    before.is_empty() || before.starts_with("pub")
                }) else {
                    continue;
                };
                let Some((name, rest)) = rest.split_once(": ") else { continue };
                let Some((kind, value)) = rest.split_once(" = ") else { continue };
                if ["Duration", "usize", "u64", "u32", "u16", "u8", "i64"].contains(&kind) {
                    found.insert(format!("{file} {name}"), value.trim_end_matches(';').to_owned());
                }
            }
        }
    }
    found
}

/// What a constant is: products and shifts of numbers, or a time in microseconds.
#[track_caller]
fn evaluated(text: &str) -> u64 {
    for (unit, each) in [("from_secs", 1_000_000), ("from_millis", 1_000)] {
        let within = text.strip_prefix(&format!("Duration::{unit}(")).and_then(|rest| rest.strip_suffix(')'));
        if let Some(within) = within {
            return evaluated(within) * each;
        }
    }
    if let Some((left, right)) = text.split_once(" << ") {
        return evaluated(left) << evaluated(right);
    }
    text.split(" * ").map(|n| n.replace('_', "").parse::<u64>().unwrap_or_else(|_| panic!("{text}"))).product()
}

fn shown(of: Of, n: u64) -> String {
    let (units, step): (&[(&str, u64)], &str) = match of {
        Time => (&[("min", 60_000_000), ("s", 1_000_000), ("ms", 1_000)], "µs"),
        Bytes => (&[("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)], "bytes"),
        Count => (&[], ""),
    };
    let larger = units.iter().find(|(name, each)| {
        // 60 s rather than 1 min: that is how it is written.
        n >= *each && n.is_multiple_of(*each) && !(*name == "min" && n == *each)
    });
    match larger {
        Some((name, each)) => format!("{} {name}", n / each),
        None => {
            let mut digits = n.to_string();
            let mut at = digits.len();
            while at > 3 {
                at -= 3;
                digits.insert(at, ',');
            }
            format!("{digits} {step}").trim_end().to_owned()
        }
    }
}

fn table() -> String {
    let (loaded, constants) = (silent(), constants());
    let mut out = String::from("| what | default | setting |\n| --- | --: | --- |\n");
    for (what, name, of, read) in SETTINGS {
        out.push_str(&format!("| {what} | {} | `{name}` |\n", shown(*of, read(&loaded))));
    }
    for (what, file, name, of) in FIXED {
        let key = format!("{file} {name}");
        let written = constants.get(&key).unwrap_or_else(|| panic!("there is no constant {key}"));
        out.push_str(&format!("| {what} | {} | |\n", shown(*of, evaluated(written))));
    }
    out
}

#[test]
fn the_table_of_bounds_is_true() {
    const BEGIN: &str = "<!-- bounds -->\n";
    const END: &str = "<!-- /bounds -->";
    let path = place("SECURITY.md");
    let text = fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (shown, after) = rest.split_once(END).unwrap();
    let table = table();
    if std::env::var_os("TOLLGATE_BLESS").is_some() {
        fs::write(&path, format!("{before}{BEGIN}{table}{END}{after}")).unwrap();
        return;
    }
    assert_eq!(shown, table, "TOLLGATE_BLESS=1 cargo test --test security writes it");
}

#[test]
fn no_constant_is_left_out() {
    let named: BTreeSet<String> = FIXED
        .iter()
        .map(|(_, file, name, _)| format!("{file} {name}"))
        .chain(OTHERS.iter().map(|(key, _)| (*key).to_owned()))
        .collect();
    let there: BTreeSet<String> = constants().into_keys().collect();
    let new: Vec<_> = there.difference(&named).collect();
    let gone: Vec<_> = named.difference(&there).collect();
    assert!(new.is_empty(), "say in FIXED what they bound, or in OTHERS why nothing: {new:?}");
    assert!(gone.is_empty(), "no longer there: {gone:?}");
}

#[test]
fn no_setting_is_left_out() {
    let output = Command::new(env!("CARGO_BIN_EXE_tollgate")).arg("schema").output().unwrap();
    let schema: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut there = BTreeSet::new();
    for (table, about) in schema["properties"].as_object().unwrap() {
        let Some(of) = about["$ref"].as_str().or(about["allOf"][0]["$ref"].as_str()) else { continue };
        let fields = &schema["$defs"][of.rsplit('/').next().unwrap()]["properties"];
        for (field, about) in fields.as_object().into_iter().flatten() {
            let text = about.to_string();
            if ["/Time\"", "/Size\"", "\"integer\""].iter().any(|kind| text.contains(kind)) {
                there.insert(format!("{table}.{field}"));
            }
        }
    }
    let named: BTreeSet<String> = SETTINGS
        .iter()
        .map(|(_, name, _, _)| (*name).to_owned())
        .chain(OTHER_SETTINGS.iter().map(|(name, _)| (*name).to_owned()))
        .collect();
    assert_eq!(there, named);
}

#[test]
fn numbers_are_shown_as_people_write_them() {
    for (of, n, want) in [
        (Time, 250_000, "250 ms"),
        (Time, 60_000_000, "60 s"),
        (Time, 55_000_000, "55 s"),
        (Time, 300_000_000, "5 min"),
        (Bytes, 1 << 30, "1 GiB"),
        (Bytes, 65_536, "64 KiB"),
        (Bytes, 160, "160 bytes"),
        (Count, 16_384, "16,384"),
        (Count, 8, "8"),
    ] {
        assert_eq!(shown(of, n), want);
    }
    for (text, want) in
        [("64 * 1024", 65_536), ("10_000", 10_000), ("32 << 20", 32 << 20), ("Duration::from_secs(2)", 2_000_000)]
    {
        assert_eq!(evaluated(text), want, "{text}");
    }
}
