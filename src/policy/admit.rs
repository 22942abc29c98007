//! The body: read once, held frame by frame, looked into as it arrives. Refused here: 400, 413, 503.
//!
//! Frames are never copied or joined. Bounded per request and, over all requests, by the room for held bodies.

mod names;

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame};
use tower::{Layer, Service};

use super::Core;
use crate::call::{Admitted, Call, Held, Identified, Reference, Room, Trail};
use crate::error::{BodyError, Error, GatewayError};
use crate::protocol::body::Frames;
use crate::protocol::inflate::{Coding, Inflate, Step};
use crate::protocol::path::forward_query;
use crate::protocol::peek::{Peek, Peeked};
use crate::protocol::{Endpoint, Object};
use crate::snapshot::Snapshot;

/// When a client that found no room for its body should come back.
const ROOM_RETRY: Duration = Duration::from_secs(2);

/// See the module.
#[derive(Debug, Clone)]
pub struct AdmitLayer(Arc<Core>);

/// See the module.
#[must_use]
pub fn admit(core: &Arc<Core>) -> AdmitLayer {
    AdmitLayer(Arc::clone(core))
}

impl<S> Layer<S> for AdmitLayer {
    type Service = Admit<S>;

    fn layer(&self, inner: S) -> Admit<S> {
        Admit { core: Arc::clone(&self.0), inner }
    }
}

/// See the module.
#[derive(Debug, Clone)]
pub struct Admit<S> {
    core: Arc<Core>,
    inner: S,
}

impl<B, S> Service<Identified<B>> for Admit<S>
where
    B: Body<Data = Bytes> + Unpin + Send + 'static,
    S: Service<Admitted, Error = Error> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = S::Response;
    type Error = Error;
    // Boxed: what a connection keeps while it is idle does not grow with the layers below, and types stay readable.
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, identified: Identified<B>) -> Self::Future {
        // The service that was found ready goes with the call; the clone stays.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        // Not an argument of the future: what is read into stays where it is, and is moved once less.
        let mut reading = Reading::of(identified, Room::of(&self.core.held_bodies));
        Box::pin(async move {
            reading.read().await?;
            inner.call(reading.admitted()?).await
        })
    }
}

/// A body being read.
struct Reading<B> {
    identified: Identified<B>,
    room: Room,
    peek: Peek,
    frames: Frames,
}

impl<B> Reading<B>
where
    B: Body<Data = Bytes> + Unpin,
{
    fn of(identified: Identified<B>, room: Room) -> Self {
        let peek = Peek::new(identified.door.endpoint);
        Self { identified, room, peek, frames: Frames::default() }
    }

    async fn read(&mut self) -> Result<(), Error> {
        let Self { identified: Identified { rules, trail, coding, body, .. }, room, peek, frames } = self;
        make_room(room, body.size_hint().lower(), rules)?;
        if let Some(coding) = *coding {
            // Boxed: what it keeps is no part of a request whose body comes plain.
            return Box::pin(inflate(coding, body, (rules, trail), room, peek, frames)).await;
        }
        while let Some(frame) = next(body, rules.timeouts.body, trail).await? {
            hold(frame, rules, room, peek, frames)?;
        }
        Ok(())
    }

    /// All of it is there.
    fn admitted(self) -> Result<Admitted, Error> {
        let Self { identified, room, peek, mut frames } = self;
        let Identified { rules, trail, door, key, own, fields, body, .. } = identified;
        drop(body);
        let peeked = peek.finish()?;
        trail.bytes_in.store(frames.len() as u64, Ordering::Relaxed);
        let Peeked {
            model,
            stream,
            asking,
            max_output,
            n,
            previous,
            conversation,
            unstored,
            names,
            terms,
            session,
            ..
        } = peeked;
        if let Some(session) = session {
            // A header has said it already where there is one.
            let _ = trail.session.set(session);
        }
        let in_path = match door.endpoint {
            Endpoint::Unmetered(operation) => operation.uses(),
            _ => Some(Object::Response),
        };
        let mut refers = refers(in_path.zip(door.object), previous, conversation);
        let mut calls = None;
        if names || !door.endpoint.is_metered() {
            calls = names::read(door.endpoint, &fields, &mut frames, &mut refers, &room, &rules)?;
        }
        let (model, model_at) = match (door.model, model) {
            (None, _) if !door.endpoint.is_metered() => (Box::default(), None),
            (Some(in_path), _) => (in_path, None),
            (None, Some(field)) => (field.name, Some(field.value)),
            (None, None) => return Err(BodyError::FieldMissing { field: "model" }.into()),
        };
        let query = trail.uri.query().and_then(forward_query).map(|q| q.into_owned().into_boxed_str());
        let call = Arc::new(Call {
            key,
            own,
            agent: trail.agent,
            dialect: trail.dialect,
            endpoint: door.endpoint,
            version: door.version,
            rest: door.rest,
            query,
            model,
            model_at,
            stream: stream || door.endpoint == Endpoint::StreamGenerate,
            asking,
            max_output,
            answers: n.map_or(1, |n| u32::try_from(n).unwrap_or(u32::MAX)),
            terms,
            refers,
            makes: match door.endpoint {
                Endpoint::Responses => !unstored,
                Endpoint::Unmetered(operation) => operation.makes().is_some(),
                _ => false,
            },
            names,
            calls,
            rules,
        });
        let _ = trail.call.set(Arc::clone(&call));
        Ok(Admitted { trail, call, held: Held { fields: Arc::new(fields), body: frames, room } })
    }
}

