//! One call for one target: the path, the headers, the body as that provider is to see them.
//!
//! Invariant: the client's bytes are shared, not copied; where the provider knows the model by another name, only the bytes
//! of that name change (in the body, or in Gemini's path), and a Chat stream that does not ask for its usage is made to.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};

use crate::call::{Attempt, Call, Held, Plan};
use crate::protocol::body::Frames;
use crate::protocol::{path, splice};
use crate::provider::Provider;
use crate::snapshot::routes::{Target, UpstreamModel};

/// Prepares the `n`th attempt.
#[must_use]
pub(super) fn prepare(
    call: &Arc<Call>,
    plan: &Plan,
    target: &Arc<Target>,
    held: &Held,
    n: u32,
    fresh: bool,
) -> Attempt {
    let provider = &target.provider;
    let renamed = renamed(call, plan, target);
    let body = body(call, renamed.as_deref(), provider, held);
    let name = match call.refers.first() {
        Some(stored) if call.endpoint.is_stored() => &*stored.id,
        _ => call.rest.as_deref().or(renamed.as_deref()).unwrap_or(&call.model),
    };
    let path = path::upstream_path(call.endpoint, call.version, name);
    let query = call.query.as_deref();
    let mut whole = BytesMut::with_capacity(provider.prefix.len() + path.len() + query.map_or(0, |q| q.len() + 1));
    whole.put_slice(provider.prefix.as_bytes());
    whole.put_slice(path.as_bytes());
    if let Some(query) = query {
        whole.put_u8(b'?');
        whole.put_slice(query.as_bytes());
    }
    let path = Bytes::from(whole);
    Attempt {
        call: Arc::clone(call),
        target: Arc::clone(target),
        n,
        fresh,
        path,
        forwarded: Arc::clone(&held.fields),
        body,
    }
}

/// The body with the name that this provider knows, asking for the usage that it would not tell.
fn body(call: &Call, renamed: Option<&str>, provider: &Provider, held: &Held) -> Frames {
    let name = renamed.zip(call.model_at.clone()).map(|(name, at)| (at, splice::json_string(name)));
    let asking = call.asking.as_ref().filter(|_| provider.usage_request);
    let asking = asking.map(|asking| (asking.at.clone(), Bytes::from_static(asking.text.as_bytes())));
    // From behind, so that the other place stays where it was read.
    let places = match (name, asking) {
        (Some(name), Some(asking)) if name.0.start > asking.0.start => [Some(name), Some(asking)],
        (name, asking) => [asking, name],
    };
    let mut body = held.body.clone();
    for (at, text) in places.into_iter().flatten() {
        body = splice::splice(&body, at, text);
    }
    body
}

/// The target's name for the model, where it is another one.
fn renamed(call: &Call, plan: &Plan, target: &Target) -> Option<String> {
    let captured = plan.captured.as_deref().unwrap_or_default();
    let name = match &target.model {
        UpstreamModel::Same => return None,
        UpstreamModel::Named(name) => name.to_string(),
        UpstreamModel::Captured { prefix, suffix } => format!("{prefix}{captured}{suffix}"),
    };
    Some(name).filter(|name| *name != *call.model)
}
