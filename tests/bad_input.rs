//! Whatever is wrong in the fields of money, and in the arguments of the commands that show it, is told with its place, and
//! nothing is changed: the real program, every field with every kind of nonsense.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in its helpers")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const GOOD: &str = "version = 1
[listen]
address = '127.0.0.1:0'
admin = '127.0.0.1:0'
[[provider]]
name = 'p'
speaks = ['chat']
base_url = 'http://127.0.0.1:1'
[[model]]
name = '*'
provider = 'p'
[[key]]
name = 'k'
owner = 'o'
team = 't'
secret = { env = 'KEY' }
";

/// Where what a row adds begins.
const LINE: usize = 17;

fn tollgate(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    command.args(arguments).env_clear().env("KEY", "tk-0123456789abcdef").current_dir(folder).output().unwrap()
}

/// All that is in a folder.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Each command that reads a configuration refuses it, says the line, and leaves no trace.
fn refused(what: &str, more: &str, line: usize, words: &str) -> Option<String> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("t.toml"), format!("{GOOD}{more}")).unwrap();
    for command in ["check", "serve"] {
        let output = tollgate(folder.path(), &[command, "--config", "t.toml"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        let place = format!("t.toml:{line}:");
        let told = said.lines().any(|said| said.contains(&place) && said.contains(words));
        if output.status.code() != Some(1) || !told || said.contains("panicked") {
            return Some(format!(
                "{what}, {command}: {:?}, want {place} {words}:\n{more}\n{said}",
                output.status.code()
            ));
        }
    }
    let left = names(folder.path());
    (left != ["t.toml"]).then(|| format!("{what}: it left {left:?}"))
}

#[track_caller]
fn all_refused(rows: impl Iterator<Item = (String, String, usize, &'static str)>) {
    let rows: Vec<_> = rows.collect();
    let wrong: Vec<String> =
        rows.iter().filter_map(|(what, more, line, words)| refused(what, more, *line, words)).collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), rows.len(), wrong.join("\n\n"));
}

/// No count, no amount of money and no price.
const NO_NUMBERS: &[&str] = &["-1", "-0.5", "'x'", "true", "[]", "{}", "nan", "inf", "1e400", "'1e3'", "2026-01-01"];

#[test]
fn numbers_that_are_none() {
    let fields: &[(&str, &str, &[&str])] = &[
        (
            "requests",
            "[[owner]]\nname = 'o'\nlimits = [{ per = '1m', requests = @ }]\n",
            &["0", "1.5", "18446744073709551616"],
        ),
        (
            "tokens",
            "[[team]]\nname = 't'\nlimits = [{ per = '1h', tokens = @ }]\n",
            &["0", "1.5", "99999999999999999999"],
        ),
        ("concurrent", "[[owner]]\nname = 'o'\nlimits = [{ concurrent = @ }]\n", &["0", "1.5"]),
        (
            "dollars",
            "[[owner]]\nname = 'o'\nbudgets = [{ per = 'day', dollars = @ }]\n",
            &["0", "'0'", "'0.0000000000001'", "'18446745'", "99999999999", "''", "'1,5'", "'5 €'"],
        ),
        ("warn_at", "[budget]\n# every\nwarn_at = @\n", &["0", "101", "1.5"]),
        (
            "warn_at of one",
            "[[owner]]\nname = 'o'\nbudgets = [{ per = 'day', dollars = 1, warn_at = @ }]\n",
            &["0", "101"],
        ),
        ("input", "[[price]]\nmodel = 'm'\ninput = @\noutput = 1\n", &["'0.0000001'", "'18446744073709'", "''"]),
        ("output", "[[price]]\nmodel = 'm'\noutput = @\ninput = 1\n", &["'1 dollar'"]),
        ("above", "[[price]]\ninput = 1\nlong = [{ above = @, input = 2 }]\noutput = 1\n", &["0", "1.5"]),
        ("us", "[[price]]\ninput = 1\nus = @\noutput = 1\n", &["'0.0000000000001'"]),
        ("fast", "[[price]]\ninput = 1\nfast = @\noutput = 1\n", &["''"]),
        ("web_search", "[[price]]\nmodel = 'm'\ntools = { web_search = @ }\n", &["'0.0000000000001'"]),
    ];
    all_refused(fields.iter().flat_map(|(what, text, more)| {
        let values = NO_NUMBERS.iter().chain(*more);
        values.map(move |value| (format!("{what} = {value}"), text.replace('@', value), LINE + 2, ""))
    }));
}

