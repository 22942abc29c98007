//! `tollgate loadtest` as a process: it measures, it tells, it finds out who is slow, and it leaves nothing behind.
//!
//! The runs are short and the machine may be busy, so what is asserted is what was added on purpose, with room, and never how fast
//! anything is.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in its helpers")]

mod program;

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use program::{Process, free, listens, tollgate};
use serde_json::Value;
use tollgate::loadtest::markdown;
use tollgate::loadtest::report::Report;

/// Anywhere, and quiet.
const USUAL: &[&str] = &["loadtest", "--no-pin", "--no-progress"];

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tollgate")).args(USUAL).args(arguments).output().unwrap()
}

#[track_caller]
fn ends(output: &Output, code: i32) -> String {
    let told = [output.stdout.as_slice(), &output.stderr].concat();
    let told = String::from_utf8_lossy(&told).into_owned();
    assert_eq!(output.status.code(), Some(code), "{told}");
    told
}

fn report(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn section<'r>(report: &'r Value, profile: &str) -> &'r Value {
    report["sections"].as_array().unwrap().iter().find(|section| section["profile"] == profile).unwrap()
}

fn subject<'r>(report: &'r Value, profile: &str, name: &str) -> &'r Value {
    section(report, profile)["subjects"].as_array().unwrap().iter().find(|subject| subject["name"] == name).unwrap()
}

#[test]
fn every_profile_runs_and_every_answer_is_the_providers() {
    let folder = tempfile::tempdir().unwrap();
    let (json, html) = (folder.path().join("r.json"), folder.path().join("r.html"));
    let output = run(&[
        "--profiles",
        "all",
        "--rounds",
        "1",
        "--duration",
        "0.5",
        "--connections",
        "20",
        "--rate",
        "20",
        "--answer-events",
        "50",
        "--json",
        json.to_str().unwrap(),
        "--html",
        html.to_str().unwrap(),
    ]);
    let told = ends(&output, 0);
    let report = report(&json);
    let profiles = report["sections"].as_array().unwrap();
    assert_eq!(profiles.len(), 13, "{told}");
    for section in profiles {
        let profile = section["profile"].as_str().unwrap();
        for subject in section["subjects"].as_array().unwrap() {
            let name = format!("{profile}, {}: {subject}", subject["name"]);
            assert_eq!(subject["exact"], true, "{name}");
            if profile == "frontier" {
                assert_eq!(subject["steps"].as_array().unwrap().len(), 8, "{name}");
                continue;
            }
            assert!(subject["answers"].as_u64().unwrap() > 3, "{name}");
            assert!(subject["cpu"]["value"].as_f64().unwrap() > 0.0, "{name}");
            assert!(subject["memory"]["idle"].as_u64().unwrap() > 1 << 20, "{name}");
            let faults = subject["faults"].as_object().unwrap();
            assert_eq!(!faults.is_empty(), profile == "failing", "{name}");
        }
    }
    // What the provider refused, everybody hears.
    for name in ["direct", "baseline", "gateway"] {
        assert!(subject(&report, "failing", name)["faults"]["status 529"].as_u64().unwrap() > 0, "{name}");
    }
    assert!(subject(&report, "streams", "gateway")["per_stream"].as_f64().is_some());
    assert!(subject(&report, "streams", "gateway")["gap"]["p50"]["value"].as_f64().unwrap() > 10_000.0, "50 ms apart");
    let crowd = subject(&report, "crowd", "gateway");
    assert_eq!(crowd["answers"], 20, "each once");
    assert!(crowd["per_stream"].as_f64().is_some());
    let gap = crowd["gap"]["p50"]["value"].as_f64().unwrap();
    assert!((240_000.0..300_000.0).contains(&gap), "those that speak, every 250 ms: {gap}");
    let uploads = subject(&report, "uploads", "gateway");
    let (bodies, all) = (uploads["in_flight"].as_u64().unwrap(), 150_000 * uploads["answers"].as_u64().unwrap());
    assert!((all..all + all / 10).contains(&bodies), "all of them at one time, and their heads: {bodies} of {all}");
    let page = std::fs::read_to_string(&html).unwrap();
    assert!(page.matches("<svg").count() >= 20, "charts");
    let own = std::env::temp_dir().join(format!("tollgate-loadtest-{}", std::process::id()));
    assert!(!own.exists(), "files were left behind");
}