/// A compressed body, held plain. The bounds hold for what comes out, piece by piece, so a bomb is refused before more of it
/// is decompressed; and for what goes in, since a body can be long and say nothing. What the decompressor keeps counts among
/// the held bodies while it works.
async fn inflate<B>(
    coding: Coding,
    body: &mut B,
    (rules, trail): (&Snapshot, &Trail),
    room: &mut Room,
    peek: &mut Peek,
    frames: &mut Frames,
) -> Result<(), Error>
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut inflate = Inflate::new(coding);
    let mut workspace = room.another();
    let mut arrived = 0;
    while let Some(frame) = next(body, rules.timeouts.body, trail).await? {
        arrived += frame.len() as u64;
        if arrived > rules.limits.request_body {
            return Err(BodyError::TooLarge { limit: rules.limits.request_body }.into());
        }
        let mut input = &frame[..];
        loop {
            if !workspace.grow_to(inflate.kept(), rules.limits.inflight_bodies) {
                return Err(GatewayError::BodiesFull { retry_after: ROOM_RETRY }.into());
            }
            match inflate.next(&mut input)? {
                Step::Hungry => break,
                Step::Worked => {}
                Step::Piece(piece) => hold(piece, rules, room, peek, frames)?,
            }
            // A frame of a few bytes may hold megabytes, and the other requests of this core wait.
            if !input.is_empty() {
                tokio::task::yield_now().await;
            }
        }
    }
    Ok(inflate.finish()?)
}

/// Takes a piece of the plain body.
fn hold(frame: Bytes, rules: &Snapshot, room: &mut Room, peek: &mut Peek, frames: &mut Frames) -> Result<(), Error> {
    make_room(room, (frames.len() + frame.len()) as u64, rules)?;
    peek.feed(&frame)?;
    frames.push(frame);
    Ok(())
}

/// The stored things that a call names, if any.
fn refers(
    path: Option<(Object, Box<str>)>,
    previous: Option<Box<str>>,
    conversation: Option<Box<str>>,
) -> Vec<Reference> {
    let named = [
        path.map(|(object, id)| (object, None, id)),
        previous.map(|id| (Object::Response, Some("previous_response_id"), id)),
        conversation.map(|id| (Object::Conversation, Some("conversation"), id)),
    ];
    named.into_iter().flatten().map(|(object, field, id)| Reference { object, field, id }).collect()
}

/// Checks a size against both bounds.
fn make_room(room: &mut Room, bytes: u64, rules: &Snapshot) -> Result<(), Error> {
    let limit = rules.limits.request_body;
    if bytes > limit {
        return Err(BodyError::TooLarge { limit }.into());
    }
    if !room.grow_to(bytes, rules.limits.inflight_bodies) {
        return Err(GatewayError::BodiesFull { retry_after: ROOM_RETRY }.into());
    }
    Ok(())
}

/// The next frame of data; `None` at the end. Trailers say nothing to us and are not passed on.
async fn next<B>(body: &mut B, patience: Duration, trail: &Trail) -> Result<Option<Bytes>, BodyError>
where
    B: Body<Data = Bytes> + Unpin,
{
    loop {
        if body.is_end_stream() {
            return Ok(None);
        }
        match arrived(body, patience, trail).await? {
            None => return Ok(None),
            Some(Err(_)) => return Err(BodyError::Incomplete),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}

type Arrived<B> = Option<Result<Frame<Bytes>, <B as Body>::Error>>;

/// Whatever comes next. Most of a body is there when it is asked for, and then costs no timer.
async fn arrived<B>(body: &mut B, patience: Duration, trail: &Trail) -> Result<Arrived<B>, BodyError>
where
    B: Body<Data = Bytes> + Unpin,
{
    if let Poll::Ready(frame) = poll_fn(|cx| Poll::Ready(Pin::new(&mut *body).poll_frame(cx))).await {
        return Ok(frame);
    }
    let frame = poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx));
    // Boxed: the timer is no part of a request whose body is there.
    let arrived = Box::pin(tokio::time::timeout(patience, frame)).await.map_err(|_| BodyError::Stalled);
    // The client's time, not ours.
    trail.whole.put(trail.at.elapsed());
    arrived
}
