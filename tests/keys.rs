//! `tollgate key`: what the commands do to a configuration and say about it, with the real binary.
//!
//! What comes out is held against the rules that a gateway would make of the file: which keys work, under which names,
//! until when.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, also in its helpers")]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tollgate::config;
use tollgate::snapshot::keyring::Keyring;
use tollgate::telemetry::metrics::Metrics;

const RULES: &str = r#"# The gateway of the team. Ask Ann before you change it.
version = 1

[[provider]]
name = "p"   # the only one
speaks = ["chat"]
base_url = "http://127.0.0.1:1"
credential = { env = "PROVIDER_KEY" }

[[model]]
name = "m"
provider = "p"

# Ann's own
[[key]]
name   = "ann"      # aligned by hand
sha256 = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
owner  = "ann"

[[mount]]
prefix = "/x"       # the end"#;

struct Folder {
    folder: tempfile::TempDir,
    file: PathBuf,
}

impl Folder {
    fn with(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tollgate.toml");
        fs::write(&file, text).unwrap();
        Self { folder, file }
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.file).unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
        command.arg("key").args(arguments).arg("--config").arg(&self.file).env_clear().env("PROVIDER_KEY", "secret");
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// What a command that works prints.
    #[track_caller]
    fn done(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(fs::read_dir(self.folder.path()).unwrap().count(), 1, "{arguments:?}: nothing is left lying about");
        String::from_utf8(output.stdout).unwrap()
    }

    /// A command that is refused, changes nothing, and says all of these words.
    #[track_caller]
    fn refused(&self, code: i32, arguments: &[&str], words: &[&str]) {
        let before = fs::read(&self.file).ok();
        let output = self.run(arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "", "{arguments:?}");
        assert!(words.iter().all(|word| said.contains(word)), "{arguments:?}: want {words:?} in\n{said}");
        assert_eq!(fs::read(&self.file).ok(), before, "{arguments:?}: the file has changed");
    }

    fn keyring(&self) -> Keyring {
        let env = |_: &str| Some("a-secret-of-the-provider".to_owned());
        let loaded = config::load(&self.file, &env, &Metrics::default()).unwrap_or_else(|e| panic!("{e}"));
        loaded.prepared.0.keyring
    }

    /// Under which name a key works, and until when if it is an earlier one.
    fn works(&self, key: &str) -> Option<(String, Option<u64>)> {
        let ring = self.keyring();
        let found = ring.look_up(key.trim_end().as_bytes())?;
        Some((ring.key(found.id).name.to_string(), found.until.map(|(seconds, _)| *seconds)))
    }
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn now() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_second()).unwrap()
}

#[test]
fn create_prints_the_key_alone_and_adds_its_digest_to_the_end() {
    let folder = Folder::with(RULES);
    fs::set_permissions(&folder.file, fs::Permissions::from_mode(0o640)).unwrap();
    let key = folder.done(&[
        "create",
        "--name",
        "a \"b\"",
        "--owner",
        "o",
        "--team",
        "t",
        "--agents",
        "codex,opencode",
        "--models",
        "m,x*",
        "--models",
        "y",
        "--expires",
        "2999-12-31",
    ]);
    assert_eq!((key.len(), key.lines().count(), &key[..3]), (52, 1, "tg-"), "the key and a line end");
    let text = folder.text();
    assert!(text.starts_with(RULES), "what was there stays, byte for byte:\n{text}");
    assert!(!text.contains(key.trim_end()), "the key itself is kept nowhere");
    assert_eq!(fs::metadata(&folder.file).unwrap().mode() & 0o7777, 0o640);
    assert_eq!(folder.works(&key), Some(("a \"b\"".to_owned(), None)));
    let ring = folder.keyring();
    let made = ring.key(ring.find(key.trim_end().as_bytes()).unwrap());
    assert_eq!((made.owner.as_deref(), made.team.as_deref()), (Some("o"), Some("t")));
    assert_eq!(made.agents.iter().map(|agent| agent.name()).collect::<Vec<_>>(), ["codex", "opencode"]);
    assert!(made.may_use("m") && made.may_use("x1") && made.may_use("y") && !made.may_use("z"));
    assert_eq!(made.expires.as_ref().map(|(_, text)| &**text), Some("3000-01-01T00:00:00Z"));
}

