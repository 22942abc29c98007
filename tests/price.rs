//! `tollgate price`: what it shows is what is billed, and what it says of what it cannot show; with the real binary.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in its helpers")]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

const RULES: &str = r#"version = 1
[[provider]]
name = "claude"
kind = "anthropic"
credential = { env = "NOT_SET_ANYWHERE" }
[[provider]]
name = "local"
speaks = ["chat"]
base_url = "http://127.0.0.1:1"
[[model]]
name = "fast"
provider = "claude"
upstream_model = "claude-haiku-4-5"
[[model]]
name = "claude-*"
provider = "claude"
[[model]]
name = "llama"
provider = "local"
[[price]]
model = "claude-opus-5-5"
input = 1
output = 2
tools = { code_execution = 0.05 }
[[key]]
name = "k"
sha256 = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
"#;

/// Runs it in a folder, with `tollgate.toml` there if `rules` says something.
fn price(dir: &Path, rules: &str, arguments: &str) -> (i32, String, String) {
    let _ = std::fs::remove_file(dir.join("tollgate.toml"));
    if !rules.is_empty() {
        std::fs::write(dir.join("tollgate.toml"), rules).unwrap();
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    command.arg("price").args(arguments.split_whitespace()).current_dir(dir).env_clear();
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

#[test]
fn a_usage_costs_what_is_billed_to_the_last_digit() {
    let dir = tempfile::tempdir().unwrap();
    for (rules, arguments, provider, pico, unpriced) in [
        (
            "",
            "claude-opus-5-5 -p anthropic --input 1000 --cache-read 500 --output 10",
            "anthropic",
            4_300_000_000_u64,
            "",
        ),
        (
            "",
            "gpt-6.1-sol -p openai --input 300000 --cache-read 10000 --output 2000 --tier flex",
            "openai",
            616_000_000_000,
            "",
        ),
        ("", "claude-opus-5-5 -p anthropic --input 10 --us --fast", "anthropic", 88_000_000, ""),
        ("", "gemini-3.8-flash -p gemini --input 1 --at 2026-12-31T23:59:59Z", "gemini", 750_000, ""),
        ("", "gemini-3.8-flash -p gemini --input 1 --at 2027-01-01", "gemini", 1_500_000, ""),
        ("", "claude-opus-5 -p anthropic --input 1 --code-execution 1", "anthropic", 5_000_000, "code_execution"),
        (RULES, "fast --input 1", "claude", 1_000_000, ""),
        (RULES, "claude-opus-5-5 --input 1 --web-search 1 --code-execution 1", "claude", 60_001_000_000, ""),
        (RULES, "claude-opus-5 --provider claude --output 1", "claude", 25_000_000, ""),
        (RULES, "gpt-5 -p openai --output 1", "openai", 10_000_000, ""),
    ] {
        let (code, out, err) = price(dir.path(), rules, &format!("{arguments} --json"));
        assert_eq!(code, 0, "{arguments}: {err}");
        let shown: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(shown.as_array().unwrap().len(), 1, "{arguments}: {out}");
        assert_eq!(shown[0]["provider"], provider, "{arguments}");
        assert_eq!(shown[0]["cost"]["pico_dollars"], pico, "{arguments}: {out}");
        let gaps: Vec<_> = shown[0]["cost"]["unpriced"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        assert_eq!(gaps.join(","), unpriced, "{arguments}");
    }
}

#[test]
fn it_says_what_applies_and_why() {
    let dir = tempfile::tempdir().unwrap();
    for (rules, arguments, code, words) in [
        (
            "",
            "claude-haiku-5-5 -p anthropic",
            0,
            &[
                "list of 2026-11-22, https://platform.claude.com",
                "input > 100000",
                "times 1.1",
                "0.10",
                "0.625",
                "batch",
            ][..],
        ),
        ("", "claude-opus-4-5 -p anthropic", 0, &["found as         claude-opus-4-5-20251101"]),
        ("", "claude-opus-5-5", 0, &["claude-opus-5-5 at anthropic", "claude-opus-5-5 at vertex"]),
        ("", "gemini-3.8-flash -p gemini --at 2026-12-01", 0, &["until            2027-01-01T00:00:00Z"]),
        ("", "deepseek-v4-pro --at 2026-11-23T08:00:00Z", 0, &["shown: peak", "1.32"]),
        ("", "deepseek-v4-pro --at 2026-11-23T05:00:00Z", 0, &["shown: off-peak", "0.66"]),
        (RULES, "fast", 0, &["fast at claude, asked for claude-haiku-4-5"]),
        (RULES, "claude-opus-5-5", 0, &["[[price]] in ", "tollgate.toml:20", "version config-", "0.05 per use"]),
        (RULES, "llama", 1, &["llama at local", "no price is known, so its calls are unpriced"]),
        (
            "",
            "gpt-5 -p openai --input 3 --output 2 --reasoning 1",
            0,
            &["3 x 1.25 / 1,000,000 = 0.00000375", "reasoning", "cost"],
        ),
        ("", "", 0, &["VENDOR", "claude-opus-5-5", "openai/gpt-oss-20b", "retires 2026-12-11", "as of 2026-11-22"]),
    ] {
        let (got, out, err) = price(dir.path(), rules, arguments);
        assert_eq!(got, code, "{arguments}: {out}{err}");
        for word in words {
            assert!(out.contains(word), "{arguments}: want {word} in\n{out}");
        }
    }
}

#[test]
fn what_it_cannot_show_is_told_with_a_hint_and_an_exit_code() {
    let dir = tempfile::tempdir().unwrap();
    let wrong = RULES.replace("input = 1\n", "input = -1\n");
    for (rules, arguments, code, words) in [
        ("", "claude-opus-5-6", 1, &["no price is known of claude-opus-5-6", "did you mean claude-opus-"][..]),
        ("", "gpt-5 -p antropic", 1, &["no price is known of gpt-5 at antropic", "did you mean anthropic?"]),
        ("", "-p antropic", 1, &["there is no price list of antropic", "did you mean anthropic?"]),
        ("", "--input 1", 1, &["a usage of which model?"]),
        ("", "gpt-5 --tier flex", 1, &["say what it used, too"]),
        ("", "gpt-5 --input 1 --audio-input 2", 1, &["part of --input"]),
        ("", "gpt-5 --output 1 --reasoning 2", 1, &["parts of --output"]),
        ("", "gpt-5 --at soon", 2, &["neither a date nor a time, as in 2027-01-01"]),
        ("", "gpt-5 --at 2027-02-30", 2, &["neither a date nor a time"]),
        ("", "gpt-5 --input -1", 2, &["unexpected argument"]),
        ("", "gpt-5 --input 1.5", 2, &["invalid digit"]),
        ("", "gpt-5 --tier fast --input 1", 2, &["possible values: standard, batch, flex, priority"]),
        ("", "gpt-5 --config nowhere.toml", 1, &["nowhere.toml", "cannot be read"]),
        (
            &wrong,
            "fast",
            1,
            &["tollgate.toml:22:9: price[0].input: an amount below zero", "`tollgate check` says more"],
        ),
    ] {
        let (got, out, err) = price(dir.path(), rules, arguments);
        assert_eq!(got, code, "{arguments}: {out}{err}");
        for word in words {
            assert!(err.contains(word), "{arguments}: want {word} in\n{err}");
        }
    }
    let (code, out, _) = price(dir.path(), "", "nothing-like-it --json");
    let told: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(code, 1);
    assert!(told["error"].as_str().unwrap().contains("no price is known"));
}

#[test]
fn the_list_is_there_for_scripts_too() {
    let dir = tempfile::tempdir().unwrap();
    let (code, out, _) = price(dir.path(), "", "-p groq --json");
    let listed: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(code, 0);
    assert_eq!(listed.as_array().unwrap().len(), 2);
    assert_eq!(listed[0]["model"], "openai/gpt-oss-120b");
    assert_eq!(listed[0]["input"], "0.15");
}
