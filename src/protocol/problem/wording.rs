//! What a person reads, in every dialect: who refuses, why, and what to do now.
//!
//! Invariant: one line, in plain words, that names at most the key's *name*, the model, and a provider as the operator calls
//! it. It avoids the phrases by which agents recognise other failures ("credit balance is too low", "limit: 0", "Please
//! retry in", "exhausted your capacity", "capacity exceeded"), but where one is meant.

mod limit;

use super::shape::Writer;
use crate::error::{BodyError, Error, GatewayError, KeyError, ModelError, RequestError, UpstreamError};
use crate::protocol::{Dialect, MAX_DEPTH};

/// Writes the message. `wait` is the one in the headers, so that both say the same.
pub fn message(out: &mut Writer, dialect: Dialect, error: &Error, wait: Option<u32>, request_id: &str) {
    match error {
        Error::Key(e) => key(out, e),
        Error::Request(e) => request(out, e),
        Error::Body(e) => body(out, e),
        Error::Model(e) => model(out, e),
        Error::Limit(e) => limit::message(out, dialect, e),
        Error::Upstream(e) => upstream(out, e),
        Error::Gateway(GatewayError::Draining) => out.say("Tollgate is restarting"),
        Error::Gateway(GatewayError::BodiesFull { .. }) => {
            out.say("Tollgate holds as many request bodies as its memory allows");
        }
        Error::Gateway(GatewayError::Overloaded { .. }) => {
            out.say("Tollgate has as many requests under way as it is allowed to");
        }
        Error::Gateway(GatewayError::LedgerFull { .. }) => {
            out.say("Tollgate cannot write down what calls use, and is told to make none without");
        }
        Error::Gateway(GatewayError::Internal { .. }) => {
            out.say("Tollgate: an internal error. The operator's log has it under request ");
            out.quote(request_id);
        }
    }
    if let Some(seconds) = wait {
        out.say("; try again in ");
        out.number(u64::from(seconds));
        out.say(" s.");
    }
}

fn key(out: &mut Writer, error: &KeyError) {
    match error {
        KeyError::Missing => out.say(
            "Tollgate: no key was sent. Put your gateway key where the agent keeps its API key, or ask whoever runs this \
             gateway for one.",
        ),
        KeyError::Unknown { malformed: false } => out.say(
            "Tollgate: this key is not known here; it may have been revoked or replaced. Ask whoever runs this gateway for \
             a valid one.",
        ),
        KeyError::Unknown { malformed: true } => out.say(
            "Tollgate: this key is mistyped or cut short (its checksum does not hold). Copy the whole key once more.",
        ),
        KeyError::Expired { key, at } => {
            out.say("Tollgate: key ");
            out.quote(key);
            out.say(" expired at ");
            out.text(at);
            out.say(". Ask whoever runs this gateway to renew it.");
        }
        KeyError::Conflict => out.say(
            "Tollgate: two different keys were sent in one request. Keep one of them: for example ANTHROPIC_AUTH_TOKEN \
             without ANTHROPIC_API_KEY.",
        ),
        KeyError::TooManyFailed { .. } => out.say(
            "Tollgate: too many unknown keys came from this address. Check the key, or ask whoever runs this gateway for \
             a valid one",
        ),
        KeyError::AgentNotAllowed { key, agent } => {
            out.say("Tollgate: key ");
            out.quote(key);
            out.say(" is not meant for this agent (");
            out.text(agent);
            out.say("). Use the key that was made for it, or ask whoever runs this gateway.");
        }
    }
}

fn request(out: &mut Writer, error: &RequestError) {
    match error {
        RequestError::PathUnknown { path } => {
            out.say("Tollgate: there is no API at ");
            out.quote(path);
            out.say(". Check the base URL that the agent is set to.");
        }
        RequestError::Unmetered { what } => {
            out.say("Tollgate: ");
            out.text(what);
            out.say(" cannot be counted, so this gateway does not pass them on. Ask whoever runs it for another way.");
        }
        RequestError::ListingRefused { what } => {
            out.say("Tollgate: a list of all ");
            out.text(what);
            out.say(" would show those of other teams. Ask for yours by their ids.");
        }
        RequestError::UploadRefused => out.say(
            "Tollgate: a resumable upload would lead around this gateway. Send the file in one request, with \
             x-goog-upload-protocol: multipart.",
        ),
        RequestError::UnmeteredUnserved { vendor } => {
            out.say("Tollgate: it is not said which provider gets calls in this API that cannot be counted. Whoever runs \
                     this gateway can name it: [unmetered] ");
            out.text(vendor);
            out.say(".");
        }
        RequestError::MethodNotAllowed { allow } => {
            out.say("Tollgate: this path takes ");
            out.text(allow);
            out.say(" only.");
        }
        RequestError::HostInvalid => out.say(
            "Tollgate: the request needs exactly one valid host header. A proxy in between, or the client, sends none or two.",
        ),
        RequestError::UpgradeRefused => {
            out.say("Tollgate: WebSockets are not served here. Send the same call as a POST.");
        }
        RequestError::ObjectUnknown { field, id } => {
            out.say("Tollgate: nothing stored here that is yours has the id ");
            out.quote(id);
            match field {
                None => out.say("."),
                Some(field) => {
                    out.say(" that ");
                    out.quote(field);
                    out.say(match *field {
                        "previous_response_id" | "conversation" | "item_reference" => {
                            " names. Send the whole conversation without it."
                        }
                        "input_file_id" | "fileName" => {
                            " names as a batch's calls. Upload it in one request, a JSON object in each line, none of which \
                             names what is not yours."
                        }
                        _ => " names. Send what it stands for in its place.",
                    });
                }
            }
        }
        RequestError::EncodingUnsupported { encoding } => {
            out.say("Tollgate: a request body with content-encoding ");
            out.quote(encoding);
            out.say(" cannot be read. Send it without compression, or in gzip or zstd.");
        }
    }
}