#[test]
fn words_that_are_none() {
    let fields: &[(&str, &str, &[&str])] = &[
        (
            "per",
            "[[owner]]\nname = 'o'\nbudgets = [{ dollars = 1, per = @ }]\n",
            &["'fortnight'", "'0s'", "'59s'", "'367d'", "'-1h'", "'1y'", "''", "5", "true", "'99999999999999999999d'"],
        ),
        (
            "per of a limit",
            "[[owner]]\nname = 'o'\nlimits = [{ requests = 1, per = @ }]\n",
            &["'0s'", "'999ms'", "'32d'", "'day'", "''", "60", "'-1m'", "'1.5h'"],
        ),
        (
            "time_zone",
            "[[owner]]\nname = 'o'\nbudgets = [{ dollars = 1, per = 'day', time_zone = @ }]\n",
            &["'Europe/Atlantis'", "''", "'+25:00'", "'../../etc/passwd'", "1", "'Europe'"],
        ),
        ("time_zone of all", "[budget]\nmode = 'strict'\ntime_zone = @\n", &["'Mars/Olympus'", "''", "false"]),
        (
            "mode",
            "[[owner]]\nname = 'o'\nbudgets = [{ dollars = 1, per = 'day', mode = @ }]\n",
            &["'Strict'", "'loose'", "''", "1"],
        ),
        (
            "from",
            "[[price]]\nmodel = 'm'\nfrom = @\ninput = 1\noutput = 1\n",
            &["'2026-02-30'", "'2026-13-01'", "'yesterday'", "''", "20260101", "'2026-1-1'", "'2026-11-22T25:00:00Z'"],
        ),
        ("fallback", "[[price]]\ninput = 1\nfallback = @\noutput = 1\n", &["'yes'", "1"]),
        ("provider", "[[price]]\ninput = 1\nprovider = @\noutput = 1\n", &["'nobody'", "''", "1"]),
        ("retention", "[ledger]\npath = 'usage.db'\nretention = @\n", &["'1d'", "'31d'", "'x'", "90", "''", "'-90d'"]),
        (
            "journal_max",
            "[ledger]\npath = 'usage.db'\njournal_max = @\n",
            &["'1KiB'", "0", "-1", "'x'", "'99999999TiB'"],
        ),
        ("on_full", "[ledger]\npath = 'usage.db'\non_full = @\n", &["'drop'", "''", "true"]),
        ("organisation", "[[team]]\nname = 't'\norganisation = @\n", &["'nobody'", "''", "1", "'t'"]),
        ("agent", "[[team]]\nname = 't'\nagent = [{ name = @ }]\n", &["'clippy'", "''", "1"]),
        ("name", "[[owner]]\n# whose\nname = @\n", &["''", "1", "[]", "\"a\\nb\""]),
    ];
    all_refused(fields.iter().flat_map(|(what, text, values)| {
        values.iter().map(move |value| (format!("{what} = {value}"), text.replace('@', value), LINE + 2, ""))
    }));
}

