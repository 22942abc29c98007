//! The configuration as an operator meets it: samples that compile, and mistakes with the messages they cause.
//!
//! A mistake's row names the text, the place and the words; a message without a place is a failure here, and so is one that
//! shows a secret.

#![cfg(test)]

use std::path::Path;
use std::time::Duration;

use tollgate::config::{self, Loaded, Problems};
use tollgate::protocol::Dialect;
use tollgate::snapshot::routes::UpstreamModel;
use tollgate::telemetry::metrics::Metrics;

const GOOD: &str = r#"
version = 1
[[provider]]
name = "anthropic"
kind = "anthropic"
credential = { env = "ANTHROPIC_API_KEY" }
[[model]]
name = "claude-*"
provider = "anthropic"
[[key]]
name = "alice"
sha256 = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
"#;

fn env(name: &str) -> Option<String> {
    match name {
        "SHORT_KEY" => Some("hunter2".into()),
        "EMPTY" => Some(String::new()),
        "BLANK" => Some("Bearer sk-hunter2-hunter2".into()),
        "TYPED_KEY" => Some("tg-hunter2hunter2hunter2".into()),
        "UNSET" | "sk-ant-hunter2" | "AIzahunter2" => None,
        proxy if proxy.to_ascii_lowercase().ends_with("_proxy") => None,
        _ => Some("sk-test-0000000000000000".into()),
    }
}

fn load(text: &str) -> Result<Loaded, Problems> {
    config::load_text(Path::new("t.toml"), text, &env, &Metrics::default())
}

/// `text` has exactly these problems, each given as the beginning of `line:column: path: message` and a part of the hint.
#[track_caller]
fn wrong(name: &str, text: &str, want: &[(&str, &str)]) {
    let problems = load(text).expect_err(name);
    let shown = problems.to_string();
    assert!(!shown.contains("hunter2"), "{name}: a secret shows:\n{shown}");
    assert_eq!(problems.list.len(), want.len(), "{name}:\n{shown}");
    for (problem, (begins, hint)) in problems.list.iter().zip(want) {
        let text = problem.to_string();
        assert!(text.starts_with(&format!("t.toml:{begins}")), "{name}: want {begins} in\n{text}");
        assert!(problem.hint.as_deref().unwrap_or("").contains(hint), "{name}: want {hint} in\n{text}");
        assert!(problem.line > 0 && !problem.path.is_empty(), "{name}: no place in\n{text}");
    }
}

/// [`GOOD`] with further lines behind it (they begin on line 13) has these problems.
#[track_caller]
fn wrong_with(name: &str, more: &str, want: &[(&str, &str)]) {
    wrong(name, &format!("{GOOD}{more}"), want);
}

/// [`GOOD`] with further lines behind it compiles, with warnings that have these words.
#[track_caller]
fn warns(name: &str, more: &str, want: &[&str]) {
    let loaded = load(&format!("{GOOD}{more}")).unwrap_or_else(|e| panic!("{name}: {e}"));
    let got: Vec<_> = loaded.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(got.len(), want.len(), "{name}: {got:#?}");
    for (got, want) in got.iter().zip(want) {
        assert!(got.contains(want), "{name}: want {want} in\n{got}");
    }
}

#[test]
fn a_small_file_says_everything_by_default() {
    let loaded = load(GOOD).unwrap();
    assert_eq!(loaded.warnings, []);
    let listen = &loaded.startup.listen;
    assert_eq!(listen.address.to_string(), "127.0.0.1:8080");
    assert_eq!(listen.admin.to_string(), "127.0.0.1:8081");
    assert!(listen.workers >= 1);
    let rules = &loaded.prepared.0;
    assert_eq!(rules.limits.request_body, 32 << 20);
    assert_eq!(rules.timeouts.keepalive, Duration::from_secs(15));
    let found = rules.routes.find(Dialect::Anthropic, "claude-opus-4-1").unwrap();
    let target = &found.route.targets[0];
    assert_eq!(target.model, UpstreamModel::Same);
    assert_eq!(&*target.provider.origin.host, "api.anthropic.com");
    assert!(target.provider.tls.is_some());
    let (name, value) = target.provider.credential.header(Dialect::Anthropic).unwrap();
    assert_eq!((name.as_str(), value.to_str().unwrap()), ("x-api-key", "sk-test-0000000000000000"));
    assert!(rules.routes.find(Dialect::Chat, "claude-opus-4-1").is_none());
}

