//! Text -> the schema's structs, or everything that does not fit them.
//!
//! serde stops at the first misfit, so a file that has one is read again, entry by entry, and each misfit is taken out
//! until the rest fits. Invariant: a message never repeats a value that could be a secret, and never a line of the file.

use std::fmt::Write as _;
use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{self, DeArray, DeString, DeTable, DeValue, Deserializer};

use super::problem::{Problem, Source, nearest};
use super::schema::Config;
use super::units::{HINT, SECRET_HINT};

type Key<'t> = Spanned<DeString<'t>>;
type Value<'t> = Spanned<DeValue<'t>>;

/// What could be read of a file that does not fit.
#[derive(Debug)]
pub struct Misfit {
    /// What does not fit, and at which byte.
    pub problems: Vec<(usize, Problem)>,
    /// The rest, if every entry could still be read without its misfits, and the extent of the entries that had some: what
    /// is odd about those may be a mere consequence.
    pub rest: Option<(Config, Vec<Range<usize>>)>,
}

/// Reads a file.
///
/// # Errors
///
/// When it is not TOML, or does not fit the schema.
pub fn read(source: &Source<'_>) -> Result<Config, Box<Misfit>> {
    if let Ok(config) = toml::from_str(source.text) {
        return Ok(config);
    }
    let (root, broken) = DeTable::parse_recoverable(source.text);
    if !broken.is_empty() {
        return Err(Box::new(Misfit { problems: syntax(source, root.get_ref(), &broken), rest: None }));
    }
    let mut salvage = Salvage { source, problems: Vec::new(), tainted: Vec::new(), whole: true };
    let mut fitting = DeTable::new();
    for (key, mut value) in root.into_inner() {
        match value.get_mut() {
            DeValue::Array(entries) => {
                *entries = salvage.entries(&key, std::mem::replace(entries, DeArray::new()));
                fitting.insert(key, value);
            }
            _ => {
                let path = key.get_ref().to_string();
                if let Some(value) = salvage.fit(&key, value, &path, |value| value) {
                    fitting.insert(key, value);
                }
            }
        }
    }
    let Salvage { problems, tainted, whole, .. } = salvage;
    let rest = Config::deserialize(Deserializer::from(Spanned::new(0..0, fitting))).ok().filter(|_| whole);
    Err(Box::new(Misfit { problems, rest: rest.map(|config| (config, tainted)) }))
}

struct Salvage<'s, 't> {
    source: &'s Source<'t>,
    problems: Vec<(usize, Problem)>,
    tainted: Vec<Range<usize>>,
    /// Nothing had to be left out as a whole.
    whole: bool,
}

impl<'t> Salvage<'_, 't> {
    /// The entries of a section that fit.
    fn entries(&mut self, key: &Key<'t>, entries: DeArray<'t>) -> DeArray<'t> {
        let mut fitting = DeArray::new();
        for (index, entry) in entries.into_iter().enumerate() {
            let path = format!("{}[{index}]", key.get_ref());
            let alone = |entry| Spanned::new(0..0, DeValue::Array(std::iter::once(entry).collect()));
            if let Some(entry) = self.fit(key, entry, &path, alone) {
                fitting.push(entry);
            }
            if self.problems.last().is_some_and(|(_, p)| p.path == **key.get_ref()) {
                // The section itself is unknown: once is enough.
                break;
            }
        }
        fitting
    }

    /// Takes out of a piece what does not fit, one misfit at a time. `None` if the piece as a whole does not fit.
    fn fit(
        &mut self,
        key: &Key<'t>,
        mut piece: Value<'t>,
        path: &str,
        section: impl Fn(Value<'t>) -> Value<'t>,
    ) -> Option<Value<'t>> {
        let place = extent(&piece);
        let before = self.problems.len();
        loop {
            let alone: DeTable<'t> = std::iter::once((key.clone(), section(piece.clone()))).collect();
            let error = match Config::deserialize(Deserializer::from(Spanned::new(0..0, alone))) {
                Ok(_) => return Some(piece),
                Err(error) => error,
            };
            self.tainted.push(place.clone());
            let span = error.span().unwrap_or_else(|| place.clone());
            let mut at = path.to_owned();
            let removed = if span == key.span() {
                at = key.get_ref().to_string();
                false
            } else {
                take_out(&mut piece, &span, &mut at)
            };
            // What lacks a part that was taken out of it has been told enough.
            let consequence = at != path && self.problems[before..].iter().any(|(_, p)| within(&p.path, &at));
            if !consequence {
                self.problems.push((span.start, misfit(self.source, span.start, at, error.message())));
            }
            if !removed {
                self.whole = false;
                return None;
            }
        }
    }
}

