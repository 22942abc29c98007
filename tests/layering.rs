//! Who imports whom, read from the source and held against a table.
//!
//! A new arrow between two folders is a design question: it is answered here, in [`LAYERS`], and in review, never by accident.
//! The table in ARCHITECTURE.md is this one (`TOLLGATE_BLESS=1 cargo test --test layering` writes it there). Also held here:
//! which folders may name which outside crates, that every file says what it is, and that none grows past a reader's patience.
//!
//! It reads text, not syntax: paths that begin with `crate::`, `super::` or (in the binary) `tollgate::`, outside comments and
//! tests. A macro could hide an arrow; we have none that would.

#![expect(clippy::unwrap_used, reason = "source that cannot be read fails the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A layer, what it may import, and why where that is not obvious. In journey order.
type Layer = (&'static str, &'static [&'static str], &'static str);

/// What every policy may import. `policy` is its `mod.rs`: what the layers of one core share.
const EVERY_POLICY: &[&str] = &[
    "agent",
    "call",
    "error",
    "journal",
    "ledger",
    "message",
    "money",
    "owned",
    "policy",
    "price",
    "protocol",
    "provider",
    "snapshot",
    "telemetry",
    "webhook",
];

const LAYERS: &[Layer] = &[
    ("error", &[], "facts"),
    ("money", &[], "whole pico-dollars"),
    ("message", &[], "heads, whatever carries them"),
    ("telemetry", &["agent", "error", "money", "protocol"], "their names are the labels"),
    ("agent", &["message", "protocol"], "pure"),
    (
        "protocol",
        &["agent", "error", "message"],
        "pure: no I/O, no clock, no config; which agent reads a refusal decides its words",
    ),
    ("price", &["money", "protocol"], "pure: what things cost, told by usage and a moment"),
    ("provider", &["protocol"], "facts, no sockets"),
    ("ledger", &["agent", "error", "money", "protocol"], "knows no HTTP"),
    (
        "journal",
        &["agent", "ledger", "money", "protocol", "telemetry"],
        "files and a thread; what is written means nothing to it",
    ),
    (
        "store",
        &["journal", "ledger", "money", "protocol", "telemetry"],
        "SQLite behind the journal; the only one that speaks SQL",
    ),
    ("owned", &["protocol", "telemetry"], "whose ids are; a file and a thread, no HTTP"),
    (
        "snapshot",
        &["agent", "error", "ledger", "price", "protocol", "provider", "telemetry"],
        "holds counters already bound to their labels",
    ),
    (
        "call",
        &[
            "agent",
            "error",
            "ledger",
            "message",
            "money",
            "owned",
            "price",
            "protocol",
            "provider",
            "snapshot",
            "telemetry",
        ],
        "",
    ),
    ("tls", &[], "who we are to clients; facts, no sockets"),
    ("http1", &["message"], "what both ends of HTTP/1.1 share"),
    ("listen", &["error", "http1", "message", "telemetry", "tls"], "generic over the service: sockets know no policy"),
    ("policy", EVERY_POLICY, "and not one another, but for the exceptions below"),
    (
        "upstream",
        &["call", "error", "http1", "message", "protocol", "provider", "telemetry"],
        "its target comes with the call, so it needs no rules",
    ),
    (
        "webhook",
        &["error", "ledger", "provider", "snapshot", "telemetry", "upstream"],
        "a queue and a task: who is told goes by the rules, how to get there is the upstream's",
    ),
    ("journey", &["call", "error", "listen", "message", "policy", "policy/*", "upstream"], "strings them together"),
    (
        "config",
        &[
            "agent",
            "error",
            "journal",
            "ledger",
            "money",
            "price",
            "protocol",
            "provider",
            "snapshot",
            "telemetry",
            "tls",
        ],
        "compiles what was written into what is read",
    ),
    (
        "worker",
        &[
            "call",
            "error",
            "journal",
            "journey",
            "ledger",
            "listen",
            "owned",
            "policy",
            "snapshot",
            "telemetry",
            "tls",
            "upstream",
            "webhook",
        ],
        "one core",
    ),
    ("admin", &["error", "journal", "ledger", "money", "provider", "snapshot", "store", "telemetry"], ""),
    ("simulator", &["protocol", "telemetry"], "a provider: it must not know the gateway that it tests"),
    (
        "loadtest",
        &["protocol", "telemetry"],
        "asks and counts from outside; it must know the gateway only by its answers",
    ),
    (
        "cli",
        &[
            "admin",
            "agent",
            "config",
            "error",
            "journal",
            "ledger",
            "listen",
            "loadtest",
            "owned",
            "money",
            "price",
            "protocol",
            "provider",
            "simulator",
            "snapshot",
            "store",
            "telemetry",
            "tls",
            "webhook",
            "worker",
        ],
        "commands",
    ),
    ("main", &["cli"], ""),
];

/// Policies that know something more.
const EXCEPTIONS: &[Layer] = &[
    ("policy/authenticate", &["policy/gate"], "a decision is a gate"),
    ("policy/authorize", &["policy/gate"], "a decision is a gate"),
    ("policy/plan", &["policy/gate"], "a decision is a gate"),
    ("policy/fund", &["policy/gate"], "a decision is a gate"),
    ("policy/identify", &["listen"], "the outermost layer takes what a listener gives"),
    ("policy/observe", &["policy/record"], "writes the record; nobody else does"),
    ("policy/rescue", &["policy/reply"], "an answer is a refusal, a listing or a passage: one body type"),
    ("policy/catalog", &["policy/reply", "policy/standing"], "as rescue; and how a key stands"),
    (
        "policy/settle",
        &["policy/debt", "policy/meter", "policy/reply", "policy/failover", "policy/passage", "upstream"],
        "settles what failover won, while it passes; wraps its body",
    ),
    (
        "policy/failover",
        &["policy/attempt", "policy/passage", "policy/spoilt", "upstream"],
        "one attempt after another; the answer's body is the upstream's",
    ),
    ("policy/debt", &["policy/entry"], "writes entries of the usage journal"),
    ("policy/spoilt", &["policy/entry"], "as debt"),
    ("policy/meter", &["policy/debt"], "holds more for what is owed, or says that it cannot"),
    ("policy/passage", &["upstream"], "an answer on its way to the client, so it holds the upstream's body"),
];

/// Names of the outside world, and the only places that may say them.
const OUTSIDE: &[(&str, &[&str], &str)] = &[
    ("ArcSwap", &["snapshot/live"], "a request reads the rules once; everybody else gets them with the request"),
    (
        "hyper::",
        &["listen", "upstream", "simulator", "admin", "loadtest/passthrough"],
        "only the two ends know who moves the bytes; the baseline is both",
    ),
    ("hyper_util::", &["listen", "upstream", "simulator", "admin", "loadtest/passthrough"], "as hyper"),
    ("rusqlite::", &["store"], "one place speaks SQL"),
    ("axum::", &["admin"], "convenience is for the listener that is not on the hot path"),
    (
        "rustls::",
        &["listen", "upstream", "provider", "tls", "config", "cli"],
        "the two ends, and who trusts whom; cli only hands it on",
    ),
];

/// What pure folders never say.
const PURE: &[(&str, &[&str])] = &[
    ("protocol", &["tokio::", "std::net::", "std::fs::", "std::env::", "Instant", "SystemTime", "Mutex"]),
    ("agent", &["tokio::", "std::net::", "std::fs::", "std::env::", "Instant", "SystemTime", "Mutex"]),
    ("provider", &["tokio::", "TcpStream", "SystemTime"]),
    ("ledger", &["tokio::", "http::", "std::net::"]),
    ("snapshot", &["tokio::", "serde::Deserialize"]),
];

const LONGEST_FILE: usize = 600;

/// One file of `src/`, without its comments and its tests.
struct Source {
    /// As in `policy/admit`; `policy` for `policy/mod.rs`.
    module: String,
    code: String,
}

#[test]
fn no_layer_imports_what_the_table_does_not_name() {
    let sources = sources();
    let arrows = arrows(&sources);
    for (from, to) in &arrows {
        println!("{from:20} -> {}", to.iter().map(String::as_str).collect::<Vec<_>>().join(", "));
    }
    let new: Vec<String> = arrows
        .iter()
        .flat_map(|(from, to)| to.iter().filter(|to| !may_import(from, to)).map(move |to| format!("{from} -> {to}")))
        .collect();
    assert!(new.is_empty(), "new arrows; is each of them meant? Then LAYERS should say so.\n{}", new.join("\n"));
}

#[test]
fn the_table_speaks_of_modules_that_exist() {
    let modules: BTreeSet<String> = sources().iter().map(|source| layer(&source.module)).collect();
    let named = LAYERS.iter().chain(EXCEPTIONS).flat_map(|(from, to, _)| to.iter().chain([from]));
    let gone: Vec<_> = named.filter(|name| !name.ends_with("/*") && !modules.contains(**name)).collect();
    assert!(gone.is_empty(), "no longer there: {gone:?}");
}

#[test]
fn outside_names_stay_where_they_belong() {
    for Source { module, code } in sources() {
        for (name, places, why) in OUTSIDE {
            let allowed = places.iter().any(|place| module == *place || module.starts_with(&format!("{place}/")));
            assert!(allowed || !says(&code, name), "{module} names {name} but {why}");
        }
        for (pure, names) in PURE {
            if module == *pure || module.starts_with(&format!("{pure}/")) {
                let said: Vec<_> = names.iter().filter(|name| says(&code, name)).collect();
                assert!(said.is_empty(), "{module} must not name {said:?}");
            }
        }
    }
}

#[test]
fn every_file_says_what_it_is_and_none_is_endless() {
    for path in files(Path::new("src")).into_iter().chain(files(Path::new("tests"))) {
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("//! "), "{} does not begin with what it is", path.display());
        let lines = text.lines().count();
        assert!(lines <= LONGEST_FILE, "{} has {lines} lines: more than one decision", path.display());
    }
}