const FULL: &str = r#"
version = 1
[listen]
address = "0.0.0.0:80"
admin = "127.0.0.1:9000"
workers = 3
max_connections = 50
header_timeout = "1s"
idle_timeout = "2s"
drain = "0s"
behind_proxy = true
[limits]
request_body = 1000
inflight_bodies = "1KiB"
[timeouts]
body = "3s"
keepalive = "0s"
connect = "4s"
first_byte = "5s"
idle = "6s"
[log]
level = "warn"
format = "json"
access = { file = "access.log" }
[[provider]]
name = "groq"
kind = "compatible"
speaks = ["chat", "responses", "anthropic"]
base_url = "https://api.groq.com/openai/v1"
credential = { env = "GROQ_API_KEY" }
auth = "api-key"
headers = { x-title = "team", x-secret = { env = "X" } }
timeouts = { first_byte = "500ms" }
[[model]]
name = "fast"
aliases = ["quick", "cheap"]
provider = "groq"
[[model]]
name = "groq/*"
provider = "groq"
upstream_model = "openai/*-x"
dialects = ["chat"]
[[key]]
name = "bob"
owner = "bob"
team = "blue"
secret = { env = "BOB_KEY" }
agents = ["codex", "opencode"]
models = ["fast", "groq/*"]
expires = 2999-01-01
[[mount]]
prefix = "/codex"
agent = "codex"
dialect = "responses"
"#;

#[test]
fn a_full_file_means_what_it_says() {
    let loaded = load(FULL).unwrap();
    assert_eq!(loaded.warnings, []);
    let listen = &loaded.startup.listen;
    assert_eq!((listen.workers, listen.max_connections, listen.drain), (3, 50, Duration::ZERO));
    assert_eq!(loaded.startup.log.access, config::startup::Access::File("access.log".into()));
    let rules = &loaded.prepared.0;
    assert_eq!((rules.limits.request_body, rules.limits.inflight_bodies), (1000, 1024));
    assert_eq!((rules.timeouts.body, rules.timeouts.keepalive), (Duration::from_secs(3), Duration::ZERO));

    let fast = rules.routes.find(Dialect::Responses, "quick").unwrap().route;
    assert_eq!(fast.targets[0].model, UpstreamModel::Named("fast".into()));
    let groq = rules.routes.find(Dialect::Chat, "groq/gpt").unwrap();
    assert_eq!(groq.captured, "gpt");
    let captured = UpstreamModel::Captured { prefix: "openai/".into(), suffix: "-x".into() };
    assert_eq!(groq.route.targets[0].model, captured);
    assert!(rules.routes.find(Dialect::Anthropic, "groq/gpt").is_none());

    let provider = &groq.route.targets[0].provider;
    assert_eq!(&*provider.prefix, "/openai");
    assert_eq!(provider.timeouts.connect, Duration::from_secs(4));
    assert_eq!(provider.timeouts.first_byte, Duration::from_millis(500));
    for dialect in [Dialect::Chat, Dialect::Responses, Dialect::Anthropic] {
        assert_eq!(provider.credential.header(dialect).unwrap().0, "api-key");
    }
    assert!(provider.credential.header(Dialect::Gemini).is_none());
    assert_eq!(provider.headers.len(), 2);
    assert!(!format!("{provider:?}").contains("sk-test"), "a secret shows in Debug");

    let id = rules.keyring.find(b"sk-test-0000000000000000").unwrap();
    let bob = rules.keyring.key(id);
    assert_eq!((bob.owner.as_deref(), bob.team.as_deref(), bob.models.len()), (Some("bob"), Some("blue"), 2));
    assert_eq!(bob.expires.as_ref().map(|(_, text)| &**text), Some("2999-01-02T00:00:00Z"));
    assert!(rules.keyring.find(b"sk-test-0000000000000001").is_none());
    let (mount, rest) = rules.mounts.find("/codex/v1/responses").unwrap();
    assert_eq!((mount.dialect, rest), (Some(Dialect::Responses), "/v1/responses"));
}