/// Removes what stands at a span, and appends its path.
fn take_out(value: &mut Value<'_>, span: &Range<usize>, path: &mut String) -> bool {
    match value.get_mut() {
        DeValue::Table(table) => {
            let found = table.iter().find(|(k, v)| k.span() == *span || v.span() == *span || inside(&extent(v), span));
            let Some((key, child)) = found else { return false };
            let (key, itself) = (key.clone(), key.span() == *span);
            let shallow = child.span() == *span && !matches!(child.get_ref(), DeValue::Table(_) | DeValue::Array(_));
            path.push('.');
            path.push_str(key.get_ref());
            let deeper = !itself && !shallow && table.get_mut(&key).is_some_and(|child| take_out(child, span, path));
            deeper || table.remove(&key).is_some()
        }
        DeValue::Array(array) => {
            let found = array.iter().position(|v| v.span() == *span || inside(&extent(v), span));
            let Some(index) = found else { return false };
            let _ = write!(path, "[{index}]");
            if !array.get_mut(index).is_some_and(|child| take_out(child, span, path)) {
                let all = std::mem::replace(array, DeArray::new());
                *array = all.into_iter().enumerate().filter(|(i, _)| *i != index).map(|(_, v)| v).collect();
            }
            true
        }
        _ => false,
    }
}

/// From the first byte to the last of a value. The span of a table with a header of its own is only that header.
#[must_use]
pub fn extent(value: &Value<'_>) -> Range<usize> {
    let join = |a: Range<usize>, b: Range<usize>| a.start.min(b.start)..a.end.max(b.end);
    match value.get_ref() {
        DeValue::Table(table) => table.iter().fold(value.span(), |all, (k, v)| join(join(all, k.span()), extent(v))),
        DeValue::Array(array) => array.iter().fold(value.span(), |all, v| join(all, extent(v))),
        _ => value.span(),
    }
}

/// Whether a path lies below another.
fn within(path: &str, above: &str) -> bool {
    path.strip_prefix(above).is_some_and(|rest| rest.starts_with(['.', '[']))
}

fn inside(outer: &Range<usize>, inner: &Range<usize>) -> bool {
    outer.start <= inner.start && inner.end <= outer.end
}

/// Says what a misfit is and what to do, from serde's words.
fn misfit(source: &Source<'_>, at: usize, path: String, message: &str) -> Problem {
    let (message, mut hint) = match message.split_once(HINT) {
        Some((message, hint)) => (message, Some(hint.to_owned())),
        None => (message, None),
    };
    // In backquotes: the word itself, then what was expected.
    let mut quoted = message.split('`').skip(1).step_by(2);
    let text = if let Some(rest) =
        message.strip_prefix("invalid type: string ").or(message.strip_prefix("invalid value: string "))
    {
        // The string could be a secret in the wrong place.
        let expected = rest.rsplit_once(", expected ").map_or("something else", |(_, expected)| expected);
        hint = hint.or_else(|| path.contains("secret").then(|| SECRET_HINT.to_owned()));
        format!("a string, expected {expected}")
    } else if message.starts_with("unknown field") {
        let word = quoted.next().unwrap_or_default();
        let known: Vec<_> = quoted.collect();
        hint = Some(instead(word, &known));
        format!("unknown field `{word}`")
    } else if message.starts_with("unknown variant") {
        let word = quoted.next().unwrap_or_default();
        let known: Vec<_> = quoted.collect();
        hint = Some(match nearest(word, known.iter().copied()) {
            Some(near) => format!("did you mean \"{near}\"? One of: {}", known.join(", ")),
            None => format!("one of: {}", known.join(", ")),
        });
        // Longer than any choice: perhaps a secret in the wrong place.
        if word.len() > 20 { "an unknown choice".to_owned() } else { format!("unknown choice \"{word}\"") }
    } else if message.starts_with("missing field") {
        hint = quoted.next().map(|field| format!("add {field} = …"));
        message.to_owned()
    } else if message.starts_with("invalid type: map, expected a sequence") {
        hint = Some(format!("there may be several: write [[{path}]]"));
        "one table, expected a list of tables".to_owned()
    } else {
        message.to_owned()
    };
    let mut problem = source.problem(at, path, text);
    problem.hint = hint;
    problem
}