#[test]
fn architecture_shows_this_table() {
    const FILE: &str = "ARCHITECTURE.md";
    const MARKS: (&str, &str) = ("<!-- layering -->\n", "<!-- /layering -->");
    let text = fs::read_to_string(FILE).unwrap();
    let (before, rest) = text.split_once(MARKS.0).expect("a place for the table");
    let (shown, after) = rest.split_once(MARKS.1).expect("an end of the table");
    let table = rendered();
    if std::env::var_os("TOLLGATE_BLESS").is_some() {
        fs::write(FILE, [before, MARKS.0, &table, MARKS.1, after].concat()).unwrap();
        return;
    }
    assert_eq!(shown, table, "run: TOLLGATE_BLESS=1 cargo test --test layering");
}

#[test]
fn the_reader_sees_arrows_and_only_arrows() {
    #[track_caller]
    fn reads(name: &str, module: &str, text: &str, want: &[&str]) {
        let source = Source { module: module.to_owned(), code: without_comments_and_tests(text) };
        let known = ["error", "call", "policy", "policy/gate", "policy/fund", "snapshot"].map(str::to_owned);
        let got = imports(&source, &BTreeSet::from(known));
        assert_eq!(got, want.iter().map(|w| (*w).to_owned()).collect(), "{name}");
    }
    reads("use", "policy/fund", "use crate::call::Call;", &["call"]);
    reads("a path in an expression", "policy/fund", "let e = crate::error::Error::X;", &["error"]);
    reads("a group", "policy/fund", "use crate::{call::{Call, Plan}, error};", &["call", "error"]);
    reads(
        "a group over lines",
        "policy/fund",
        "use crate::{\n    call::Call,\n    error::Error,\n};",
        &["call", "error"],
    );
    reads("a neighbour", "policy/fund", "use super::gate::Decide;", &["policy/gate"]);
    reads("a neighbour by its full name", "policy/fund", "use crate::policy::gate::Decide;", &["policy/gate"]);
    reads(
        "neighbours in a group",
        "journey",
        "use crate::policy::{Core, gate, fund::Fund};",
        &["policy", "policy/fund", "policy/gate"],
    );
    reads("the parent", "policy/fund", "use super::Core;", &["policy"]);
    reads("a grandparent", "policy/fund/table", "use super::super::gate;", &["policy/gate"]);
    reads("itself", "policy/fund", "use crate::policy::fund::X;", &[]);
    reads("a folder's own file", "snapshot/live", "use super::View; use crate::snapshot::Key;", &[]);
    reads("comments", "policy/fund", "//! [`crate::call`]\n/// [`crate::error`]\nx(); // crate::snapshot", &[]);
    reads("tests", "policy/fund", "x();\n#[cfg(test)]\nmod tests {\n    use crate::call::Call;\n}\n", &[]);
    reads("after tests", "policy/fund", "#[cfg(test)]\nmod tests;\nuse crate::call::Call;\n", &["call"]);
    reads("the binary", "main", "use tollgate::error;", &["error"]);
    assert!(!may_import("listen", "policy"), "the table must be able to say no");
    assert!(!may_import("policy/fund", "policy/plan"), "policies do not know one another");
    assert!(says("use hyper::body;", "hyper::") && !says("use notahyper::body;", "hyper::"));
}

