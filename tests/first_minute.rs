//! Tollgate without a configuration: the key that stays, the rules that follow from the environment, the lines to paste.

#![cfg(test)]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tollgate::cli::first_minute::offers::{self, AGENTS, OPERATORS};
use tollgate::cli::first_minute::{FirstMinute, keep};
use tollgate::config::Loaded;
use tollgate::protocol::Dialect::{self, Anthropic, Chat, Gemini, Responses};
use tollgate::snapshot::key;
use tollgate::snapshot::routes::UpstreamModel;
use tollgate::telemetry::metrics::Metrics;

/// An environment whose state folder is `state`.
fn env(state: &Path, set: &[(&'static str, &'static str)]) -> impl Fn(&str) -> Option<String> + use<> {
    let (state, set) = (state.to_str().unwrap().to_owned(), set.to_vec());
    move |name| {
        if name == "XDG_STATE_HOME" {
            return Some(state.clone());
        }
        set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    }
}

/// A first minute in this environment: its rules and what it prints.
async fn minute(set: &[(&'static str, &'static str)]) -> (Loaded, String) {
    let state = tempfile::tempdir().unwrap();
    let env = env(state.path(), set);
    let minute = FirstMinute::begin(&env).await.unwrap();
    let loaded = minute.load(&env, &Metrics::default()).unwrap();
    (loaded, minute.banner(AGENTS, OPERATORS).to_string())
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn the_key_stays_and_only_its_owner_reads_it() {
    let state = tempfile::tempdir().unwrap();
    let folder = keep::folder(&env(state.path(), &[])).unwrap();
    assert_eq!(folder, state.path().join("tollgate"));
    let first = keep::key(&folder).unwrap();
    assert_eq!(first.file, folder.join("first-key"));
    assert_eq!((mode(&folder), mode(&first.file)), (0o700, 0o600));
    assert_eq!(key::checksum_holds(first.key.expose()), Some(true));
    assert_eq!(keep::key(&folder).unwrap().key.expose(), first.key.expose());
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "no draft is left behind");
    assert!(!format!("{first:?}").contains(first.key.expose()));
}

/// The program, in an empty folder, with nothing in its environment but a state folder.
fn program(state: &Path) -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    program.current_dir(state).env_clear().env("XDG_STATE_HOME", state);
    program.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    program
}

#[test]
fn a_taken_port_is_said_before_anything_is_promised_and_two_first_starts_share_a_key() {
    // Ours, unless somebody else has it: taken it is. Without a port the program ends by itself.
    let (state, _taken) = (tempfile::tempdir().unwrap(), TcpListener::bind(AGENTS));
    let started = [0, 1].map(|_| program(state.path()).spawn().unwrap());
    for ended in started.map(|child| child.wait_with_output().unwrap()) {
        let (out, err) = (String::from_utf8(ended.stdout).unwrap(), String::from_utf8(ended.stderr).unwrap());
        assert_eq!(ended.status.code(), Some(1), "{err}");
        assert_eq!(out, "");
        assert!(err.contains("cannot listen on 127.0.0.1:8080") && err.contains("tollgate.toml"), "{err}");
        assert!(!err.contains("tg-"), "{err}");
    }
    let folder = state.path().join("tollgate");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "one key, and no draft");
    keep::key(&folder).unwrap();
}

#[test]
fn a_key_that_cannot_be_used_is_complained_about_and_kept() {
    let good = key::generate().unwrap();
    let typed = good.expose().replace(&good.expose()[10..12], "--");
    let twice = format!("{0}\n{0}\n", good.expose());
    for (name, text, file_mode, want) in [
        ("empty", "", 0o600, "is damaged"),
        ("cut", &good.expose()[..40], 0o600, "is damaged"),
        ("typed", &typed, 0o600, "is damaged"),
        ("two of them", &twice, 0o600, "is damaged"),
        ("not text", "\0", 0o600, "is damaged"),
        ("open to others", good.expose(), 0o640, "chmod 600"),
    ] {
        let state = tempfile::tempdir().unwrap();
        let file = state.path().join("first-key");
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(file_mode)).unwrap();
        let why = keep::key(state.path()).expect_err(name);
        assert!(why.contains(want) && why.contains("\n  hint: "), "{name}: {why}");
        assert!(why.contains(file.to_str().unwrap()), "{name}: {why}");
        assert!(text.is_empty() || !why.contains(text.trim_end()), "{name}: {why}");
        assert_eq!(fs::read_to_string(&file).unwrap(), text, "{name}: it was replaced");
    }
}

#[test]
fn a_state_folder_that_cannot_be_is_an_error() {
    let state = tempfile::tempdir().unwrap();
    fs::write(state.path().join("tollgate"), "").unwrap();
    let why = keep::key(&state.path().join("tollgate")).unwrap_err();
    assert!(why.contains("cannot be made") && why.contains("hint: "), "{why}");
    let nowhere = |name: &str| (name == "XDG_STATE_HOME").then(|| "relative".to_owned());
    assert!(keep::folder(&nowhere).unwrap_err().contains("hint: "));
    let home = |name: &str| (name == "HOME").then(|| "/home/ada".to_owned());
    assert_eq!(keep::folder(&home).unwrap(), Path::new("/home/ada/.local/state/tollgate"));
}