#[test]
fn create_speaks_json_and_says_what_is_odd() {
    let folder = Folder::with(RULES);
    let output = folder.run(&["create", "--name", "b", "--models", "nobody-serves-this", "--json"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("warning:") && said.contains("no [[model]] serves nobody-serves-this"), "{said}");
    let told = json(&String::from_utf8(output.stdout).unwrap());
    assert_eq!(folder.works(told["key"].as_str().unwrap()), Some(("b".to_owned(), None)));
    assert_eq!((&told["name"], told["fingerprint"].as_str().map(str::len)), (&"b".into(), Some(8)));
    assert_eq!(told["file"], folder.file.to_str().unwrap());
}

#[test]
fn the_first_key_may_be_created_in_a_file_without_one() {
    let (without, _) = RULES.split_once("# Ann's own").unwrap();
    let folder = Folder::with(without);
    let key = folder.done(&["create", "--name", "first"]);
    assert_eq!(folder.works(&key), Some(("first".to_owned(), None)));
}

#[test]
fn a_variable_of_the_gateways_need_not_be_set_here() {
    let folder = Folder::with(RULES);
    let output = folder.command(&["create", "--name", "b"]).env_clear().output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("note: PROVIDER_KEY is not set in this shell"), "{said}");
}

#[test]
fn list_shows_everything_but_the_keys() {
    let chosen =
        "\n[[key]]\nname = \"ci\"\nsecret = { env = \"CI_KEY\" }\nexpires = \"2001-01-01\"\nagents = [\"codex\"]\n";
    let folder = Folder::with(&format!("{RULES}{chosen}"));
    folder.done(&["create", "--name", "bob", "--team", "t", "--models", "m", "--expires", "2999-12-31"]);
    let old = folder.done(&["create", "--name", "carl"]);
    folder.done(&["rotate", "carl"]);
    let text = folder.done(&["list"]);
    let row =
        |name: &str| text.lines().find(|line| line.starts_with(name)).unwrap().split_whitespace().collect::<Vec<_>>();
    assert_eq!(row("NAME"), ["NAME", "OWNER", "TEAM", "AGENTS", "MODELS", "EXPIRES", "FINGERPRINT", "STATE"]);
    assert_eq!(row("ann"), ["ann", "ann", "-", "any", "any", "never", "aaaaaaaa", "active"]);
    assert_eq!(row("ci"), ["ci", "-", "-", "codex", "any", "2001-01-02T00:00:00Z", "-", "expired"]);
    assert_eq!(row("bob")[..6], ["bob", "-", "t", "any", "m", "3000-01-01T00:00:00Z"]);
    assert!(row("carl").contains(&"until"), "{text}");
    let rows = json(&folder.done(&["list", "--json"]));
    assert_eq!(rows.as_array().unwrap().len(), 4);
    assert_eq!(
        (&rows[0]["name"], &rows[0]["state"], &rows[0]["expires"]),
        (&"ann".into(), &"active".into(), &Value::Null)
    );
    assert_eq!((&rows[1]["state"], &rows[1]["fingerprint"]), (&"expired".into(), &Value::Null));
    assert_eq!(rows[3]["previous"][0]["state"], "active");
    let digest = tollgate::snapshot::key::VirtualKey::parse(old.trim_end()).unwrap().digest_hex();
    assert_eq!(rows[3]["previous"][0]["fingerprint"], digest[..8]);
    for shown in [text, rows.to_string()] {
        assert!(!shown.contains("tg-") && !shown.contains(&digest[..9]), "{shown}");
    }
}

#[test]
fn revoke_takes_the_entry_out_and_leaves_the_rest() {
    let folder = Folder::with(RULES);
    let key = folder.done(&["create", "--name", "b"]);
    folder.done(&["rotate", "b", "--grace", "1h"]);
    folder.done(&["revoke", "b"]);
    assert_eq!(folder.works(&key), None, "nor does what it was before");
    assert_eq!(folder.text(), format!("{RULES}\n"), "as it was, but for the line end that it lacked");
    folder.done(&["create", "--name", "b"]);
    folder.done(&["revoke", "ann"]);
    let text = folder.text();
    assert!(!text.contains("ann") && !text.contains("Ann's own"), "{text}");
    for comment in ["# The gateway of the team. Ask Ann", "# the only one", "# the end"] {
        assert!(text.contains(comment), "{comment}\n{text}");
    }
    folder.refused(1, &["revoke", "b"], &["the only key", "tollgate key create"]);
    folder.refused(1, &["revoke", "bb"], &["no key is named bb", "did you mean b?"]);
}

