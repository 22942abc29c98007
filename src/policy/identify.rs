//! Who might this be: an id, the rules to live by, the door, the agent.
//!
//! The outermost layer. It takes the snapshot, once: mounts are rules too, so already the path is read by them, and
//! everything below goes by the same rules. Nothing is refused here; a path that leads nowhere is a fact that
//! [`super::authenticate`] turns into an error.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, AtomicU32, AtomicU64};
use std::task::{Context, Poll};
use std::time::Instant;

use tower::{Layer, Service};

use super::Core;
use crate::agent::detect;
use crate::call::{Arrival, Door, Mark, Trail};
use crate::error::RequestError;
use crate::listen::Inbound;
use crate::message::Fields;
use crate::protocol::{Dialect, Endpoint, path};
use crate::snapshot::mounts::Mount;

/// Turns inbound requests into arrivals.
#[derive(Debug, Clone)]
pub struct IdentifyLayer(Arc<Core>);

/// See the module.
#[must_use]
pub fn identify(core: &Arc<Core>) -> IdentifyLayer {
    IdentifyLayer(Arc::clone(core))
}

impl<S> Layer<S> for IdentifyLayer {
    type Service = Identify<S>;

    fn layer(&self, inner: S) -> Identify<S> {
        Identify { core: Arc::clone(&self.0), inner }
    }
}

/// See the module.
#[derive(Debug, Clone)]
pub struct Identify<S> {
    core: Arc<Core>,
    inner: S,
}

impl<B, S> Service<Inbound<B>> for Identify<S>
where
    S: Service<Arrival<B>, Error = Infallible>,
{
    type Response = S::Response;
    type Error = Infallible;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, inbound: Inbound<B>) -> Self::Future {
        self.inner.call(arrive(&self.core, inbound))
    }
}

fn arrive<B>(core: &Core, inbound: Inbound<B>) -> Arrival<B> {
    let at = Instant::now();
    let rules = core.follower.now();
    let Inbound { method, target, version, fields, body, peer, addressed } = inbound;
    let whole = target.path();
    let (mount, rest) = rules.mounts.find(whole).map_or((None, whole), |(mount, rest)| (Some(mount), rest));
    let found = match addressed {
        true => path::locate(&method, rest, &fields),
        false => Err(RequestError::HostInvalid),
    };
    let team_claim = found.as_ref().ok().and_then(|l| l.team_claim).map(Box::from);
    let (dialect, door) = enter(found, mount, rest, &fields);
    let agent = mount.and_then(|m| m.agent).unwrap_or_else(|| detect::detect(&fields, dialect));
    let session = detect::session(&fields, agent).map(Box::from);
    let trail = Trail {
        id: core.ids.next(),
        at,
        peer: peer.ip(),
        method,
        version,
        dialect,
        agent,
        session: session.map_or_else(OnceLock::new, OnceLock::from),
        user: detect::user_claim(&fields).map(Box::from),
        team_claim,
        uri: target,
        caller: OnceLock::new(),
        call: OnceLock::new(),
        bytes_in: AtomicU64::new(0),
        attempts: AtomicU32::new(0),
        served: OnceLock::new(),
        upstream_status: AtomicU16::new(0),
        whole: Mark::default(),
        own: Mark::default(),
        answered: Mark::default(),
        content: Mark::default(),
        refused: OnceLock::new(),
        tally: OnceLock::new(),
        charged: OnceLock::new(),
    };
    Arrival { rules, trail: Arc::new(trail), door, fields, body }
}

/// The dialect to speak, and where the path leads. A mount for one dialect serves no other.
fn enter(
    found: Result<path::Located<'_>, RequestError>,
    mount: Option<&Mount>,
    rest: &str,
    fields: &Fields,
) -> (Dialect, Result<Door, RequestError>) {
    let only = mount.and_then(|m| m.dialect);
    match found {
        Ok(located) => {
            let lists = matches!(located.endpoint, Endpoint::Models | Endpoint::Model | Endpoint::Usage);
            let dialect = match only {
                // A listing has no dialect of its own; under a mount it takes the mount's.
                Some(only) if lists => only,
                Some(only) if only != located.dialect => {
                    return (only, Err(RequestError::PathUnknown { path: rest.into() }));
                }
                _ => located.dialect,
            };
            let model = located.model.map(|model| model.into_owned().into_boxed_str());
            let object = located.object.map(Box::from);
            let rest = located.rest.map(String::into_boxed_str);
            (dialect, Ok(Door { endpoint: located.endpoint, model, object, rest, version: located.version }))
        }
        Err(error) => {
            let guess = || path::dialect_guess(rest, fields.contains(path::ANTHROPIC_VERSION));
            (only.unwrap_or_else(guess), Err(error))
        }
    }
}
