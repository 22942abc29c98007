//! A virtual key -> who calls. Refused here: 401, before a byte of the body is read.
//!
//! Also where whatever rules a request out without knowing the caller ends: a path that leads nowhere (among them Codex's
//! WebSocket, which must hear 426 whatever its key is) and a gateway that is shutting down. From here on the headers hold
//! only what may go upstream, so no later stage can leak the client's credential.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use http::{HeaderMap, header};

use super::Core;
use super::gate::Decide;
use crate::call::{Arrival, Identified, Trail};
use crate::error::{Error, GatewayError, KeyError, RequestError};
use crate::protocol::headers::{self, Presented};
use crate::snapshot::key;
use crate::snapshot::{KeyId, Snapshot};
use crate::telemetry::clock;

/// See the module.
#[derive(Debug, Clone)]
pub struct Authenticate(pub Arc<Core>);

impl<B> Decide<Arrival<B>> for Authenticate {
    type Out = Identified<B>;

    fn decide(&self, arrival: Arrival<B>) -> Result<Identified<B>, Error> {
        let Arrival { rules, trail, door, mut headers, body } = arrival;
        let door = door?;
        if self.0.draining.load(Ordering::Relaxed) {
            return Err(GatewayError::Draining.into());
        }
        let key = caller(&rules, &trail, &headers)?;
        readable(&headers)?;
        headers::strip_request(&mut headers);
        let _ = trail.caller.set((Arc::clone(&rules), key));
        Ok(Identified { rules, trail, door, key, headers, body })
    }
}

fn caller(rules: &Snapshot, trail: &Trail, headers: &HeaderMap) -> Result<KeyId, KeyError> {
    let Presented { key: presented, beside } = headers::presented_keys(headers, trail.uri.query())?;
    // A second gateway key is a second caller; a provider's own key beside ours is only not passed on.
    if beside.iter().any(|other| rules.keyring.find(other).is_some()) {
        return Err(KeyError::Conflict);
    }
    let Some(id) = rules.keyring.find(&presented) else {
        let malformed = std::str::from_utf8(&presented).ok().and_then(key::checksum_holds) == Some(false);
        return Err(KeyError::Unknown { malformed });
    };
    let key = rules.keyring.key(id);
    // The wall clock is read only for keys that end.
    if let Some((at, text)) = &key.expires
        && clock::since_epoch().as_secs() >= *at
    {
        return Err(KeyError::Expired { key: key.name.as_ref().into(), at: text.clone() });
    }
    if !key.agents.is_empty() && !key.agents.contains(&trail.agent) {
        return Err(KeyError::AgentNotAllowed { key: key.name.as_ref().into(), agent: trail.agent.name() });
    }
    Ok(id)
}

/// A body in an encoding that we do not read cannot be checked, so it is refused rather than passed on unread.
fn readable(headers: &HeaderMap) -> Result<(), RequestError> {
    match headers.get(header::CONTENT_ENCODING) {
        None => Ok(()),
        Some(v) if v.as_bytes().eq_ignore_ascii_case(b"identity") => Ok(()),
        Some(v) => {
            let encoding = String::from_utf8_lossy(v.as_bytes()).chars().take(64).collect::<String>();
            Err(RequestError::EncodingUnsupported { encoding: encoding.into() })
        }
    }
}
