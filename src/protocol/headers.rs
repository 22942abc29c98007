//! Which headers cross the gateway.
//!
//! Deny-lists ([`table`]), one reason per row: a header that an agent or a provider begins to send tomorrow passes without
//! a release of ours. What may never pass is what identifies, bills, frames or reroutes.
//!
//! Invariant: after [`strip_request`] nothing is left that authenticates the client or names it to the network; after
//! [`strip_response`] nothing names the provider account behind us or speaks for the provider's host in place of ours.
//! Deliberately not here: what is added (the credential, the operator's headers, framing), and `content-length` and
//! `content-encoding` of responses, which whoever changes a body has to remove.

pub mod keys;
pub mod table;

use smallvec::SmallVec;

pub use keys::{Presented, own_credential, presented_keys};

use crate::message::name::CONNECTION;
use crate::message::{Fields, Name};
use table::Table;

/// Takes out of a request what must not go upstream. Keys have been looked up before.
pub fn strip_request(fields: &mut Fields) {
    strip(fields, &table::REQUEST);
}

/// Takes out of a response what must not reach the client, who asked for `asked_model`.
pub fn strip_response(fields: &mut Fields, asked_model: &str) {
    strip(fields, &table::RESPONSE);
    // Codex tells its user that the account was flagged when another model answers than it asked for; a dated snapshot
    // of the same model is enough.
    if fields.get(OPENAI_MODEL).is_some_and(|model| model != asked_model.as_bytes()) {
        fields.remove(OPENAI_MODEL);
    }
}

const OPENAI_MODEL: Name = Name::new("openai-model");

/// One pass over the names that are there.
fn strip<const N: usize>(fields: &mut Fields, table: &'static Table<N>) {
    let nominated = nominated(fields);
    fields.retain(|field| {
        !table.names(field.name) && (nominated.is_empty() || !nominated.iter().any(|name| **name == *field.name))
    });
}

/// The names that `connection` declares to be for the next hop only (RFC 9110 section 7.6.1).
fn nominated(fields: &Fields) -> SmallVec<[Box<[u8]>; 1]> {
    let tokens = fields.all(CONNECTION).flat_map(|value| value.split(|&b| b == b',')).map(<[u8]>::trim_ascii);
    let usual = |token: &&[u8]| token.eq_ignore_ascii_case(b"keep-alive") || token.eq_ignore_ascii_case(b"close");
    tokens.filter(|token| !usual(token)).map(|token| token.to_ascii_lowercase().into_boxed_slice()).collect()
}

#[cfg(test)]
mod tests;
