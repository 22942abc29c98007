//! One `[[key]]` in the text of a configuration: added, taken out, or given another digest.
//!
//! Invariant: every byte that does not belong to that key stays as it is, comments, layout and line ends included; so the
//! text is cut where the parser says that things are, and never written anew from what it means. Pure: text in, text out.
//! Whether what comes out is a good configuration is not decided here.

use std::fmt::Write;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use crate::config::shape::extent;

type Value<'t> = Spanned<DeValue<'t>>;

/// What an entry says, besides its digest.
#[derive(Debug, Clone, Copy, Default)]
pub struct Fields<'f> {
    /// Its name.
    pub name: &'f str,
    /// The developer it belongs to.
    pub owner: Option<&'f str>,
    /// The team it belongs to.
    pub team: Option<&'f str>,
    /// The agents it works for; empty: all.
    pub agents: &'f [String],
    /// The models it may use; empty: all.
    pub models: &'f [String],
    /// When it stops.
    pub expires: Option<&'f str>,
}

/// A key that another has taken the place of.
#[derive(Debug, Clone)]
pub struct Earlier {
    /// Its digest, in hex.
    pub sha256: String,
    /// RFC 3339.
    pub until: String,
}

/// A new entry, with `\n` at each line's end.
#[must_use]
pub fn lines(fields: &Fields<'_>, sha256: &str) -> String {
    let Fields { name, owner, team, agents, models, expires } = *fields;
    let mut out = format!("[[key]]\nname = {}\n", quoted(name));
    for (field, value) in [("owner", owner), ("team", team)] {
        if let Some(value) = value {
            let _ = writeln!(out, "{field} = {}", quoted(value));
        }
    }
    let _ = writeln!(out, "sha256 = \"{sha256}\"");
    for (field, values) in [("agents", agents), ("models", models)] {
        if !values.is_empty() {
            let values: Vec<String> = values.iter().map(|value| quoted(value)).collect();
            let _ = writeln!(out, "{field} = [{}]", values.join(", "));
        }
    }
    if let Some(expires) = expires {
        let _ = writeln!(out, "expires = {}", quoted(expires));
    }
    out
}

/// Adds an entry at the end.
///
/// # Errors
///
/// When the keys are written in a way that takes no further entry.
pub fn append(text: &str, entry: &str) -> Result<String, String> {
    let root = parse(text)?;
    // An empty list is none that TOML would let `[[key]]` add to.
    if field(root.get_ref(), "key").is_some_and(|(_, keys)| headed_items(text, keys).is_none_or(<[_]>::is_empty)) {
        return Err(INLINE.to_owned());
    }
    let eol = line_end(text);
    let mut out = text.to_owned();
    if !out.is_empty() && !out.ends_with('\n') {
        out.push_str(eol);
    }
    if !out.is_empty() && !ends_blank(&out) {
        out.push_str(eol);
    }
    out.push_str(&entry.replace('\n', eol));
    Ok(out)
}

/// Takes an entry out, and the comment that stands right above it.
///
/// # Errors
///
/// When the keys are written in a way that leaves nothing to cut.
pub fn remove(text: &str, index: usize) -> Result<String, String> {
    let root = parse(text)?;
    let mut regions = Vec::new();
    gather(text, entry(text, root.get_ref(), index)?, &mut regions);
    let mut cuts = whole_regions(text, regions);
    if let Some(first) = cuts.first_mut() {
        first.start = above_comment(text, first.start);
    }
    Ok(apply(text, cuts.into_iter().map(|cut| (without_blank(text, cut), String::new())).collect()))
}

/// Gives an entry another digest, and says which earlier ones still work.
///
/// # Errors
///
/// When the keys are written in a way that leaves nothing to change.
pub fn renew(text: &str, index: usize, sha256: &str, earlier: &[Earlier]) -> Result<String, String> {
    let root = parse(text)?;
    let DeValue::Table(table) = entry(text, root.get_ref(), index)?.get_ref() else { return Err(INLINE.to_owned()) };
    let Some((_, digest)) = field(table, "sha256") else { return Err("the key has no sha256".to_owned()) };
    let eol = line_end(text);
    let mut edits = vec![(digest.span(), quoted(sha256))];
    let written = array(earlier, eol);
    let mut placed = earlier.is_empty();
    if let Some((name, value)) = field(table, "previous") {
        if let Some(items) = headed_items(text, value) {
            let mut regions = Vec::new();
            items.iter().for_each(|item| gather(text, item, &mut regions));
            let cuts = whole_regions(text, regions).into_iter();
            edits.extend(cuts.map(|cut| (without_blank(text, cut), String::new())));
        } else if placed {
            edits.push((whole_lines(text, &(name.start..value.span().end)), String::new()));
        } else {
            edits.push((value.span(), written.clone()));
            placed = true;
        }
    }
    if !placed {
        let line = whole_lines(text, &digest.span());
        let indent: String = text[line.start..].chars().take_while(|c| matches!(c, ' ' | '\t')).collect();
        let added = format!("{indent}previous = {written}");
        let ended = text[line.clone()].ends_with('\n');
        let added = if ended { format!("{added}{eol}") } else { format!("{eol}{added}") };
        edits.push((line.end..line.end, added));
    }
    Ok(apply(text, edits))
}

const INLINE: &str = "the keys of this configuration are written as one inline array (key = […])\n  \
                      hint: write each as a [[key]] table; only these can be changed for you";

