//! Reads secrets from where the file says they are.
//!
//! Invariant: what is read is wiped from memory when it is dropped, and no message holds any of it. That includes the *name*
//! of a variable that does not look like one: people paste the secret itself there.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use zeroize::Zeroizing;

use super::{Context, Entry};
use crate::config::units::{SECRET_HINT, Secret};

/// A secret is a line, not a document.
const MAX_BYTES: u64 = 64 * 1024;

/// The secret, fit for a header: visible ASCII without blanks.
pub fn read(cx: &mut Context<'_>, entry: Entry, field: &str, at: usize, place: &Secret) -> Option<Zeroizing<String>> {
    let secret = match place {
        Secret::Env(name) => variable(cx, entry, field, at, name)?,
        Secret::File(path) => file(cx, entry, field, at, path)?,
    };
    if secret.is_empty() {
        cx.error(at, entry.field(field), format!("{} is empty", named(place)));
        return None;
    }
    if !secret.bytes().all(|b| b.is_ascii_graphic()) {
        cx.error(at, entry.field(field), format!("{} holds something that no key has", named(place)))
            .hint("one line of visible ASCII without blanks, such as sk-…, and no \"Bearer \" in front");
        return None;
    }
    Some(secret)
}

fn variable(cx: &mut Context<'_>, entry: Entry, field: &str, at: usize, name: &str) -> Option<Zeroizing<String>> {
    if !is_usual_name(name) {
        // Not repeated: it may be the secret itself.
        let value = (cx.env)(name).map(Zeroizing::new);
        if value.is_none() {
            cx.error(at, entry.field(field), "no environment variable has the name that is given here").hint(
                "env wants a variable's name, as in { env = \"ANTHROPIC_API_KEY\" }; the secret itself is not written here",
            );
        }
        return value;
    }
    let value = (cx.env)(name).map(Zeroizing::new);
    if value.is_none() {
        cx.error(at, entry.field(field), format!("environment variable {name} is not set"))
            .hint(format!("set {name} where Tollgate is started, or use {{ file = \"path\" }}"));
    }
    value
}

fn file(cx: &mut Context<'_>, entry: Entry, field: &str, at: usize, written: &Path) -> Option<Zeroizing<String>> {
    let path = cx.path(written);
    cx.watched.push(path.clone());
    let (text, mode) = match slurp(&path) {
        Ok(read) => read,
        Err(why) => {
            cx.error(at, entry.field(field), format!("{}: {why}", path.display())).hint(SECRET_HINT);
            return None;
        }
    };
    if mode & 0o004 != 0 {
        cx.warn(at, entry.field(field), format!("everybody on this machine can read {}", path.display()))
            .hint(format!("chmod 600 {}", path.display()));
    }
    let secret = text.strip_suffix('\n').map_or(&**text, |line| line.strip_suffix('\r').unwrap_or(line));
    Some(Zeroizing::new(secret.to_owned()))
}

/// The whole file and its mode.
fn slurp(path: &Path) -> Result<(Zeroizing<String>, u32), String> {
    let cannot = |e: std::io::Error| format!("it cannot be read: {e}");
    // Asked before it is opened: opening a pipe would wait for a writer.
    let metadata = std::fs::metadata(path).map_err(cannot)?;
    if !metadata.is_file() {
        return Err("it is not a file".into());
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(metadata.len().min(MAX_BYTES)).unwrap_or(0) + 1));
    File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes)).map_err(cannot)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(format!("it is longer than a secret may be ({MAX_BYTES} bytes)"));
    }
    let text = str::from_utf8(&bytes).map_err(|_| "it is not text".to_owned())?;
    Ok((Zeroizing::new(text.to_owned()), metadata.permissions().mode()))
}

fn named(place: &Secret) -> String {
    match place {
        Secret::Env(name) if is_usual_name(name) => format!("environment variable {name}"),
        Secret::Env(_) => "the environment variable".to_owned(),
        Secret::File(path) => format!("the file {}", path.display()),
    }
}

/// Provider keys have lower case letters or hyphens; variables have neither by custom.
fn is_usual_name(name: &str) -> bool {
    name.len() <= 64 && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}