fn may_import(from: &str, to: &str) -> bool {
    let allows = |(name, may, _): &&Layer| {
        *name == from
            && may.iter().any(|m| *m == to || m.strip_suffix('*').is_some_and(|folder| to.starts_with(folder)))
    };
    if LAYERS.iter().chain(EXCEPTIONS).any(|layer| allows(&layer)) {
        return true;
    }
    from.starts_with("policy/") && EVERY_POLICY.contains(&to)
}

fn arrows(sources: &[Source]) -> BTreeMap<String, BTreeSet<String>> {
    let known: BTreeSet<String> = sources.iter().map(|source| layer(&source.module)).collect();
    let mut arrows: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for source in sources {
        arrows.entry(layer(&source.module)).or_default().extend(imports(source, &known));
    }
    arrows
}

/// The layer of a module: its folder, except that each policy is one of its own.
fn layer(module: &str) -> String {
    let mut parts = module.split('/');
    match (parts.next(), parts.next()) {
        (Some("policy"), Some(policy)) => format!("policy/{policy}"),
        (first, _) => first.unwrap_or_default().to_owned(),
    }
}

/// The layers that a file names, without its own.
fn imports(source: &Source, known: &BTreeSet<String>) -> BTreeSet<String> {
    let own = layer(&source.module);
    let mut found = BTreeSet::new();
    for (at, up) in anchors(&source.code, &source.module) {
        let mut paths = Vec::new();
        branches(&source.code[at..], up.clone(), &mut paths);
        for path in paths {
            // `policy::gate` is a layer, `policy::Core` is what `policy` itself has.
            let whole = layer(&path.join("/"));
            let name = if known.contains(&whole) { whole } else { path.first().cloned().unwrap_or_default() };
            if name != own && known.contains(&name) {
                found.insert(name);
            }
        }
    }
    found
}

