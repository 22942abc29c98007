//! APIs that exist and whose use cannot be counted: which of their calls may be passed on, and what each does with ids.
//!
//! A closed table, since what passes here is not looked into for tokens: a path that has no row is refused, whatever a key
//! is allowed. Each row says which of a provider's things its path names, and what it makes, so that whose they are can be
//! asked before the call leaves, and remembered before its answer arrives. Invariants: no row shows things of every team (a
//! listing is known as one, and refused); every id in a path stands in a row's `{id}`, or in a `*` below one, where it means
//! something only inside of that.
//!
//! Deliberately not here: fine-tuning, evals, assistants and others that make things for the whole account; and realtime sessions, which are
//! WebSockets.

mod table;

#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use http::Method;
use smallvec::SmallVec;

use super::path::{ANTHROPIC_VERSION, Located, is_id};
use super::{Dialect, Endpoint, Object};
use crate::error::RequestError;
use crate::message::Fields;
use table::{Does, Row, TABLE};

/// Which vendor's API a call belongs to: one provider gets all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Vendor {
    /// Files and batches of Anthropic.
    Anthropic,
    /// Files, batches, vector stores, containers, images, audio, videos of OpenAI.
    OpenAi,
    /// Files, batches and cached contents of Google.
    Gemini,
}

impl Vendor {
    /// Every vendor, in the order of their discriminants.
    pub const ALL: [Self; 3] = [Self::Anthropic, Self::OpenAi, Self::Gemini];

    /// As written in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Anthropic => "anthropic",
            Self::OpenAi => "openai",
            Self::Gemini => "gemini",
        }
    }

    /// The dialect whose provider it is, and in which it is refused.
    #[must_use]
    pub const fn dialect(self) -> Dialect {
        match self {
            Self::Anthropic => Dialect::Anthropic,
            Self::OpenAi => Dialect::Chat,
            Self::Gemini => Dialect::Gemini,
        }
    }
}

/// What a call's body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// There is none; what comes is not passed on.
    Nothing,
    /// A JSON object, which may name stored things; or nothing.
    Json,
    /// A file, alone or in a form. It is not looked into, but for the calls of a batch.
    File,
    /// A JSON object, or a form with files in it that names no stored thing.
    Form,
}

/// A kind of these APIs: the first segment of its paths, and the words for it. The words are a label of metrics, too.
const SERVICES: &[(&str, &str)] = &[
    ("audio", "audio"),
    ("batches", "batches"),
    ("cachedContents", "cached contents"),
    ("containers", "containers"),
    ("conversations", "conversations"),
    ("files", "files"),
    ("fine_tuning", "fine-tuning"),
    ("images", "images"),
    ("moderations", "moderations"),
    ("realtime", "realtime sessions"),
    ("uploads", "uploads"),
    ("vector_stores", "vector stores"),
    ("videos", "videos"),
];

/// How many kinds there are.
pub const SERVICE_COUNT: usize = SERVICES.len();

/// The words for a kind, by its number.
#[must_use]
pub fn service(number: usize) -> &'static str {
    SERVICES.get(number).map_or("other", |(_, words)| words)
}

/// One call of the table, by its place there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Operation {
    row: u8,
    service: u8,
}

impl Operation {
    const fn row(self) -> &'static Row {
        &TABLE[self.row as usize]
    }

    /// Whose API it is.
    #[must_use]
    pub const fn vendor(self) -> Vendor {
        self.row().vendor
    }

    /// Its method.
    #[must_use]
    pub const fn method(self) -> &'static str {
        self.row().method
    }

    /// The number of its kind, below [`SERVICE_COUNT`].
    #[must_use]
    pub const fn service(self) -> usize {
        self.service as usize
    }

    /// Its kind, in words.
    #[must_use]
    pub fn what(self) -> &'static str {
        service(self.service())
    }

    /// What the id in its path names.
    #[must_use]
    pub const fn uses(self) -> Option<Object> {
        match self.row().does {
            Does::Uses(object) | Does::Turns(object, _) => Some(object),
            Does::Works | Does::Makes(_) | Does::Lists => None,
        }
    }

    /// What its answer names that is new, or that is heard of for the first time.
    #[must_use]
    pub const fn makes(self) -> Option<Object> {
        match self.row().does {
            Does::Makes(object) | Does::Turns(_, object) => Some(object),
            Does::Works | Does::Uses(_) | Does::Lists => None,
        }
    }

    /// What its body is.
    #[must_use]
    pub const fn takes(self) -> Takes {
        self.row().takes
    }

    /// Whether its answer names things of everybody.
    #[must_use]
    pub const fn lists(self) -> bool {
        matches!(self.row().does, Does::Lists)
    }

    /// Whether it sends a file to Google's upload service.
    #[must_use]
    pub fn is_google_upload(self) -> bool {
        self.vendor() == Vendor::Gemini && self.row().path.starts_with("upload/")
    }
}