fn body(out: &mut Writer, error: &BodyError) {
    match error {
        BodyError::TooLarge { limit } => {
            out.say("Tollgate: the request body is larger than the ");
            out.size(*limit);
            out.say(" that this gateway takes. Compact the conversation, or leave out large files and images.");
        }
        BodyError::Broken { what, at } => {
            out.say("Tollgate: the request body is not valid JSON: expected ");
            out.text(what);
            out.say(" at byte ");
            out.number(*at);
            out.say(".");
        }
        BodyError::Undecodable { coding, what } => {
            out.say("Tollgate: the request body is not valid ");
            out.text(coding);
            out.say(": ");
            out.text(what);
            out.say(".");
        }
        BodyError::TooDeep => {
            out.say("Tollgate: the request body is nested more than ");
            out.number(MAX_DEPTH as u64);
            out.say(" levels deep.");
        }
        BodyError::FieldMissing { field } => {
            out.say("Tollgate: the request has no ");
            out.quote(field);
            out.say(". Add it.");
        }
        BodyError::FieldInvalid { field, want } => {
            out.say("Tollgate: ");
            out.quote(field);
            out.say(" must be ");
            out.text(want);
            out.say(".");
        }
        BodyError::FieldDuplicated { field } => {
            out.say("Tollgate: the request has ");
            out.quote(field);
            out.say(" twice, and a provider might read the other one. Send it once.");
        }
        BodyError::FieldEscaped { field } => {
            out.say("Tollgate: the request spells ");
            out.quote(field);
            out.say(" with escapes, which a provider might read differently. Spell it plainly.");
        }
        BodyError::Stalled => out.say("Tollgate: the request body stopped arriving. Send the call once more."),
        BodyError::Incomplete => out.say("Tollgate: the connection ended before the request body did."),
    }
}

fn model(out: &mut Writer, error: &ModelError) {
    match error {
        ModelError::Unknown { model } => {
            out.say("Tollgate: there is no model ");
            out.quote(model);
            out.say(" here. Choose one from this gateway's model list, or ask whoever runs it to add this one.");
        }
        ModelError::NotAllowed { model, key } => {
            out.say("Tollgate: key ");
            out.quote(key);
            out.say(" may not use model ");
            out.quote(model);
            out.say(". Choose another model, or ask whoever runs this gateway to allow it.");
        }
        ModelError::DialectUnserved { model, provider, dialect } => {
            out.say("Tollgate: model ");
            out.quote(model);
            out.say(" comes from provider ");
            out.quote(provider);
            out.say(", which does not speak this agent's API (");
            out.text(dialect);
            out.say("). Choose another model, or an agent that speaks the provider's API.");
        }
    }
}

/// Without an end: the wait follows.
fn upstream(out: &mut Writer, error: &UpstreamError) {
    let (provider, what) = match error {
        UpstreamError::ConnectFailed { provider, .. } => (provider, " cannot be reached"),
        UpstreamError::HungUp { provider, .. } => (provider, " closed the connection without an answer"),
        UpstreamError::Silent { provider } => (provider, " did not answer in time"),
        UpstreamError::Overloaded { provider, .. } => (provider, " cannot serve the call now"),
        UpstreamError::Saturated { provider } => (provider, " has as many calls under way as it is allowed to"),
        UpstreamError::Garbage { provider } => (provider, " answered with something that is not HTTP"),
        UpstreamError::BrokenOff { provider } => (provider, " broke off its answer"),
        UpstreamError::CredentialRefused { provider, .. } => {
            (provider, " refuses this gateway's own credential. Your key is fine: tell whoever runs this gateway.")
        }
    };
    out.say("Tollgate: provider ");
    out.quote(provider);
    out.say(what);
}
