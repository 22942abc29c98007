//! The access record: one line of JSON per request. Its fields are a contract (`tests/access_log.rs` holds it).
//!
//! Written by hand because it is on the hot path; no body, no query, no secret is ever in it.

use std::sync::atomic::Ordering::Relaxed;

use crate::call::Trail;
use crate::telemetry::access_log::Line;
use crate::telemetry::clock;
use crate::telemetry::metrics::{TOKEN_KINDS, micros};

/// Writes the record of a request. `status` is `None` where the client left before there was an answer.
pub(super) fn write(out: &mut Vec<u8>, trail: &Trail, status: Option<u16>) {
    let mut line = Line::begin(out, clock::since_epoch());
    line.text("request", trail.id.as_str());
    line.address("peer", trail.peer);
    line.text("method", trail.method.as_str());
    line.text("path", trail.uri.path());
    line.word("dialect", trail.dialect.name());
    line.word("agent", trail.agent.name());
    line.maybe("session", trail.session.get().map(|s| &**s));
    line.maybe("user_claim", trail.user.as_deref());
    line.maybe("team_claim", trail.team_claim.as_deref());
    who(&mut line, trail);
    what(&mut line, trail);
    match status {
        Some(status) => line.number("status", status.into()),
        None => line.null("status"),
    }
    how(&mut line, trail, status);
    line.end();
}

fn who(line: &mut Line<'_>, trail: &Trail) {
    if let Some((rules, id)) = trail.caller.get() {
        let key = rules.keyring.key(*id);
        line.text("key", &key.name);
        line.maybe("owner", key.owner.as_deref());
        line.maybe("team", key.team.as_deref());
    }
}

fn what(line: &mut Line<'_>, trail: &Trail) {
    if let Some(call) = trail.call.get() {
        line.text("model", &call.model);
        line.flag("stream", call.stream);
        line.number("bytes_in", trail.bytes_in.load(Relaxed));
    }
    if let Some(target) = trail.served.get() {
        line.text("provider", &target.provider.name);
        line.text("route", &target.series.model);
    }
    let attempts = trail.attempts.load(Relaxed);
    if attempts > 0 {
        line.number("attempts", attempts.into());
    }
    if let Some(status) = trail.upstream_status.get() {
        line.number("upstream_status", (*status).into());
    }
}

fn how(line: &mut Line<'_>, trail: &Trail, status: Option<u16>) {
    let since = |then: &std::time::Instant| micros(then.saturating_duration_since(trail.at));
    let outcome = match (trail.tally.get(), trail.refused.get(), status) {
        (Some(tally), _, _) => tally.outcome.label(),
        (None, Some(_), _) => "refused",
        (None, None, Some(_)) => "complete",
        (None, None, None) => "client_left",
    };
    line.word("outcome", outcome);
    line.maybe("reason", trail.refused.get().map(|error| error.kind().label()));
    if let Some(answered) = trail.answered.get() {
        line.number("head_us", since(answered));
    }
    if let Some(content) = trail.content.get() {
        line.number("content_us", since(content));
    }
    line.number("duration_us", micros(trail.at.elapsed()));
    let Some(tally) = trail.tally.get() else { return };
    line.number("bytes_out", tally.bytes_out);
    line.number("events", tally.events);
    let Some(u) = &tally.usage else { return };
    let tokens = [u.input, u.cache_read, u.cache_write, u.cache_write_1h, u.output, u.reasoning];
    line.object("tokens", TOKEN_KINDS.iter().copied().zip(tokens));
}
