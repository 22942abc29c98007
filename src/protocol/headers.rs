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

use http::{HeaderMap, HeaderName, header};
use smallvec::SmallVec;

pub use keys::{Presented, own_credential, presented_keys};

use table::Table;

/// Takes out of a request what must not go upstream. Keys have been looked up before.
pub fn strip_request(headers: &mut HeaderMap) {
    strip(headers, &table::REQUEST);
}

/// Takes out of a response what must not reach the client, who asked for `asked_model`.
pub fn strip_response(headers: &mut HeaderMap, asked_model: &str) {
    strip(headers, &table::RESPONSE);
    // Codex tells its user that the account was flagged when another model answers than it asked for; a dated snapshot
    // of the same model is enough.
    if headers.get(&OPENAI_MODEL).is_some_and(|model| model.as_bytes() != asked_model.as_bytes()) {
        headers.remove(&OPENAI_MODEL);
    }
}

static OPENAI_MODEL: HeaderName = HeaderName::from_static("openai-model");

/// One pass over the names that are there, then as many removals as there are hits: a head has some 25 headers, of which
/// about six go, and a probe for each of the table's rows would cost several times as much.
fn strip<const N: usize>(headers: &mut HeaderMap, table: &'static Table<N>) {
    let mut rows: u64 = 0;
    let mut others: SmallVec<[HeaderName; 4]> = SmallVec::new();
    for name in headers.keys() {
        match table.find(name.as_str()) {
            table::Found::Row(row) => rows |= 1 << row,
            table::Found::Family => others.push(name.clone()),
            table::Found::No => {}
        }
    }
    for value in headers.get_all(header::CONNECTION) {
        nominated(value.as_bytes(), &mut others);
    }
    while rows != 0 {
        headers.remove(table.name(rows.trailing_zeros()));
        rows &= rows - 1;
    }
    for name in others {
        headers.remove(name);
    }
}

/// The headers that `connection` declares to be for the next hop only (RFC 9110 section 7.6.1).
fn nominated(value: &[u8], names: &mut SmallVec<[HeaderName; 4]>) {
    if value.eq_ignore_ascii_case(b"keep-alive") || value.eq_ignore_ascii_case(b"close") {
        return;
    }
    // A token that is no header name nominates nothing.
    names.extend(value.split(|&b| b == b',').filter_map(|token| HeaderName::from_bytes(token.trim_ascii()).ok()));
}

#[cfg(test)]
mod tests;
