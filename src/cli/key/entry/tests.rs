//! Texts before and after. Digests are shortened: nothing here reads them.

use proptest::prelude::*;

use super::*;

const FILE: &str = "# the gateway of the team\nversion = 1   # of the format\n\n[[key]] # first\nname = \"a\"\nsha256 = \"aa\" # from 2026\n# expires = \"2027-01-01\"\n\n# bob's\n# own\n[[key]]\n  name = 'b'\n  sha256 = \"bb\"\n\n[[mount]]\nprefix = \"/x\" # the end";

fn earlier(digests: &[&str]) -> Vec<Earlier> {
    digests.iter().map(|d| Earlier { sha256: (*d).to_owned(), until: "T".to_owned() }).collect()
}

/// With either kind of line end.
#[track_caller]
fn both(name: &str, text: &str, want: &str, change: impl Fn(&str) -> Result<String, String>) {
    for eol in ["\n", "\r\n"] {
        let got = change(&text.replace('\n', eol)).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(got, want.replace('\n', eol), "{name} {eol:?}");
    }
}

#[test]
fn an_entry_says_what_it_is_given_and_no_more() {
    let bare = Fields { name: "a \"b\" \\", ..Fields::default() };
    assert_eq!(lines(&bare, "00"), "[[key]]\nname = \"a \\\"b\\\" \\\\\"\nsha256 = \"00\"\n");
    let (agents, models) = (["codex".to_owned()], ["a*".to_owned(), "b".to_owned()]);
    let full = Fields {
        owner: Some("o"),
        team: Some("t"),
        agents: &agents,
        models: &models,
        expires: Some("2027-06-30"),
        name: "n",
    };
    let want = "[[key]]\nname = \"n\"\nowner = \"o\"\nteam = \"t\"\nsha256 = \"00\"\nagents = [\"codex\"]\nmodels = [\"a*\", \"b\"]\nexpires = \"2027-06-30\"\n";
    assert_eq!(lines(&full, "00"), want);
}

#[test]
fn append_keeps_everything_and_sets_one_blank_line() {
    for (name, text, want) in [
        ("no line end", "# a\nversion = 1", "# a\nversion = 1\n\n[[key]]\n"),
        ("a line end", "version = 1\n", "version = 1\n\n[[key]]\n"),
        ("a blank line", "version = 1\n\n", "version = 1\n\n[[key]]\n"),
        ("a comment at the end", "[[key]]\nname = 1\n# x\n", "[[key]]\nname = 1\n# x\n\n[[key]]\n"),
        ("a whole file", FILE, &format!("{FILE}\n\n[[key]]\n")),
    ] {
        both(name, text, want, |text| append(text, "[[key]]\n"));
    }
    assert_eq!(append("", "[[key]]\n").unwrap(), "[[key]]\n");
}

#[test]
fn remove_takes_the_entry_with_its_comment() {
    let rest = "# the gateway of the team\nversion = 1   # of the format\n\n";
    let mount = "[[mount]]\nprefix = \"/x\" # the end";
    let first = format!(
        "{rest}# expires = \"2027-01-01\"\n\n# bob's\n# own\n[[key]]\n  name = 'b'\n  sha256 = \"bb\"\n\n{mount}"
    );
    both("the first", FILE, &first, |text| remove(text, 0));
    let second = format!(
        "{rest}[[key]] # first\nname = \"a\"\nsha256 = \"aa\" # from 2026\n# expires = \"2027-01-01\"\n\n{mount}"
    );
    both("the second", FILE, &second, |text| remove(text, 1));
    let two = "[[key]]\nname = 1\n\n[[key]]\nname = 2\n";
    both("the last of the file", two, "[[key]]\nname = 1\n", |text| remove(text, 1));
    both("the first of the file", two, "[[key]]\nname = 2\n", |text| remove(text, 0));
    both("without a line end", &two[..two.len() - 1], "[[key]]\nname = 1\n", |text| remove(text, 1));
    let long = "[[key]]\nname = \"\"\"\n[[key]]\n# no comment\n\"\"\"\nmodels = [\n  \"a\", # one\n  \"b\",\n] # end\n[[key]]\nname = 2\n";
    both("values of several lines", long, "[[key]]\nname = 2\n", |text| remove(text, 0));
    let below = "[[key]]\nname = 1\n[[key.previous]]\nuntil = 1\n[key.secret]\nenv = \"A\"\n[[mount]]\nx = 1\n[[key.previous]]\nuntil = 2\n[[key]]\nname = 2\n";
    both("tables below it", below, "[[mount]]\nx = 1\n[[key]]\nname = 2\n", |text| remove(text, 0));
    let dotted = "[[key]]\nsecret.env = \"A\"\nname = 1\n[[key]]\nname = 2\nsecret.env = \"B\"\n";
    both("a dotted field at the end", dotted, "[[key]]\nsecret.env = \"A\"\nname = 1\n", |text| remove(text, 1));
    let spaced = "[[ key ]]\nname = 1\n[[\"key\"]]\nname = 2\n";
    both("other spellings of the header", spaced, "[[ key ]]\nname = 1\n", |text| remove(text, 1));
}