#[test]
fn text_that_is_not_toml() {
    wrong("no value", "version = 1\nname = \n", &[("2:8: name: not TOML: ", "")]);
    wrong(
        "two syntax errors",
        "version = \n[[key]]\nname = \"a\n",
        &[("1:11: version: not TOML", ""), ("3:10: key[0].name: not TOML", "")],
    );
    wrong("duplicate key", "version = 1\nversion = 1\n", &[("2:1: version: not TOML: duplicate key", "")]);
}

#[test]
fn fields_that_do_not_exist() {
    wrong_with("section", "[lisen]\n", &[("13:2: lisen: unknown field `lisen`", "did you mean listen?")]);
    wrong_with(
        "list, told once",
        "[[keys]]\nname = 'a'\n[[keys]]\nname = 'b'\n",
        &[("13:3: keys: unknown field", "[[key]]")],
    );
    wrong_with("table for list", "[mount]\nprefix = '/a'\n", &[("13:1: mount: one table", "[[mount]]")]);
    wrong_with(
        "slip",
        "[listen]\nadress = '1'\n",
        &[("14:1: listen.adress: unknown field `adress`", "did you mean address?")],
    );
    wrong_with(
        "api_key in a provider",
        "[[provider]]\nname = 'x'\nkind = 'openai'\napi_key = 'hunter2'\n",
        &[("16:1: provider[1].api_key: unknown field", "credential = { env")],
    );
    wrong_with(
        "in a secret",
        "[[key]]\nname = 'x'\nsecret = { evn = 'A' }\n",
        &[("15:12: key[1].secret.evn: unknown field", "did you mean env?")],
    );
}

#[test]
fn secrets_in_the_file() {
    wrong_with(
        "credential in clear",
        "[[provider]]\nname = 'x'\nkind = 'openai'\ncredential = 'hunter2'\n",
        &[("16:14: provider[1].credential: a secret in clear", "{ env = \"NAME\" }")],
    );
    wrong_with(
        "key in clear",
        "[[key]]\nname = 'x'\nsecret = 'hunter2'\n",
        &[("15:10: key[1].secret: a secret in clear", "env")],
    );
    wrong_with(
        "pasted for a name",
        "[[key]]\nname = 'x'\nsecret = { env = 'sk-ant-hunter2' }\n[[key]]\nname = 'y'\nsecret = { env = 'AIzahunter2' }\n",
        &[("15:10: key[1].secret: no environment variable", "variable's name"), ("18:10: key[2].secret: no env", "")],
    );
    wrong_with(
        "key for its digest",
        "[[key]]\nname = 'x'\nsha256 = 'hunter2'\n",
        &[("15:10: key[1].sha256: it is not 64 hex digits", "tollgate key new")],
    );
    wrong_with(
        "text for a table",
        "[[provider]]\nname = 'x'\nkind = 'openai'\nheaders = 'Bearer hunter2'\n",
        &[("16:11: provider[1].headers: a string, expected a map", "")],
    );
    wrong_with(
        "header",
        "[[provider]]\nname = 'x'\nkind = 'openai'\nheaders = { authorization = 'hunter2' }\n",
        &[("16:29: provider[1].headers.authorization: authorization cannot be set here", "env")],
    );
    wrong_with(
        "in base_url",
        "[[provider]]\nname = 'x'\nkind = 'openai'\nbase_url = 'https://a:hunter2@b.example'\n",
        &[("16:12: provider[1].base_url: it holds a user name", "credential")],
    );
}