#[test]
fn entries_that_make_no_sense() {
    let rows: &[(&str, &str, usize, &str)] = &[
        ("an owner twice", "[[owner]]\nname = 'o'\n[[owner]]\nname = 'o'\n", 3, "two are named o"),
        ("a team twice", "[[team]]\nname = 't'\n[[team]]\nname = 't'\n", 3, "two are named t"),
        ("an organisation twice", "[[organisation]]\nname = 'g'\n[[organisation]]\nname = 'g'\n", 3, "two are named g"),
        (
            "an agent of a team twice",
            "[[team]]\nname = 't'\n[[team.agent]]\nname = 'codex'\n[[team.agent]]\nname = 'codex'\n",
            5,
            "twice",
        ),
        ("no name", "[[owner]]\nlimits = []\n", 0, "name"),
        ("no dollars", "[[owner]]\nname = 'o'\nbudgets = [{ per = 'day' }]\n", 2, "dollars"),
        ("no period", "[[owner]]\nname = 'o'\nbudgets = [{ dollars = 1 }]\n", 2, "per"),
        ("no count", "[[owner]]\nname = 'o'\nlimits = [{ per = '1m' }]\n", 2, "one count"),
        ("two counts", "[[owner]]\nname = 'o'\nlimits = [{ requests = 1, tokens = 1, per = '1m' }]\n", 2, "one count"),
        ("no time", "[[owner]]\nname = 'o'\nlimits = [{ requests = 1 }]\n", 2, "missing"),
        (
            "a time of calls at one time",
            "[[owner]]\nname = 'o'\nlimits = [{ concurrent = 1, per = '1m' }]\n",
            2,
            "at one time",
        ),
        (
            "one limit twice",
            "[[owner]]\nname = 'o'\nlimits = [{ requests = 1, per = '60s' }, { requests = 2, per = '1m' }]\n",
            2,
            "twice",
        ),
        (
            "an organisation of an organisation",
            "[[organisation]]\nname = 'g'\norganisation = 'g'\n",
            2,
            "unknown field",
        ),
        ("a slip in a budget", "[[owner]]\nname = 'o'\nbudgets = [{ dolars = 1, per = 'day' }]\n", 2, "unknown field"),
        ("a slip in a limit", "[[owner]]\nname = 'o'\nlimits = [{ request = 1, per = '1m' }]\n", 2, "unknown field"),
        ("a slip in a price", "[[price]]\nmodel = 'm'\ninptu = 1\noutput = 1\n", 2, "unknown field"),
        ("a slip in the ledger", "[ledger]\nretain = '90d'\n", 1, "unknown field"),
        ("a slip in all budgets", "[budget]\nmod = 'strict'\n", 1, "unknown field"),
        (
            "one border twice",
            "[[price]]\nmodel = 'm'\ninput = 1\noutput = 1\nlong = [{ above = 5 }, { above = 5 }]\n",
            4,
            "two prices",
        ),
        ("no price of output", "[[price]]\nmodel = 'm'\ninput = 1\n", 0, "output"),
        (
            "a zone of what begins at no hour",
            "[[owner]]\nname = 'o'\nbudgets = [{ dollars = 1, per = '5h', time_zone = 'UTC' }]\n",
            2,
            "no certain hour",
        ),
        ("a list for a table", "[[budget]]\nmode = 'strict'\n", 0, "budget"),
        ("a table for a list", "[owner]\nname = 'o'\n", 0, "one table"),
    ];
    all_refused(
        rows.iter().map(|(what, more, line, words)| ((*what).to_owned(), (*more).to_owned(), LINE + line, *words)),
    );
}

#[test]
fn arguments_that_make_no_sense() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("tollgate.toml"), format!("{GOOD}[state]\ndirectory = 'state'\n")).unwrap();
    let rows: &[(&[&str], &str)] = &[
        (&["usage", "--by", "planet"], "planet"),
        (&["usage", "--by", ""], "none of"),
        (&["usage", "--by", "team,team"], "twice"),
        (&["usage", "--since", "2026-02-30"], "2026-02-30"),
        (&["usage", "--since", "yesterday"], "write a day or an hour"),
        (&["usage", "--since", "2026-11-02", "--until", "2026-11-01"], "not before"),
        (&["usage", "--last", "0d"], "0d"),
        (&["usage", "--last", "-1d"], "-1"),
        (&["usage", "--last", "7y"], "as in 24h"),
        (&["usage", "--last", "99999999999999999999d"], "write a whole number"),
        (&["usage", "--last", "7d", "--since", "2026-11-01"], "cannot be used"),
        (&["usage", "--json", "--csv"], "cannot be used"),
        (&["usage", "--watch", "--json"], "cannot be used"),
        (&["usage", "--config", "nowhere.toml"], "nowhere.toml"),
        (&["usage", "--teem", "x"], "--team"),
        (&["price", "no-such-model"], "no-such-model"),
        (&["price", "claude-sonnet-4-6", "--at", "2026-13-01"], "2026-13-01"),
        (&["price", "claude-sonnet-4-6", "--config", "nowhere.toml"], "nowhere.toml"),
        (&["price", "claude-sonnet-4-6", "--input", "-5"], "-5"),
        (&["check", "--config", "nowhere.toml"], "nowhere.toml"),
        (&["check", "--config", "."], "."),
        (&["serve", "--config", "nowhere.toml"], "nowhere.toml"),
        (&["serve", "--port", "80"], "--port"),
        (&["spend"], "spend"),
    ];
    let before = names(folder.path());
    let mut wrong = Vec::new();
    for (arguments, words) in rows {
        let output = tollgate(folder.path(), arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        let code = output.status.code();
        if !matches!(code, Some(1 | 2)) || !said.contains(words) || said.contains("panicked") {
            wrong.push(format!("{arguments:?}: {code:?}, want {words}\n{said}"));
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(names(folder.path()), before, "nothing was made");
}
