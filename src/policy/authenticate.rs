//! A virtual key -> who calls. Refused here: 401, before a byte of the body is read.
//!
//! Also where whatever rules a request out without knowing the caller ends: a path that leads nowhere (among them Codex's
//! WebSocket, which must hear 426 whatever its key is) and a gateway that is shutting down. From here on the headers hold
//! only what may go upstream, so no later stage can leak the client's credential.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use smallvec::SmallVec;

use super::Core;
use super::gate::Decide;
use crate::call::{Arrival, Identified, Trail};
use crate::error::{Error, GatewayError, KeyError, RequestError};
use crate::message::name::CONTENT_ENCODING;
use crate::message::{Fields, Name};
use crate::protocol::Endpoint;
use crate::protocol::headers::{self, Presented};
use crate::protocol::inflate::Coding;
use crate::protocol::unmetered::Operation;
use crate::snapshot::key;
use crate::snapshot::keyring::Found;
use crate::snapshot::{KeyId, Snapshot};
use crate::telemetry::clock;

/// When a request that found no room should come back.
const RETRY: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug, Clone)]
pub struct Authenticate(pub Arc<Core>);

impl<B> Decide<Arrival<B>> for Authenticate {
    type Out = Identified<B>;

    fn decide(&self, arrival: Arrival<B>) -> Result<Identified<B>, Error> {
        let Arrival { rules, trail, door, mut fields, body } = arrival;
        let door = door?;
        if self.0.draining.load(Ordering::Relaxed) {
            return Err(GatewayError::Draining.into());
        }
        self.admits(&rules)?;
        let (key, named) =
            caller(&rules, &trail, &fields, door.endpoint).map_err(|error| self.heard(error, &rules, &trail))?;
        let _ = trail.caller.set((Arc::clone(&rules), key));
        if let Endpoint::Unmetered(operation) = door.endpoint {
            may_pass(&rules, key, operation, &fields)?;
        }
        let coding = coding(&fields)?;
        let own = if named { headers::own_credential(&fields, trail.dialect).map(Box::new) } else { None };
        headers::strip_request(&mut fields);
        if coding.is_some() {
            // They speak of the compressed body; what goes upstream is plain.
            for name in [CONTENT_ENCODING, CONTENT_DIGEST, CONTENT_MD5] {
                fields.remove(name);
            }
        }
        Ok(Identified { rules, trail, door, key, own, fields, coding, body })
    }
}

impl Authenticate {
    /// Before anything is spent on it: is there room for another request? Counted per core, so that cores share no counter.
    fn admits(&self, rules: &Snapshot) -> Result<(), GatewayError> {
        let core = &self.0;
        let under_way = u64::try_from(core.metrics.core(core.index).in_flight.load(Ordering::Relaxed)).unwrap_or(0);
        if under_way > rules.limits.inflight_requests.div_ceil(core.metrics.cores()) {
            return Err(GatewayError::Overloaded { retry_after: RETRY });
        }
        Ok(())
    }

    /// A key that is none; perhaps one too many of this address.
    fn heard(&self, error: KeyError, rules: &Snapshot, trail: &Trail) -> KeyError {
        let KeyError::Unknown { .. } = error else { return error };
        match self.0.strangers.failed(trail.peer, rules.limits.failed_keys, trail.at) {
            Some(retry_after) => KeyError::TooManyFailed { retry_after },
            None => error,
        }
    }
}

/// What cannot be counted passes only for keys that say so, and nothing of it that would lead around us or show what is
/// other teams'. Asked here: what is refused may be large.
fn may_pass(rules: &Snapshot, key: KeyId, operation: Operation, fields: &Fields) -> Result<(), RequestError> {
    if rules.keyring.key(key).unmetered.is_none() {
        return Err(RequestError::Unmetered { what: operation.what() });
    }
    if operation.lists() {
        return Err(RequestError::ListingRefused { what: operation.what() });
    }
    // The answer to the first request of a resumable upload names the provider's own address for the rest.
    let whole = fields.get(UPLOAD_PROTOCOL).is_some_and(|how| matches!(how, b"multipart" | b"raw"));
    if operation.is_google_upload() && (!whole || fields.contains(UPLOAD_COMMAND)) {
        return Err(RequestError::UploadRefused);
    }
    Ok(())
}

/// Who calls, and whether `x-tollgate-key` says so.
fn caller(rules: &Snapshot, trail: &Trail, fields: &Fields, endpoint: Endpoint) -> Result<(KeyId, bool), KeyError> {
    let Presented { key: presented, beside, named } = headers::presented_keys(fields, trail.uri.query())?;
    // A second gateway key is a second caller; a provider's own key beside ours is only not passed on.
    if beside.iter().any(|other| rules.keyring.find(other).is_some()) {
        return Err(KeyError::Conflict);
    }
    let Some(Found { id, until }) = rules.keyring.look_up(&presented) else {
        let malformed = std::str::from_utf8(&presented).ok().and_then(key::checksum_holds) == Some(false);
        return Err(KeyError::Unknown { malformed });
    };
    let key = rules.keyring.key(id);
    // The wall clock is read only for keys that end.
    for (at, text) in key.expires.iter().chain(until) {
        if clock::since_epoch().as_secs() >= *at {
            return Err(KeyError::Expired { key: key.name.as_ref().into(), at: text.clone() });
        }
    }
    // How a key stands is asked with whatever is at hand, which is no agent.
    if !key.agents.is_empty() && !key.agents.contains(&trail.agent) && endpoint != Endpoint::Usage {
        return Err(KeyError::AgentNotAllowed { key: key.name.as_ref().into(), agent: trail.agent.name() });
    }
    Ok((id, named))
}

const UPLOAD_PROTOCOL: Name = Name::new("x-goog-upload-protocol");
const UPLOAD_COMMAND: Name = Name::new("x-goog-upload-command");
const CONTENT_DIGEST: Name = Name::new("content-digest");
const CONTENT_MD5: Name = Name::new("content-md5");

/// How the body is compressed. A coding that we do not read, or one inside another, is refused rather than passed on unread.
fn coding(fields: &Fields) -> Result<Option<Coding>, RequestError> {
    let lines: SmallVec<[&[u8]; 1]> = fields.all(CONTENT_ENCODING).collect();
    match &*lines {
        [] => return Ok(None),
        [only] if only.eq_ignore_ascii_case(b"identity") => return Ok(None),
        [only] => {
            if let Some(coding) = Coding::named(only) {
                return Ok(Some(coding));
            }
        }
        _ => {}
    }
    let encoding = String::from_utf8_lossy(&lines.join(&b", "[..])).chars().take(64).collect::<String>();
    Err(RequestError::EncodingUnsupported { encoding: encoding.into() })
}