/// A bare proxy that is slowed on purpose, beside one that is not: what was added is what is found.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_slow_is_found_out() {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("r.json");
    let (provider, delayed, stalled): (SocketAddr, _, _) = (free(), free(), free());
    let start = |at: SocketAddr, slow: &[&str]| {
        let (at, to) = (at.to_string(), provider.to_string());
        tollgate(&[&["passthrough", "--listen", &at, "--upstream", &to], slow].concat())
    };
    let _delayed = start(delayed, &["--delay-us", "5000"]);
    let _stalled = start(stalled, &["--stall-ms", "200", "--stall-every-ms", "700"]);
    listens(delayed).await;
    listens(stalled).await;
    let (at, delayed, stalled) =
        (provider.to_string(), format!("delayed=http://{delayed}"), format!("stalled=http://{stalled}"));
    let arguments = [
        "--profiles",
        "chat",
        "--rate",
        "50",
        "--rounds",
        "2",
        "--duration",
        "1.5",
        "--provider",
        &at,
        "--url",
        &delayed,
        "--url",
        &stalled,
        "--json",
        json.to_str().unwrap(),
        "--check",
        "p50_added@delayed<4ms",
        "--check",
        "max@stalled<100ms",
        "--check",
        "faults@stalled<=0",
    ];
    let told = ends(&run(&arguments), 1);
    assert_eq!(told.matches("FAILED").count(), 2, "both, and nothing else: {told}");
    let report = report(&json);
    let at =
        |name: &str, quantile: &str| subject(&report, "chat", name)["latency"][quantile]["value"].as_f64().unwrap();
    let added = at("delayed", "p50") - at("baseline", "p50");
    assert!((4_000.0..20_000.0).contains(&added), "5 ms were added, {added} µs were found");
    assert!(at("stalled", "max") > 150_000.0, "{}", at("stalled", "max"));
    // Whose process it is was found by its port.
    assert!(subject(&report, "chat", "delayed")["cpu"]["value"].as_f64().unwrap() > 0.0);
}

/// A gateway that answers from elsewhere would be paid for by somebody.
#[tokio::test]
async fn whoever_leads_elsewhere_is_not_loaded() {
    let (other, proxy) = (free(), free());
    let (listen, upstream) = (proxy.to_string(), other.to_string());
    let _other = tollgate(&["mock", "--listen", &upstream]);
    let _proxy = tollgate(&["passthrough", "--listen", &listen, "--upstream", &upstream]);
    listens(other).await;
    listens(proxy).await;
    let url = format!("http://{proxy}");
    let arguments = [
        "--profiles",
        "chat",
        "--rounds",
        "1",
        "--duration",
        "0.5",
        "--rate",
        "20",
        "--no-baseline",
        "--gateway",
        &url,
    ];
    let told = ends(&run(&arguments), 3);
    assert!(told.contains("does not lead to the simulated provider"), "{told}");
    let told = ends(&run(&[&arguments[..], &["--elsewhere"]].concat()), 0);
    assert!(told.contains("not the provider's bytes"), "{told}");
}

/// Killed, it can end nobody; they must notice by themselves.
#[test]
fn nobody_outlives_a_test_that_is_killed() {
    let arguments = ["--profiles", "chat", "--rounds", "1", "--duration", "60", "--rate", "20"];
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    let mut test = Process(command.args(USUAL).args(arguments).stdout(Stdio::null()).spawn().unwrap());
    let pid = test.0.id();
    let all_are_there = || Some(children(pid)).filter(|children| children.len() == 3);
    let children = eventually("provider, baseline and gateway", all_are_there);
    test.0.kill().unwrap();
    test.0.wait().unwrap();
    for child in children {
        eventually("a child to end", || (!runs(child)).then_some(()));
    }
    // What a killed one leaves, the next one removes.
    let left = std::env::temp_dir().join(format!("tollgate-loadtest-{pid}"));
    assert!(left.exists());
    ends(&run(&["--profiles", "chat", "--rounds", "1", "--duration", "0.2", "--rate", "20", "--no-baseline"]), 0);
    assert!(!left.exists(), "{}", left.display());
}

#[track_caller]
fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "no sight of {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// State and parent, the fields behind the name in parentheses (proc(5)).
fn stat(pid: u32) -> Option<(String, u32)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = text.rsplit_once(") ")?.1.split(' ').map(str::to_owned);
    Some((fields.next()?, fields.next()?.parse().ok()?))
}