#[test]
fn renew_changes_the_digest_and_what_is_earlier() {
    let with = |previous: &str| format!("[[key]]\nname = 1\n  sha256 = 'aa' # x\n{previous}team = 2\n");
    let new = |previous: &str| with(previous).replace("'aa'", "\"ff\"");
    let one = "  previous = [{ sha256 = \"aa\", until = \"T\" }]\n";
    let two = "  previous = [\n    { sha256 = \"bb\", until = \"T\" },\n    { sha256 = \"aa\", until = \"T\" },\n]\n";
    let old = "  previous = [ { sha256 = \"bb\", until = 2027-01-01 } ] # y\n";
    for (name, before, digests, after) in [
        ("the first time", "", &["aa"][..], one),
        ("without a grace", "", &[], ""),
        ("again", old, &["bb", "aa"], &two.replace("]\n", "] # y\n")),
        ("again, without a grace", old, &[], ""),
        ("again, the earlier one has stopped", old, &["aa"], &one.replace("]\n", "] # y\n")),
    ] {
        both(name, &with(before), &new(after), |text| renew(text, 0, "ff", &earlier(digests)));
    }
    let last = "[[key]]\nsha256 = \"aa\"";
    let want = "[[key]]\nsha256 = \"ff\"\nprevious = [{ sha256 = \"aa\", until = \"T\" }]";
    assert_eq!(renew(last, 0, "ff", &earlier(&["aa"])).unwrap(), want);
    let below = "[[key]]\nsha256 = \"aa\"\n\n[[key.previous]]\nsha256 = \"bb\"\nuntil = \"U\"\n\n[[key]]\nname = 2\n";
    let want = "[[key]]\nsha256 = \"ff\"\nprevious = [{ sha256 = \"aa\", until = \"T\" }]\n\n[[key]]\nname = 2\n";
    both("earlier ones as tables", below, want, |text| renew(text, 0, "ff", &earlier(&["aa"])));
}

#[test]
fn keys_in_one_line_are_left_alone() {
    for text in ["key = []", "key = [{ name = 1, sha256 = \"a\" }]", "key = 1"] {
        assert!(append(text, "").unwrap_err().contains("[[key]]"), "{text}");
        assert!(remove(text, 0).unwrap_err().contains("[[key]]"), "{text}");
        assert!(renew(text, 0, "a", &[]).unwrap_err().contains("[[key]]"), "{text}");
    }
    assert!(append("a = ", "").unwrap_err().contains("not TOML"));
}

proptest! {
    /// Whatever stands between the keys, what is added can be taken out again, and nothing else has moved.
    #[test]
    fn what_was_appended_can_be_removed(
        between in proptest::collection::vec("(# [a-z]{0,5}\n|\n|\\[\\[mount\\]\\]\nx = 1\n|\\[\\[key\\]\\]\nsha256 = \"a\"\n){0,4}", 1..4),
        crlf in any::<bool>(),
    ) {
        let mut text = between.concat();
        if crlf {
            text = text.replace('\n', "\r\n");
        }
        let keys = text.matches("[[key]]").count();
        let added = append(&text, &lines(&Fields { name: "n", ..Fields::default() }, "00")).unwrap();
        prop_assert!(added.starts_with(&text));
        let removed = remove(&added, keys).unwrap();
        prop_assert_eq!(removed.trim_end(), text.trim_end());
        if keys > 0 {
            let renewed = renew(&added, 0, "new one", &earlier(&["a"])).unwrap();
            prop_assert_eq!(renewed.matches("new one").count(), 1);
            let back = renew(&renewed, 0, "a", &[]).unwrap();
            prop_assert_eq!(back, added);
        }
    }
}