/// Where a path into this crate goes on, and the module at which it is then.
fn anchors(code: &str, module: &str) -> Vec<(usize, Vec<String>)> {
    let mut anchors = Vec::new();
    let roots: &[&str] = if module == "main" { &["crate::", "tollgate::"] } else { &["crate::"] };
    for root in roots {
        anchors.extend(word_starts(code, root).map(|at| (at + root.len(), Vec::new())));
    }
    for at in word_starts(code, "super::") {
        // Only the first `super` of several; the others are counted with it.
        if code[..at].ends_with("super::") {
            continue;
        }
        let ups = code[at..].split("super::").skip(1).take_while(|gap| gap.is_empty()).count() + 1;
        let mut up: Vec<String> = module.split('/').map(str::to_owned).collect();
        up.truncate(up.len().saturating_sub(ups));
        anchors.push((at + ups * "super::".len(), up));
    }
    anchors
}

/// The first two names of every path that begins here: one, or those of a group in braces.
fn branches(code: &str, up: Vec<String>, found: &mut Vec<Vec<String>>) {
    let code = code.trim_start();
    if let Some(group) = code.strip_prefix('{') {
        let mut depth = 0;
        let mut begin = 0;
        for (at, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth > 0 => depth -= 1,
                '}' | ',' if depth == 0 => {
                    branches(&group[begin..at], up.clone(), found);
                    begin = at + 1;
                    if c == '}' {
                        return;
                    }
                }
                _ => {}
            }
        }
        return;
    }
    let end = code.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(code.len());
    let mut path = up;
    if end > 0 {
        path.push(code[..end].to_owned());
    }
    match code[end..].strip_prefix("::") {
        Some(rest) if path.len() < 2 => branches(rest, path, found),
        _ => found.push(path),
    }
}

/// Where `name` stands as a word of its own.
fn word_starts<'c>(code: &'c str, name: &'c str) -> impl Iterator<Item = usize> + 'c {
    code.match_indices(name).map(|(at, _)| at).filter(|at| {
        let before = code[..*at].chars().next_back();
        before.is_none_or(|c| !c.is_alphanumeric() && c != '_')
    })
}

fn says(code: &str, name: &str) -> bool {
    word_starts(code, name).next().is_some()
}

fn sources() -> Vec<Source> {
    let mut sources = Vec::new();
    for path in files(Path::new("src")) {
        let module = path.strip_prefix("src").unwrap().with_extension("");
        let module = module.to_str().unwrap().trim_end_matches("/mod").to_owned();
        if module != "lib" && !module.ends_with("/tests") {
            let code = without_comments_and_tests(&fs::read_to_string(&path).unwrap());
            sources.push(Source { module, code });
        }
    }
    assert!(sources.len() > 50, "the source was not found");
    sources
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// A module of tests is one line (`mod tests;`) or ends with a brace at the beginning of a line, as rustfmt writes it.
fn without_comments_and_tests(text: &str) -> String {
    let mut code = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line == "#[cfg(test)]" {
            let item = lines.next().unwrap_or_default();
            if item.ends_with('{') {
                lines.by_ref().find(|line| *line == "}");
            }
            continue;
        }
        code.push_str(line.split("//").next().unwrap_or_default());
        code.push('\n');
    }
    code
}

/// As ARCHITECTURE.md shows it.
fn rendered() -> String {
    let mut table = String::from("| layer | may import | note |\n| --- | --- | --- |\n");
    let mut rows = |layers: &[Layer], also: &str| {
        for (name, may, why) in layers {
            let may: Vec<_> = may.iter().map(|m| format!("`{m}`")).collect();
            let may = if may.is_empty() { "nothing of ours".to_owned() } else { format!("{also}{}", may.join(" ")) };
            table.push_str(&format!("| `{name}` | {may} | {why} |\n"));
        }
    };
    rows(LAYERS, "");
    rows(EXCEPTIONS, "also ");
    table
}