/// One that has ended stays in the table until it is asked for.
fn runs(pid: u32) -> bool {
    stat(pid).is_some_and(|(state, _)| state != "Z")
}

fn children(parent: u32) -> Vec<u32> {
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| stat(*pid).is_some_and(|(_, of)| of == parent) && runs(*pid)).collect()
}

/// Each says what was wrong with it: 2 before anything starts, 3 when it turns out.
#[tokio::test]
async fn what_is_wrong_is_said() {
    let (nobody, locked) = (free(), free());
    let _locked = tollgate(&["mock", "--listen", &locked.to_string(), "--key", "right"]);
    listens(locked).await;
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("broken.json");
    std::fs::write(&broken, "{\"form\": ").unwrap();
    let (nobody, locked, broken) =
        (format!("http://{nobody}"), format!("http://{locked}"), broken.to_str().unwrap().to_owned());
    for (name, arguments, code, why) in [
        ("an unknown profile", vec!["--profiles", "nothing"], 2, "there are chat, flat-out"),
        ("no threshold", vec!["--check", "p99"], 2, "neither < nor >"),
        ("a threshold for no figure", vec!["--check", "p98<1ms"], 2, "no figure"),
        ("a threshold for nobody", vec!["--check", "p99@other<1ms"], 2, "will be no subject"),
        ("a threshold for no profile", vec!["--profiles", "chat", "--check", "fleet:p99<1ms"], 2, "will be no profile"),
        ("a place that cannot be written", vec!["--json", "/nowhere/r.json"], 2, "/nowhere/r.json"),
        ("no URL", vec!["--gateway", "127.0.0.1:1"], 2, "http://HOST:PORT"),
        ("a URL without a name", vec!["--url", "http://127.0.0.1:1"], 2, "NAME=URL"),
        ("another machine", vec!["--gateway", "http://192.0.2.1:1"], 2, "--remote"),
        ("no file", vec!["--compare", "/nowhere/a.json", "/nowhere/b.json"], 2, "No such file"),
        ("no JSON", vec!["--compare", &broken, &broken], 2, "no report"),
        ("one file", vec!["--compare", &broken], 2, "2 values"),
        ("both at once", vec!["--compare", &broken, &broken, "--check", "p99<1"], 2, "cannot be used with"),
        ("nobody there", vec!["--profiles", "chat", "--no-baseline", "--gateway", &nobody], 3, "does it listen"),
        (
            "a wrong key",
            vec!["--profiles", "chat", "--no-baseline", "--gateway", &locked, "--key", "wrong"],
            3,
            "status 401",
        ),
        ("more than there are ports", vec!["--profiles", "streams", "--streams", "60000"], 3, "ip_local_port_range"),
    ] {
        let told = ends(&run(&arguments), code);
        assert!(told.contains(why), "{name}: {told}");
    }
}

#[test]
fn two_reports() {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("r.json");
    let json = json.to_str().unwrap();
    let arguments =
        ["--profiles", "chat", "--rounds", "1", "--duration", "0.5", "--rate", "20", "--no-baseline", "--json", json];
    ends(&run(&arguments), 0);
    let told = ends(&run(&["--compare", json, json]), 0);
    assert!(told.contains("CPU per answer") && told.contains("+0.0 %"), "{told}");
}

#[test]
fn the_docs_show_what_was_measured() {
    const FILE: &str = "docs/performance.md";
    const MARKS: (&str, &str) = ("<!-- measured -->\n", "<!-- /measured -->");
    let report = Report::read(&std::fs::read_to_string("docs/performance.json").unwrap()).unwrap();
    let text = std::fs::read_to_string(FILE).unwrap();
    let (before, rest) = text.split_once(MARKS.0).expect("a place for the tables");
    let (shown, after) = rest.split_once(MARKS.1).expect("an end of the tables");
    let tables = markdown::render(&report);
    if std::env::var_os("TOLLGATE_BLESS").is_some() {
        std::fs::write(FILE, [before, MARKS.0, &tables, MARKS.1, after].concat()).unwrap();
        return;
    }
    assert_eq!(shown, tables, "run: TOLLGATE_BLESS=1 cargo test --test loadtest docs");
}