#[test]
fn a_provider_is_on_when_its_variable_is_set() {
    let ours = key::generate().unwrap();
    let state = TempDir::new().unwrap();
    for (set, want) in [
        (&[][..], &[][..]),
        (&[("ANTHROPIC_API_KEY", "")], &[]),
        (&[("ANTHROPIC_API_KEY", "sk-1")], &[("anthropic", "ANTHROPIC_API_KEY")]),
        (&[("GOOGLE_API_KEY", "AIza")], &[("gemini", "GOOGLE_API_KEY")]),
        (&[("GOOGLE_API_KEY", "AIza"), ("GEMINI_API_KEY", "AIzb")], &[("gemini", "GEMINI_API_KEY")]),
        (&[("XAI_API_KEY", "x"), ("OPENAI_API_KEY", "sk-2")], &[("openai", "OPENAI_API_KEY"), ("xai", "XAI_API_KEY")]),
        (&[("ANTHROPIC_BASE_URL", "http://127.0.0.1:8080")], &[]),
    ] {
        let found = offers::find(&env(state.path(), set));
        let got: Vec<_> = found.offers.iter().map(|(offer, variable)| (offer.name, *variable)).collect();
        assert_eq!(got, want, "{set:?}");
        assert!(found.ours.is_empty(), "{set:?}");
    }
    let exported = |name: &str| (name == "ANTHROPIC_API_KEY").then(|| ours.expose().to_owned());
    let found = offers::find(&exported);
    assert_eq!((found.offers.len(), found.ours), (0, vec!["ANTHROPIC_API_KEY"]), "a key of ours is no provider's");
}

#[track_caller]
fn leads(loaded: &Loaded, dialect: Dialect, model: &str, provider: &str, upstream: &UpstreamModel) {
    let found = loaded.prepared.0.routes.find(dialect, model).unwrap_or_else(|| panic!("{model} leads nowhere"));
    let target = &found.route.targets[0];
    assert_eq!((&*target.provider.name, &target.model), (provider, upstream), "{model}");
}

const ALL: [(&str, &str); 8] = [
    ("ANTHROPIC_API_KEY", "sk-secret-anthropic"),
    ("OPENAI_API_KEY", "sk-secret-openai"),
    ("GEMINI_API_KEY", "sk-secret-gemini"),
    ("OPENROUTER_API_KEY", "sk-secret-openrouter"),
    ("GROQ_API_KEY", "sk-secret-groq"),
    ("MISTRAL_API_KEY", "sk-secret-mistral"),
    ("DEEPSEEK_API_KEY", "sk-secret-deepseek"),
    ("XAI_API_KEY", "sk-secret-xai"),
];

#[tokio::test]
async fn every_provider_gets_its_own_models() {
    let (loaded, banner) = minute(&ALL).await;
    assert_eq!(loaded.warnings, []);
    let same = UpstreamModel::Same;
    let stripped = UpstreamModel::Captured { prefix: "".into(), suffix: "".into() };
    for (dialect, model, provider, upstream) in [
        (Anthropic, "claude-sonnet-4-5", "anthropic", &same),
        (Chat, "gpt-5.5", "openai", &same),
        (Responses, "gpt-6.1-sol", "openai", &same),
        (Responses, "o3", "openai", &same),
        (Gemini, "gemini-2.5-pro", "gemini", &same),
        (Chat, "openrouter/openai/gpt-5-mini", "openrouter", &stripped),
        (Anthropic, "openrouter/anthropic/claude-haiku-4.5", "openrouter", &stripped),
        (Chat, "groq/openai/gpt-oss-120b", "groq", &stripped),
        (Chat, "devstral-latest", "mistral", &same),
        (Chat, "deepseek-chat", "deepseek", &same),
        (Responses, "grok-4.5", "xai", &same),
    ] {
        leads(&loaded, dialect, model, provider, upstream);
    }
    assert!(loaded.prepared.0.routes.find(Chat, "llama").is_none(), "what nobody has is nobody's");
    assert!(!banner.contains("secret"), "{banner}");
    for (variable, _) in ALL {
        assert!(banner.contains(&format!("(key from {variable})")), "{variable} in\n{banner}");
    }
}

#[tokio::test]
async fn without_a_provider_the_simulator_answers_everybody() {
    let (loaded, banner) = minute(&[]).await;
    assert_eq!(loaded.warnings, []);
    for dialect in Dialect::ALL {
        leads(&loaded, dialect, "whatever-9", "simulator", &UpstreamModel::Same);
        let listed: Vec<_> = loaded.prepared.0.routes.names(dialect).collect();
        assert_eq!(listed, ["claude-sonnet-4-5", "gpt-5.5", "gemini-2.5-pro"]);
        let provider = &loaded.prepared.0.routes.find(dialect, "x").unwrap().route.targets[0].provider;
        assert_eq!(&*provider.origin.host, "127.0.0.1");
    }
    assert!(banner.contains("ANTHROPIC_API_KEY OPENAI_API_KEY"), "{banner}");
}