#[test]
fn values_of_the_wrong_form() {
    wrong("no version", &GOOD.replace("version = 1", ""), &[("1:1: version: it is missing", "version = 1")]);
    wrong("version 2", &GOOD.replace("version = 1", "version = 2"), &[("2:11: version: this Tollgate reads", "")]);
    wrong_with(
        "env and file",
        "[[key]]\nname = 'x'\nsecret = { env = 'A', file = 'b' }\n",
        &[("15:10: key[1].secret: wants one of env and file", "")],
    );
    wrong_with(
        "dialect",
        "[[mount]]\nprefix = '/a'\ndialect = 'antropic'\n",
        &[("15:11: mount[0].dialect: unknown choice \"antropic\"", "\"anthropic\"")],
    );
    wrong_with(
        "dialect in a list",
        "[[provider]]\nname = 'x'\nbase_url = 'https://x.example'\nspeaks = ['chat', 'chatt']\n",
        &[("16:19: provider[1].speaks[1]: unknown choice", "\"chat\"")],
    );
    wrong_with(
        "agent",
        "[[mount]]\nprefix = '/a'\nagent = 'claude'\n",
        &[("15:9: mount[0].agent: unknown choice", "claude-code")],
    );
    wrong_with("time", "[listen]\ndrain = '30 seconds'\n", &[("14:9: listen.drain: not a time", "\"30s\"")]);
    wrong_with("time without unit", "[listen]\ndrain = 30\n", &[("14:9: listen.drain: not a time", "\"30s\"")]);
    wrong_with("zero time", "[timeouts]\nidle = '0s'\n", &[("14:8: timeouts.idle: zero", "")]);
    wrong_with("size", "[limits]\nrequest_body = '32mb'\n", &[("14:16: limits.request_body: not a size", "\"32MiB\"")]);
    wrong_with("limits", "[limits]\nrequest_body = '2GiB'\n", &[("14:16: limits.request_body: one request", "")]);
    wrong_with(
        "date",
        "[[key]]\nname = 'x'\nsha256 = 'b'\nexpires = 'soon'\n",
        &[("16:11: key[1].expires: neither a date", "2027")],
    );
    wrong_with("missing field", "[[model]]\nname = 'x'\n", &[("13:1: model[1]: missing field `provider`", "")]);
    wrong_with("address", "[listen]\naddress = 'localhost'\n", &[("14:11: listen.address: ", "127.0.0.1:8080")]);
    wrong_with("access", "[log]\naccess = 'stout'\n", &[("14:10: log.access: unknown choice \"stout\"", "\"stdout\"")]);
    wrong_with("workers", "[listen]\nworkers = 0\n", &[("14:11: listen.workers: 0 is not between 1 and 1024", "")]);
}

#[test]
fn open_to_other_machines() {
    wrong_with(
        "without a proxy",
        "[listen]\naddress = '0.0.0.0:8080'\nadmin = '[::]:8081'\n",
        &[("14:11: listen.address: 0.0.0.0:8080 is open", "behind_proxy"), ("15:9: listen.admin: [::]:8081", "TLS")],
    );
    warns("loopback of both families", "[listen]\naddress = '[::1]:8080'\nadmin = '127.0.0.2:8081'\n", &[]);
    wrong_with("one port", "[listen]\nadmin = '127.0.0.1:8080'\n", &[("14:9: listen.admin: agents and operators", "")]);
}