fn parse(text: &str) -> Result<Spanned<DeTable<'_>>, String> {
    DeTable::parse(text).map_err(|e| format!("not TOML: {}", e.message()))
}

/// A field, where its name stands, and its value.
fn field<'d, 't>(table: &'d DeTable<'t>, name: &str) -> Option<(Range<usize>, &'d Value<'t>)> {
    let (key, value) = table.iter().find(|(key, _): &(&Spanned<DeString<'t>>, _)| *key.get_ref() == name)?;
    Some((key.span(), value))
}

/// The entry of an index, if it has a header of its own.
fn entry<'d, 't>(text: &str, root: &'d DeTable<'t>, index: usize) -> Result<&'d Value<'t>, String> {
    let items = field(root, "key").and_then(|(_, keys)| headed_items(text, keys));
    items.and_then(|items| items.get(index)).ok_or_else(|| INLINE.to_owned())
}

/// Whether a value is a table whose `[…]` or `[[…]]` stands on a line of its own.
fn headed(text: &str, value: &Value<'_>) -> bool {
    matches!(value.get_ref(), DeValue::Table(_)) && text.as_bytes().get(value.span().start) == Some(&b'[')
}

/// The tables of an array, if they have headers.
fn headed_items<'d, 't>(text: &str, value: &'d Value<'t>) -> Option<&'d [Value<'t>]> {
    let DeValue::Array(items) = value.get_ref() else { return None };
    (!items.is_empty() && items.iter().all(|item| headed(text, item))).then_some(items)
}

/// Where a table with a header stands, and the tables below it, which may stand elsewhere.
fn gather(text: &str, table: &Value<'_>, regions: &mut Vec<Range<usize>>) {
    let DeValue::Table(fields) = table.get_ref() else { return };
    let mut own = table.span();
    for (_, value) in fields {
        if headed(text, value) {
            gather(text, value, regions);
        } else if let Some(items) = headed_items(text, value) {
            items.iter().for_each(|item| gather(text, item, regions));
        } else {
            own.end = own.end.max(extent(value).end);
        }
    }
    regions.push(own);
}

/// From the beginning of a range's first line to the end of its last, line end included.
fn whole_lines(text: &str, range: &Range<usize>) -> Range<usize> {
    let start = text[..range.start].rfind('\n').map_or(0, |end| end + 1);
    let end = text[range.end..].find('\n').map_or(text.len(), |end| range.end + end + 1);
    start..end
}

/// Regions in whole lines and in order; those with nothing but blank lines between them are one.
fn whole_regions(text: &str, mut regions: Vec<Range<usize>>) -> Vec<Range<usize>> {
    regions.sort_by_key(|region| region.start);
    let mut whole: Vec<Range<usize>> = Vec::with_capacity(regions.len());
    for region in regions {
        let region = whole_lines(text, &region);
        match whole.last_mut() {
            Some(last) if text[last.end.min(region.start)..region.start].trim().is_empty() => last.end = region.end,
            _ => whole.push(region),
        }
    }
    whole
}

/// Where the comment lines begin that stand right above a line.
fn above_comment(text: &str, mut start: usize) -> usize {
    while let Some(end) = text[..start].strip_suffix('\n').map(str::len) {
        let line = whole_lines(text, &(end..end));
        if !text[line.clone()].trim_start().starts_with('#') {
            break;
        }
        start = line.start;
    }
    start
}

/// What is cut out should not leave two blank lines where one was on either side, nor one at the end of the file.
fn without_blank(text: &str, mut cut: Range<usize>) -> Range<usize> {
    let (before, after) = text.split_at(cut.end);
    let before = &before[..cut.start];
    if after.trim().is_empty() {
        let kept = before.trim_end_matches(['\r', '\n']);
        let eol = before[kept.len()..].find('\n').map_or(0, |end| end + 1);
        cut.start = kept.len() + eol;
    } else if before.is_empty() || ends_blank(before) {
        let blank = after.split_inclusive('\n').take_while(|line| line.trim().is_empty()).map(str::len).sum::<usize>();
        cut.end += blank;
    }
    cut
}

fn ends_blank(text: &str) -> bool {
    text.strip_suffix('\n').and_then(|text| text.rsplit('\n').next()).is_some_and(|line| line.trim().is_empty())
}

fn line_end(text: &str) -> &'static str {
    if text.contains("\r\n") { "\r\n" } else { "\n" }
}

/// Replaces ranges that do not overlap.
fn apply(text: &str, mut edits: Vec<(Range<usize>, String)>) -> String {
    // What is put in where something else is cut out comes in front of it.
    edits.sort_by_key(|(range, _)| (range.start, range.end));
    let mut out = text.to_owned();
    for (range, with) in edits.into_iter().rev() {
        out.replace_range(range, &with);
    }
    out
}

/// A TOML basic string; it escapes like JSON.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn array(earlier: &[Earlier], eol: &str) -> String {
    let entry = |e: &Earlier| format!("{{ sha256 = {}, until = {} }}", quoted(&e.sha256), quoted(&e.until));
    match earlier {
        [one] => format!("[{}]", entry(one)),
        more => {
            let lines: String = more.iter().map(|e| format!("    {},{eol}", entry(e))).collect();
            format!("[{eol}{lines}]")
        }
    }
}

#[cfg(test)]
mod tests;