#[test]
fn after_a_rotation_both_keys_work_until_the_grace_ends() {
    let folder = Folder::with(RULES);
    let first = folder.done(&["create", "--name", "b", "--owner", "o", "--models", "m"]);
    let begun = now();
    let second = folder.done(&["rotate", "b", "--grace", "2h"]);
    let (name, until) = folder.works(&first).unwrap();
    let until = until.unwrap();
    assert!(name == "b" && (begun + 7200..=now() + 7200).contains(&until), "{until}");
    assert_eq!(folder.works(&second), Some(("b".to_owned(), None)));
    let ring = folder.keyring();
    let ids = [&first, &second].map(|key| ring.find(key.trim_end().as_bytes()).unwrap());
    assert_eq!(ids[0], ids[1], "one key, one set of rules");
    assert_eq!((ring.key(ids[0]).owner.as_deref(), ring.len()), (Some("o"), 2));

    let third = json(&folder.done(&["rotate", "b", "--json"]));
    let old_until: jiff::Timestamp = third["old_until"].as_str().unwrap().parse().unwrap();
    let stops = u64::try_from(old_until.as_second()).unwrap();
    assert_eq!(folder.works(&first), Some(("b".to_owned(), Some(until))), "its own grace goes on");
    assert_eq!(folder.works(&second), Some(("b".to_owned(), Some(stops))));
    assert!(stops >= begun + 86_400, "a day by default");
    assert_eq!(folder.works(third["key"].as_str().unwrap()), Some(("b".to_owned(), None)));

    let fourth = folder.done(&["rotate", "b", "--grace", "0s"]);
    let left: Vec<bool> = [&first, &second].map(|key| folder.works(key).is_some()).to_vec();
    assert_eq!((left, folder.works(&fourth)), (vec![false, false], Some(("b".to_owned(), None))), "it leaked");
    assert!(folder.text().starts_with(RULES), "the rest stays, byte for byte");
}

#[test]
fn a_rotation_forgets_what_has_stopped() {
    let stopped = "previous = [{ sha256 = \"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\", until = 2001-01-01 }] # gone\n";
    let folder = Folder::with(&RULES.replace("owner  =", &format!("{stopped}owner  =")));
    assert_eq!(folder.run(&["list"]).status.code(), Some(0));
    folder.done(&["rotate", "ann"]);
    let text = folder.text();
    assert!(!text.contains("bbbb") && text.contains("AAAA") && text.contains("# gone"), "{text}");
    assert!(text.contains("name   = \"ann\"      # aligned by hand"), "{text}");
}

#[test]
fn what_cannot_be_done_is_said_and_changes_nothing() {
    let folder = Folder::with(&format!(
        "{RULES}\n[[key]]\nname = \"ci\"\nsecret = {{ env = \"CI_KEY\" }}\n[[key]]\nname = \"late\"\nsha256 = \"{}\"\nexpires = \"2001-01-01\"\n",
        "c".repeat(64)
    ));
    let long = "x".repeat(129);
    for (code, arguments, words) in [
        (1, &["create", "--name", "ann"][..], &["there is a key named ann already", "rotate"][..]),
        (1, &["create", "--name", ""], &["--name", "empty"]),
        (1, &["create", "--name", &long], &["--name", "128"]),
        (1, &["create", "--name", "n", "--owner", " o"], &["--owner", "blanks"]),
        (1, &["create", "--name", "n", "--expires", "2001-01-01"], &["--expires 2001-01-01", "never work"]),
        (2, &["create", "--name", "n", "--expires", "soon"], &["--expires", "neither a date nor a time", "2027-06-30"]),
        (2, &["create", "--name", "n", "--agents", "clade-code"], &["--agents", "claude-code"]),
        (2, &["create", "--name", "n", "--models", "a**"], &["--models", "more than one *"]),
        (2, &["create", "--name", "n", "--models", ""], &["--models", "empty"]),
        (2, &["create"], &["--name"]),
        (2, &["rotate", "ann", "--grace", "soon"], &["--grace", "as in 24h"]),
        (2, &["revoke"], &["<NAME>"]),
        (1, &["rotate", "ci"], &["chosen by you", "secret"]),
        (1, &["rotate", "late"], &["stopped working at 2001-01-02", "expires"]),
        (1, &["rotate", "anna"], &["no key is named anna", "did you mean ann?"]),
    ] {
        folder.refused(code, arguments, words);
    }
}

#[test]
fn a_file_that_does_not_pass_check_is_left_alone() {
    for (name, text, words) in [
        ("not TOML", "version = \n", &["cannot be read", "not TOML", ":1:"][..]),
        ("unknown field", "version = 1\ncolour = 2\n", &["unknown field `colour`", ":2:"]),
        (
            "no provider for a model",
            &RULES.replace("provider = \"p\"", "provider = \"q\""),
            &["does not pass", "as it is", ":12:"],
        ),
        (
            "keys in one line",
            &format!("key = [{{ name = \"a\", sha256 = \"{}\" }}]\nversion = 1\n", "a".repeat(64)),
            &["inline", "[[key]]"],
        ),
    ] {
        let folder = Folder::with(text);
        folder.refused(1, &["create", "--name", "n"], words);
        println!("{name}: refused");
    }
    let folder = Folder::with(RULES);
    fs::remove_file(&folder.file).unwrap();
    folder.refused(1, &["create", "--name", "n"], &["cannot be read", "--config"]);
    folder.refused(1, &["list"], &["cannot be read"]);
    let elsewhere = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    let output = command.args(["key", "list"]).env_clear().current_dir(elsewhere.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("no configuration was found"));
}