/// What was meant by a field that is unknown.
fn instead(word: &str, known: &[&str]) -> String {
    let has = |field: &str| known.contains(&field);
    match word {
        "api_key" | "key" | "token" | "apikey" | "api-key" if has("credential") => {
            "the provider's key goes into credential = { env = \"NAME\" } or { file = \"path\" }".to_owned()
        }
        "key" | "value" | "api_key" | "token" if has("sha256") => {
            "the key goes into secret = { env = \"NAME\" } or { file = \"path\" }, or its digest into sha256".to_owned()
        }
        "url" | "endpoint" | "api_base" if has("base_url") => "did you mean base_url?".to_owned(),
        "protocol" | "protocols" | "dialect" | "dialects" | "api" if has("speaks") => "did you mean speaks?".to_owned(),
        "type" if has("kind") => "did you mean kind?".to_owned(),
        "model" | "target" if has("upstream_model") => "did you mean upstream_model?".to_owned(),
        "providers" | "models" | "keys" | "mounts" if has("provider") => {
            format!("did you mean [[{}]]?", word.trim_end_matches('s'))
        }
        _ => match nearest(word, known.iter().copied()) {
            Some(near) => format!("did you mean {near}? Known here: {}", known.join(", ")),
            None => format!("known here: {}", known.join(", ")),
        },
    }
}

/// What is not TOML, one problem per line: the parser's later ones on a line are consequences.
fn syntax(source: &Source<'_>, root: &DeTable<'_>, broken: &[de::Error]) -> Vec<(usize, Problem)> {
    let mut problems: Vec<(usize, Problem)> = Vec::new();
    for error in broken {
        let at = error.span().map_or(source.text.len(), |span| span.start);
        let mut path = String::new();
        nearest_key(root, at, &mut path);
        let problem = source.problem(at, path, format!("not TOML: {}", error.message()));
        if problems.iter().all(|(_, p)| p.line != problem.line) {
            problems.push((at, problem));
        }
    }
    problems
}

/// The path of the last key in front of an offset.
fn nearest_key(table: &DeTable<'_>, at: usize, path: &mut String) {
    let before =
        table.iter().filter(|(k, _)| k.span().start <= at).max_by_key(|(k, v)| k.span().start.max(last_start(v, at)));
    let Some((key, value)) = before else { return };
    if !path.is_empty() {
        path.push('.');
    }
    path.push_str(key.get_ref());
    match value.get_ref() {
        DeValue::Table(table) => nearest_key(table, at, path),
        DeValue::Array(entries) => {
            let last = entries.iter().enumerate().rfind(|(_, v)| extent(v).start <= at);
            if let Some((index, entry)) = last {
                let _ = write!(path, "[{index}]");
                if let DeValue::Table(table) = entry.get_ref() {
                    nearest_key(table, at, path);
                }
            }
        }
        _ => {}
    }
}

/// Where the last key of a value in front of an offset begins.
fn last_start(value: &Value<'_>, at: usize) -> usize {
    let nested = match value.get_ref() {
        DeValue::Table(table) => {
            table.iter().map(|(k, v)| k.span().start.max(last_start(v, at))).filter(|s| *s <= at).max()
        }
        DeValue::Array(array) => array.iter().map(|v| last_start(v, at)).filter(|s| *s <= at).max(),
        _ => None,
    };
    nested.unwrap_or(0)
}
