//! The configurations in `config/` compile, and the commands that read one say what they should.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in its helpers")]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tollgate::config;
use tollgate::telemetry::metrics::Metrics;

fn env(name: &str) -> Option<String> {
    Some(format!("{name}-value-0123456789"))
}

/// The samples name files that exist on a server; here they lie in a folder of the test's.
fn with_files(text: &str, dir: &Path) -> String {
    for name in ["anthropic", "review-bot"] {
        let path = dir.join(name);
        std::fs::write(&path, format!("{name}-secret-0123456789\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    text.replace("/run/secrets", dir.to_str().unwrap())
}

#[test]
fn every_sample_compiles_without_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    let mut samples = 0;
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/config")).unwrap() {
        let path = entry.unwrap().path();
        let text = with_files(&std::fs::read_to_string(&path).unwrap(), dir.path());
        let loaded = config::load_text(&path, &text, &env, &Metrics::default()).unwrap_or_else(|e| panic!("{e}"));
        let warnings: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
        assert!(warnings.is_empty(), "{}: {warnings:?}", path.display());
        samples += 1;
    }
    assert_eq!(samples, 4);
}

fn tollgate(arguments: &[&str], config: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    command
        .args(arguments)
        .env_clear()
        .env("TOLLGATE_CONFIG", config)
        .env("TOLLGATE_KEY", "a-key-of-sixteen-characters");
    command.output().unwrap()
}

fn written(dir: &Path, text: &str) -> PathBuf {
    let path = dir.join("t.toml");
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn check_says_every_error_with_its_place_and_exits_with_1() {
    let dir = tempfile::tempdir().unwrap();
    let bad = "version = 1\n[[provider]]\nname = \"p\"\nspeaks = [\"chat\"]\nbase_ur = \"http://127.0.0.1:1\"\n[[model]]\nname = \"m\"\nprovider = \"nobody\"\n";
    let path = written(dir.path(), bad);
    let output = tollgate(&["check"], &path);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    for (line, word) in [(5, "base_ur"), (8, "nobody")] {
        let place = format!("{}:{line}:", path.display());
        assert!(text.lines().any(|l| l.starts_with(&place) && l.contains(word)), "{place} {word}\n{text}");
    }
    let output = tollgate(&["check", "--json"], &path);
    assert_eq!(output.status.code(), Some(1));
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value["ok"], false);
    assert!(value["errors"].as_array().unwrap().len() >= 2);
}

#[test]
fn check_sums_a_good_one_up() {
    let sample = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/config/simulator.toml"));
    let output = tollgate(&["check", "--json"], sample);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value["summary"]["models"]["gemini"][0], "*");
    assert_eq!(value["summary"]["keys"], 1);
}

#[test]
fn a_new_key_fits_the_entry_that_is_printed_with_it() {
    let output = tollgate(&["key", "new", "--name", "a \"b\"", "--team", "core"], Path::new("/nonexistent"));
    let text = String::from_utf8(output.stdout).unwrap();
    let (key, entry) = text.split_once('\n').unwrap();
    let rules = format!(
        "version = 1\n[[provider]]\nname = \"p\"\nspeaks = [\"chat\"]\nbase_url = \"http://127.0.0.1:1\"\n[[model]]\nname = \"m\"\nprovider = \"p\"\n{entry}"
    );
    let loaded =
        config::load_text(Path::new("t.toml"), &rules, &env, &Metrics::default()).unwrap_or_else(|e| panic!("{e}"));
    let keyring = &loaded.prepared.0.keyring;
    let id = keyring.find(key.as_bytes()).expect("the printed key is the one of the entry");
    assert_eq!(&*keyring.key(id).name, "a \"b\"");
}

#[test]
fn the_schema_knows_every_section() {
    let output = tollgate(&["schema"], Path::new("/nonexistent"));
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    for section in ["version", "listen", "limits", "timeouts", "log", "ledger", "provider", "model", "key", "mount"] {
        assert!(value["properties"][section].is_object(), "{section}");
    }
    assert_eq!(value["$schema"], "https://json-schema.org/draft/2020-12/schema");
}

#[test]
fn a_name_that_the_configuration_would_refuse_makes_no_key() {
    let output = tollgate(&["key", "new", "--name", ""], Path::new("/nonexistent"));
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    assert!(String::from_utf8(output.stderr).unwrap().contains("--name"));
}

/// `tollgate check | head -0` panicked.
#[test]
fn a_reader_that_has_left_is_no_reason_to_panic() {
    let sample = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/config/simulator.toml"));
    for arguments in [&["check"][..], &["schema"], &["key", "new", "--name", "a"]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
        command
            .args(arguments)
            .env_clear()
            .env("TOLLGATE_CONFIG", sample)
            .env("TOLLGATE_KEY", "a-key-of-sixteen-characters");
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = command.stdout(writer).stderr(std::process::Stdio::piped()).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "", "{arguments:?}");
    }
}