#[test]
fn providers_that_make_no_sense() {
    wrong_with(
        "nothing said",
        "[[provider]]\nname = 'x'\n",
        &[("13:1: provider[1].speaks: it is not said", "speaks"), ("13:1: provider[1].base_url: it is not said", "")],
    );
    wrong_with(
        "twice",
        "[[provider]]\nname = 'anthropic'\nkind = 'anthropic'\n",
        &[("14:8: provider[1].name: two providers are named anthropic", "line 4")],
    );
    wrong_with(
        "unset, empty and blank",
        "[[provider]]\nname = 'x'\nkind = 'openai'\ncredential = { env = 'UNSET' }\n\
         [[provider]]\nname = 'y'\nkind = 'openai'\ncredential = { env = 'EMPTY' }\n\
         [[provider]]\nname = 'z'\nkind = 'openai'\ncredential = { env = 'BLANK' }\n",
        &[
            ("16:14: provider[1].credential: environment variable UNSET is not set", "set UNSET"),
            ("20:14: provider[2].credential: environment variable EMPTY is empty", ""),
            ("24:14: provider[3].credential: environment variable BLANK holds something that no key has", "Bearer"),
        ],
    );
    wrong_with(
        "headers",
        "[[provider]]\nname = 'x'\nkind = 'openai'\n[provider.headers]\nhost = 'a'\nte = 'b'\n\"a b\" = 'c'\nx-a = '1'\nX-A = '2'\n",
        &[
            ("17:8: provider[1].headers.host: host cannot", ""),
            ("18:6: provider[1].headers.te: te cannot", ""),
            ("19:9: provider[1].headers.a b: this is no name", ""),
            ("20:7: provider[1].headers.x-a: x-a is there twice", ""),
        ],
    );
    wrong_with(
        "ca_file",
        "[[provider]]\nname = 'x'\nkind = 'openai'\nca_file = '/nowhere/ca.pem'\n",
        &[("16:11: provider[1].ca_file: /nowhere/ca.pem cannot be read", "")],
    );
    wrong_with(
        "version",
        "[[provider]]\nname = 'x'\nspeaks = ['chat']\nbase_url = 'https://a.example/v4'\n",
        &[("16:12: provider[1].base_url: its API version v4", "/v1")],
    );
}

#[test]
fn models_that_make_no_sense() {
    wrong_with(
        "unknown provider",
        "[[model]]\nname = 'x'\nprovider = 'antropic'\n",
        &[("15:12: model[1].provider: no [[provider]] is named antropic", "did you mean anthropic?")],
    );
    wrong_with(
        "provider with a problem: the model is not to blame",
        "[[provider]]\nname = 'x'\nkind = 'openai'\ncredential = { env = 'UNSET' }\n[[model]]\nname = 'gpt-*'\nprovider = 'x'\n",
        &[("16:14: provider[1].credential", "")],
    );
    wrong_with(
        "stars",
        "[[model]]\nname = 'a*b*'\nprovider = 'anthropic'\n[[model]]\nname = 'c'\nprovider = 'anthropic'\nupstream_model = '*'\n",
        &[("14:8: model[1].name: it has more than one *", ""), ("19:18: model[2].upstream_model: its * stands", "")],
    );
    wrong_with(
        "pattern twice",
        "[[model]]\nname = 'claude-*'\nprovider = 'anthropic'\n",
        &[("14:8: model[1].name: claude-* is there already for anthropic calls", "line 8")],
    );
    wrong_with(
        "alias clash",
        "[[model]]\nname = 'a'\naliases = ['b', 'c*']\nprovider = 'anthropic'\n[[model]]\nname = 'b'\nprovider = 'anthropic'\n",
        &[("15:17: model[1].aliases[1]: neither", ""), ("18:8: model[2].name: b is there already", "line 15")],
    );
    wrong_with(
        "dialect",
        "[[model]]\nname = 'a'\nprovider = 'anthropic'\ndialects = ['chat']\n",
        &[("16:13: model[1].dialects[0]: provider anthropic does not speak chat", "")],
    );
    wrong_with(
        "name",
        "[[model]]\nname = ''\nprovider = 'anthropic'\n[[model]]\nname = ' a'\nprovider = 'anthropic'\n",
        &[("14:8: model[1].name: it is empty", ""), ("17:8: model[2].name: it has control", "")],
    );
}