#[tokio::test]
async fn nobody_but_this_machine_is_listened_to() {
    for set in [&[][..], &ALL] {
        let (loaded, _) = minute(set).await;
        let listen = &loaded.startup.listen;
        assert_eq!(
            (listen.address.to_string(), listen.admin.to_string()),
            ("127.0.0.1:8080".into(), "127.0.0.1:8081".into())
        );
        assert!(!listen.behind_proxy);
        assert_eq!(loaded.prepared.0.keyring.len(), 1, "no key would be no gate");
    }
}

#[tokio::test]
async fn an_agent_gets_a_line_when_somebody_speaks_its_api() {
    for (name, set, has, lacks) in [
        (
            "Anthropic only",
            &[("ANTHROPIC_API_KEY", "sk-1")][..],
            &["ANTHROPIC_API_KEY= claude\n", "@ai-sdk/anthropic", "/v1/messages"][..],
            &["codex", "Gemini CLI", "ANTHROPIC_MODEL"][..],
        ),
        (
            "Gemini only",
            &[("GEMINI_API_KEY", "sk-1")],
            &["GOOGLE_GEMINI_BASE_URL=", "@ai-sdk/google", "gemini-2.5-flash:generateContent"],
            &["codex", "Claude Code"],
        ),
        (
            "OpenRouter only: its names have to be said",
            &[("OPENROUTER_API_KEY", "sk-1")],
            &["ANTHROPIC_MODEL=openrouter/anthropic/claude-haiku-4.5", "codex -m openrouter/openai/gpt-5-mini"],
            &["Gemini CLI"],
        ),
    ] {
        let (_, banner) = minute(set).await;
        for words in has {
            assert!(banner.contains(words), "{name}: no {words} in\n{banner}");
        }
        for words in lacks {
            assert!(!banner.contains(words), "{name}: {words} in\n{banner}");
        }
    }
}

#[tokio::test]
async fn a_state_folder_with_odd_characters_stays_one_word() {
    let state = tempfile::tempdir().unwrap();
    let odd = state.path().join("ada's state");
    let minute = FirstMinute::begin(&env(&odd, &[])).await.unwrap();
    let banner = minute.banner(AGENTS, OPERATORS).to_string();
    let want = format!("GEMINI_CLI_HOME='{}/ada'\\''s state/tollgate/gemini-cli' ", state.path().display());
    assert!(banner.contains(&want), "no {want} in\n{banner}");
}

#[tokio::test]
async fn a_variable_that_holds_no_key_is_named_and_not_shown() {
    let state = tempfile::tempdir().unwrap();
    let env = env(state.path(), &[("OPENAI_API_KEY", "Bearer hunter2")]);
    let minute = FirstMinute::begin(&env).await.unwrap();
    let why = minute.load(&env, &Metrics::default()).unwrap_err();
    assert!(why.contains("OPENAI_API_KEY") && why.contains("hint: ") && !why.contains("hunter2"), "{why}");
}

/// The program under other ports than its own, which a test may not take from whoever runs it.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_first_line_to_paste_works() {
    let control = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let state = tempfile::tempdir().unwrap();
    let env = env(state.path(), &[]);
    let (simulator, kept) = control.block_on(async {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let simulator =
            tollgate::simulator::Simulator::start(tollgate::simulator::Script::default(), any).await.unwrap();
        (simulator, keep::key(&keep::folder(&env).unwrap()).unwrap())
    });
    let found = offers::find(&env);
    let rules = offers::rules(&found, &kept.key.digest_hex(), Some(&simulator.url()));
    let file = state.path().join("rules.toml");
    fs::write(&file, rules.replace(":8080", ":0").replace(":8081", ":0")).unwrap();

    let mut running = Running(program(state.path()).arg("--config").arg(&file).spawn().unwrap());
    let log = BufReader::new(running.0.stderr.take().unwrap());
    let serving = log.lines().map(Result::unwrap).find(|line| line.contains("serving")).expect("it did not serve");
    let bound = |name: &str| -> SocketAddr {
        let (_, rest) = serving.split_once(name).unwrap();
        rest.split_whitespace().next().unwrap().parse().unwrap()
    };
    let (agents, operators) = (bound(" address="), bound(" admin="));
    let banner = tollgate::cli::first_minute::Banner { found: &found, kept: &kept, agents, operators }.to_string();

    let line = banner.lines().find(|line| line.contains("-d '")).unwrap();
    let mut words = line.split('\'');
    let path = words.next().unwrap().split_once(&agents.to_string()).unwrap().1.split(' ').next().unwrap();
    let quoted: Vec<_> = words.step_by(2).collect();
    let (body, headers) = quoted.split_last().unwrap();
    let mut stream = TcpStream::connect(agents).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let (headers, length) = (headers.join("\r\n"), body.len());
    write!(stream, "POST {path} HTTP/1.1\r\nhost: {agents}\r\nconnection: close\r\n{headers}\r\ncontent-length: {length}\r\n\r\n{body}").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{line}\n{answer}");
    assert!(answer.contains("simulated provider"), "{answer}");
}