/// Segments in front of an API that mean nothing by themselves, and what stands behind them.
struct Parsed<'p> {
    vendor: Vendor,
    version: &'static str,
    team: Option<&'p str>,
    /// From the API's own first segment on.
    segments: SmallVec<[&'p str; 6]>,
}

/// Finds what a path calls that is none of the APIs that can be counted; `None` if it is none of these either.
///
/// # Errors
///
/// [`RequestError::Unmetered`] for what is in no row, [`RequestError::MethodNotAllowed`] for another method than its row's.
pub fn locate<'p>(method: &Method, path: &'p str, fields: &Fields) -> Option<Result<Located<'p>, RequestError>> {
    let Parsed { vendor, version, team, segments } = parse(path, fields)?;
    let service = service_of(&segments)?;
    let mut other_method = None;
    for (number, row) in (0_u8..).zip(TABLE) {
        if row.vendor != vendor {
            continue;
        }
        let Some(object) = matched(row.path, &segments) else { continue };
        if row.method != method.as_str() {
            other_method = Some(row.method);
            continue;
        }
        let operation = Operation { row: number, service };
        return Some(Ok(Located {
            endpoint: Endpoint::Unmetered(operation),
            dialect: vendor.dialect(),
            model: None,
            object,
            rest: Some(rest(version, &segments)),
            version,
            team_claim: team,
        }));
    }
    Some(Err(match other_method {
        Some(allow) => RequestError::MethodNotAllowed { allow },
        None => RequestError::Unmetered { what: self::service(service.into()) },
    }))
}

fn parse<'p>(path: &'p str, fields: &Fields) -> Option<Parsed<'p>> {
    let mut segments = path.split('/').filter(|segment| !segment.is_empty());
    let (mut version, mut vendor, mut team, mut upload) = (None, None, None, false);
    let first = loop {
        match segments.next()? {
            "v1" => version = Some("v1"),
            "v1beta" => (version, vendor) = (Some("v1beta"), Some(Vendor::Gemini)),
            "v1alpha" => (version, vendor) = (Some("v1alpha"), Some(Vendor::Gemini)),
            "anthropic" => vendor = Some(Vendor::Anthropic),
            "openai" | "backend-api" | "codex" => vendor = Some(Vendor::OpenAi),
            "genai" => vendor = Some(Vendor::Gemini),
            "upload" => (vendor, upload) = (Some(Vendor::Gemini), true),
            "t" => team = Some(segments.next()?),
            other => break other,
        }
    };
    let vendor = match (first, vendor) {
        ("messages", _) => Vendor::Anthropic,
        ("cachedContents" | "models", _) => Vendor::Gemini,
        (_, Some(vendor)) => vendor,
        _ if fields.contains(ANTHROPIC_VERSION) => Vendor::Anthropic,
        _ => Vendor::OpenAi,
    };
    let version = match vendor {
        Vendor::Gemini => version.unwrap_or("v1beta"),
        Vendor::Anthropic | Vendor::OpenAi => "v1",
    };
    let upload = upload.then_some("upload");
    let segments = upload.into_iter().chain(std::iter::once(first)).chain(segments).collect();
    Some(Parsed { vendor, version, team, segments })
}

/// The number of the kind that segments belong to.
fn service_of(segments: &[&str]) -> Option<u8> {
    let first = match segments {
        ["upload" | "messages", first, ..] => first,
        ["models", model] if model.contains(":batch") || model.contains(":asyncBatch") => &"batches",
        [first, ..] => first,
        [] => return None,
    };
    SERVICES.iter().position(|(segment, _)| segment == first).and_then(|place| u8::try_from(place).ok())
}

/// Whether segments fit a row's path, and the id that they have in the place of its `{id}`.
#[expect(clippy::option_option, reason = "no fit, or a fit with or without an id")]
fn matched<'p>(pattern: &str, segments: &[&'p str]) -> Option<Option<&'p str>> {
    let mut wanted = pattern.split('/');
    let mut object = None;
    for segment in segments {
        let want = wanted.next()?;
        let (place, action) = want.split_once(':').map_or((want, None), |(place, action)| (place, Some(action)));
        if !matches!(place, "{id}" | "*") {
            if *segment != want {
                return None;
            }
            continue;
        }
        let id = match action {
            Some(action) => segment.strip_suffix(action)?.strip_suffix(':')?,
            None => segment,
        };
        if !is_id(id) {
            return None;
        }
        if place == "{id}" {
            object = Some(id);
        }
    }
    wanted.next().is_none().then_some(object)
}

/// The path at the provider, without what stood in front of the API.
fn rest(version: &str, segments: &[&str]) -> String {
    let mut rest = String::new();
    let (upload, segments) = match segments {
        ["upload", rest @ ..] => ("/upload", rest),
        all => ("", all),
    };
    // Writing to a String cannot fail.
    let _ = write!(rest, "{upload}/{version}");
    for segment in segments {
        let _ = write!(rest, "/{segment}");
    }
    rest
}