#[test]
fn keys_that_make_no_sense() {
    let none = GOOD.split("[[key]]").next().unwrap();
    wrong(
        "none",
        none,
        &[("1:1: key: there is no [[key]]: no list means nobody may call, not everybody", "key create")],
    );
    let digest = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    wrong_with(
        "same name and digest",
        &format!("[[key]]\nname = 'alice'\nsha256 = '{digest}'\n"),
        &[
            ("14:8: key[1].name: two keys are named alice", "line 11"),
            ("15:10: key[1].sha256: this is the same key as that of alice", ""),
        ],
    );
    wrong_with(
        "nothing, both",
        "[[key]]\nname = 'x'\n[[key]]\nname = 'y'\nsecret = { env = 'A' }\nsha256 = 'b'\n",
        &[("13:1: key[1].secret: it is not said", "sha256"), ("17:10: key[2].secret: there is a sha256 as well", "")],
    );
    wrong_with(
        "short, mistyped",
        "[[key]]\nname = 'x'\nsecret = { env = 'SHORT_KEY' }\n[[key]]\nname = 'y'\nsecret = { env = 'TYPED_KEY' }\n",
        &[
            ("15:10: key[1].secret: it has fewer than 16 characters", "key new"),
            ("18:10: key[2].secret: it looks like a key of Tollgate's", "mistyped"),
        ],
    );
    wrong_with(
        "file",
        "[[key]]\nname = 'x'\nsecret = { file = '/nowhere/key' }\n",
        &[("15:10: key[1].secret: /nowhere/key: it cannot be read", "")],
    );
    wrong_with(
        "models",
        "[[key]]\nname = 'x'\nsecret = { env = 'A' }\nmodels = ['**']\n",
        &[("16:11: key[1].models[0]: it has more than one *", "")],
    );
}

#[test]
fn unmetered_calls_that_make_no_sense() {
    const ALLOWED: &str = "allow_unmetered = true\n";
    const OPENAI: &str = "[[provider]]\nname = 'a'\nkind = 'openai'\ncredential = { env = 'A' }\n\
         [[provider]]\nname = 'b'\nspeaks = ['chat']\nbase_url = 'https://b.test'\n\
         [[model]]\nname = 'a'\nprovider = 'a'\n[[model]]\nname = 'b'\nprovider = 'b'\n";
    let allowed = |more: &str| format!("{ALLOWED}{more}");
    warns("the only one", ALLOWED, &[]);
    warns("no key", "[unmetered]\nanthropic = 'anthropic'\n", &["no [[key]] says allow_unmetered = true"]);
    warns("no key after all", "allow_unmetered = false\n", &[]);
    warns("several", &allowed(OPENAI), &["a and b both speak chat: which of them gets openai's unmetered calls"]);
    warns("several, one named", &allowed(&format!("{OPENAI}[unmetered]\nopenai = 'a'\n")), &[]);
    warns("models", "allow_unmetered = true\nmodels = ['claude-x']\n", &["`models` does not bind these calls"]);
    wrong_with(
        "unknown",
        &allowed("[unmetered]\nanthropic = 'antropic'\n"),
        &[("15:13: unmetered.anthropic: no [[provider]] is named antropic", "did you mean anthropic?")],
    );
    wrong_with(
        "another API",
        &allowed("[unmetered]\nopenai = 'anthropic'\n"),
        &[("15:10: unmetered.openai: provider anthropic does not speak chat", "")],
    );
    wrong(
        "nobody",
        &GOOD
            .replace("kind = \"anthropic\"", "speaks = ['responses']\nbase_url = 'https://r.test'")
            .replace("[[key]]\n", "[[key]]\nallow_unmetered = true\n"),
        &[("12:19: key[0].allow_unmetered: there is no provider to which such calls could go", "[unmetered]")],
    );
}

#[test]
fn mounts_that_make_no_sense() {
    for (prefix, want) in [
        ("codex", "does not begin"),
        ("/", "ends with /"),
        ("/a/", "ends with /"),
        ("/a//b", "two in a row"),
        ("/a b", "other characters"),
        ("/a/../b", "other characters"),
        ("/v1", "APIs have their own"),
        ("/v1beta/x", "APIs have their own"),
    ] {
        let problems = load(&format!("{GOOD}[[mount]]\nprefix = '{prefix}'\n")).expect_err(prefix);
        assert!(problems.list[0].message.contains(want), "{prefix}: {problems}");
    }
    wrong_with(
        "twice",
        "[[mount]]\nprefix = '/a'\n[[mount]]\nprefix = '/a'\n",
        &[("16:10: mount[1].prefix: two mounts", "line 14")],
    );
}