#[test]
fn commands_at_once_do_not_lose_each_others_keys() {
    const AT_ONCE: usize = 12;
    let folder = Folder::with(RULES);
    let run = |name: &dyn Fn(usize) -> String| -> Vec<Output> {
        let children: Vec<_> = (0..AT_ONCE)
            .map(|i| {
                let mut command = folder.command(&["create", "--name", &name(i)]);
                command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap()
            })
            .collect();
        children.into_iter().map(|child| child.wait_with_output().unwrap()).collect()
    };
    let outputs = run(&|i| format!("key-{i}"));
    for (i, output) in outputs.iter().enumerate() {
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        let key = String::from_utf8(output.stdout.clone()).unwrap();
        assert_eq!(folder.works(&key), Some((format!("key-{i}"), None)));
    }
    assert_eq!(folder.keyring().len(), AT_ONCE + 1);
    let outputs = run(&|_| "the-same".to_owned());
    let made = outputs.iter().filter(|output| output.status.success()).count();
    assert_eq!((made, folder.keyring().len()), (1, AT_ONCE + 2), "a name is given once");
    assert_eq!(fs::read_dir(folder.folder.path()).unwrap().count(), 1);
}

#[test]
fn a_link_stays_a_link() {
    let folder = Folder::with(RULES);
    let elsewhere = tempfile::tempdir().unwrap();
    let real = elsewhere.path().join("real.toml");
    fs::rename(&folder.file, &real).unwrap();
    symlink(&real, &folder.file).unwrap();
    let key = folder.done(&["create", "--name", "b"]);
    assert!(fs::symlink_metadata(&folder.file).unwrap().is_symlink());
    assert!(fs::read_to_string(&real).unwrap().contains("name = \"b\""));
    assert_eq!(folder.works(&key), Some(("b".to_owned(), None)));
}

#[test]
fn a_key_that_cannot_be_shown_is_no_success() {
    let folder = Folder::with(RULES);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = folder.command(&["create", "--name", "b"]).stdout(writer).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("could not be printed") && said.contains("rotate --grace 0s b"), "{said}");
}

#[test]
fn help_shows_examples() {
    for command in ["create", "list", "revoke", "rotate", "new"] {
        let output = Command::new(env!("CARGO_BIN_EXE_tollgate")).args(["key", command, "--help"]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let (_, examples) = text.split_once("Example").unwrap_or_else(|| panic!("no example in\n{text}"));
        assert!(examples.contains(&format!("tollgate key {command}")), "{text}");
    }
}

/// Problems of `previous` in the file itself.
#[test]
fn earlier_keys_are_checked() {
    let with = |previous: &str| RULES.replace("owner  =", &format!("previous = [{previous}]\nowner  ="));
    let (a, b) = ("a".repeat(64), "b".repeat(64));
    let env = |_: &str| Some("a-secret-of-the-provider".to_owned());
    for (name, previous, words) in [
        (
            "not a digest",
            "{ sha256 = \"tg-abc\", until = 2999-01-01 }".to_owned(),
            "key[0].previous[0].sha256: it is not 64 hex digits",
        ),
        (
            "the key itself",
            format!("{{ sha256 = \"{a}\", until = 2999-01-01 }}"),
            "previous[0].sha256: this is the same key as that of ann",
        ),
        (
            "twice",
            format!("{{ sha256 = \"{b}\", until = 2999-01-01 }}, {{ sha256 = \"{b}\", until = 2999-01-02 }}"),
            "previous[1].sha256: this is the same key",
        ),
        ("no end", format!("{{ sha256 = \"{b}\" }}"), "missing field `until`"),
        ("a bad end", format!("{{ sha256 = \"{b}\", until = \"soon\" }}"), "neither a date nor a time"),
        ("unknown field", format!("{{ sha256 = \"{b}\", until = 2999-01-01, name = \"x\" }}"), "unknown field `name`"),
    ] {
        let problems =
            config::load_text(Path::new("t.toml"), &with(&previous), &env, &Metrics::default()).expect_err(name);
        let shown = problems.to_string();
        assert!(problems.list.len() == 1 && shown.contains(words) && !shown.contains("tg-abc"), "{name}: {shown}");
    }
    let good = with(&format!("{{ sha256 = \"{b}\", until = 2001-01-01 }}"));
    let loaded = config::load_text(Path::new("t.toml"), &good, &env, &Metrics::default()).unwrap();
    assert_eq!(loaded.warnings, [], "a grace that is over is no news");
}
