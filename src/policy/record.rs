//! The access record: one line of JSON per request. Its fields are a contract (`tests/journey/record.rs` holds it).
//!
//! Written by hand because it is on the hot path; no body, no query, no secret is ever in it.

use std::sync::atomic::Ordering::Relaxed;

use http::Version;

use crate::call::{Charged, Trail};
use crate::field;
use crate::protocol::Endpoint;
use crate::telemetry::access_log::{Line, Stamp};
use crate::telemetry::clock;
use crate::telemetry::metrics::{TOKEN_KINDS, micros};

/// Writes the record of a request. `status` is `None` where the client left before there was an answer.
pub(super) fn write(out: &mut Vec<u8>, stamp: &mut Stamp, trail: &Trail, status: Option<u16>) {
    let mut line = Line::begin(out, stamp, clock::since_epoch());
    line.word(field!("request"), trail.id.as_str());
    line.address(field!("peer"), trail.peer);
    line.word(field!("method"), trail.method.as_str());
    line.text(field!("path"), trail.uri.path());
    line.word(field!("http"), version(trail.version));
    line.word(field!("dialect"), trail.dialect.name());
    line.word(field!("agent"), trail.agent.name());
    line.maybe(field!("session"), trail.session.get().map(|s| &**s));
    line.maybe(field!("user_claim"), trail.user.as_deref());
    line.maybe(field!("team_claim"), trail.team_claim.as_deref());
    who(&mut line, trail);
    what(&mut line, trail);
    match status {
        Some(status) => line.number(field!("status"), status.into()),
        None => line.null(field!("status")),
    }
    how(&mut line, trail, status);
    line.end();
}

/// In words as HTTP's own documents have them.
fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_2 => "2",
        Version::HTTP_10 => "1.0",
        _ => "1.1",
    }
}

fn who(line: &mut Line<'_>, trail: &Trail) {
    if let Some((rules, id)) = trail.caller.get() {
        line.written(&rules.keyring.key(*id).recorded);
    }
}

fn what(line: &mut Line<'_>, trail: &Trail) {
    if let Some(call) = trail.call.get() {
        line.maybe(field!("model"), Some(&*call.model).filter(|model| !model.is_empty()));
        if let Endpoint::Unmetered(operation) = call.endpoint {
            line.word(field!("unmetered"), operation.what());
        }
        line.flag(field!("stream"), call.stream);
        line.number(field!("bytes_in"), trail.bytes_in.load(Relaxed));
    }
    if let Some(target) = trail.served.get() {
        line.written(&target.series.recorded);
    }
    let attempts = trail.attempts.load(Relaxed);
    if attempts > 0 {
        line.number(field!("attempts"), attempts.into());
    }
    let upstream_status = trail.upstream_status.load(Relaxed);
    if upstream_status > 0 {
        line.number(field!("upstream_status"), upstream_status.into());
    }
}

fn how(line: &mut Line<'_>, trail: &Trail, status: Option<u16>) {
    let outcome = match (trail.tally.get(), trail.refused.get(), status) {
        (Some(tally), _, _) => tally.outcome.label(),
        (None, Some(_), _) => "refused",
        (None, None, Some(_)) => "complete",
        (None, None, None) => "client_left",
    };
    line.word(field!("outcome"), outcome);
    line.maybe(field!("reason"), trail.refused.get().map(|error| error.kind().label()));
    if let Some(answered) = trail.answered.get() {
        line.number(field!("head_us"), micros(answered));
    }
    if let Some(content) = trail.content.get() {
        line.number(field!("content_us"), micros(content));
    }
    line.number(
        field!("duration_us"),
        micros(trail.tally.get().map_or_else(|| trail.at.elapsed(), |tally| tally.duration)),
    );
    if let Some(tally) = trail.tally.get() {
        line.number(field!("bytes_out"), tally.bytes_out);
        line.number(field!("events"), tally.events);
        if let Some(u) = &tally.usage {
            let tokens = [u.input, u.cache_read, u.cache_write, u.cache_write_1h, u.output, u.reasoning];
            line.object(field!("tokens"), TOKEN_KINDS.iter().copied().zip(tokens));
        }
    }
    if let Some(Charged { cost, estimated, unpriced }) = trail.charged.get() {
        line.dollars(field!("cost"), *cost);
        if *estimated {
            line.flag(field!("estimated"), true);
        }
        if *unpriced {
            line.flag(field!("unpriced"), true);
        }
    }
}