#[test]
fn every_problem_is_told_but_no_mere_consequence() {
    wrong_with(
        "misfits and nonsense",
        "[listen]\nadress = '1'\naddress = '0.0.0.0:80'\n[[provider]]\nname = 'x'\nkind = 'openai'\nbase_ur = 'http://x'\nauth = 'barer'\n\
         [[model]]\nname = 'y'\nprovider = 'x'\n[[model]]\nname = 'z'\nprovider = 'nobody'\n",
        &[
            ("14:1: listen.adress", ""),
            ("19:1: provider[1].base_ur", "base_url"),
            ("20:8: provider[1].auth: unknown choice", "bearer"),
            ("26:12: model[2].provider", ""),
        ],
    );
}

#[test]
fn what_is_odd_is_a_warning() {
    warns("unused", "[[provider]]\nname = 'x'\nkind = 'openai'\ncredential = { env = 'A' }\n", &["names provider x"]);
    warns(
        "expired",
        "[[key]]\nname = 'x'\nsecret = { env = 'A' }\nexpires = '2020-01-01'\n",
        &["2020-01-02T00:00:00Z"],
    );
    warns("unserved", "[[key]]\nname = 'x'\nsecret = { env = 'A' }\nmodels = ['gpt-5', 'x*']\n", &["serves gpt-5"]);
    warns(
        "clear text to another machine",
        "[[provider]]\nname = 'x'\nspeaks = ['chat']\nbase_url = 'http://x.example'\ncredential = { env = 'A' }\n[[model]]\nname = 'm'\nprovider = 'x'\n",
        &["provider[1].base_url: the credential travels there without TLS"],
    );
    warns(
        "no credential",
        "[[provider]]\nname = 'x'\nkind = 'openai'\n[[model]]\nname = 'm'\nprovider = 'x'\n",
        &["provider[1].credential: none is given"],
    );
}

#[test]
fn secret_files_are_read_without_their_line_end_and_watched() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let (config, secret) = (dir.path().join("t.toml"), dir.path().join("bob.key"));
    std::fs::write(&config, format!("{GOOD}[[key]]\nname = 'bob'\nsecret = {{ file = 'bob.key' }}\n")).unwrap();
    let load = || config::load(&config, &env, &Metrics::default());

    let missing = load().unwrap_err();
    assert_eq!(missing.watched, [config.clone(), secret.clone()]);

    std::fs::write(&secret, "sk-bob-0000000000000000\r\n").unwrap();
    std::fs::set_permissions(&secret, PermissionsExt::from_mode(0o644)).unwrap();
    let loaded = load().unwrap();
    assert!(loaded.warnings[0].to_string().contains("chmod 600"), "{:?}", loaded.warnings);
    assert!(loaded.prepared.0.keyring.find(b"sk-bob-0000000000000000").is_some());
    assert_eq!(loaded.watched, [config.clone(), secret.clone()]);

    std::fs::set_permissions(&secret, PermissionsExt::from_mode(0o600)).unwrap();
    assert_eq!(load().unwrap().warnings, []);

    for (content, want) in [("", "is empty"), ("\n", "is empty"), ("two\nlines-hunter2-hunter2\n", "no key has")] {
        std::fs::write(&secret, content).unwrap();
        let problems = load().expect_err(content).to_string();
        assert!(problems.contains(want) && !problems.contains("hunter2"), "{content:?}: {problems}");
    }
}

#[test]
fn a_file_that_is_not_there_is_one_problem() {
    let problems = config::load(Path::new("/nowhere/t.toml"), &env, &Metrics::default()).unwrap_err();
    assert!(problems.to_string().starts_with("/nowhere/t.toml: the configuration cannot be read"), "{problems}");
}
