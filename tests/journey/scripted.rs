//! A core without sockets: rules from a text, an upstream that follows a script and counts.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, also in its helpers"
)]

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::sync::mpsc;
use tollgate::call::Attempt;
use tollgate::config;
use tollgate::error::{Error, UpstreamError};
use tollgate::journal::CoreJournal;
use tollgate::journey::{AnswerBody, journey};
use tollgate::listen::Inbound;
use tollgate::message::{self, Fields};
use tollgate::owned::Owned;
use tollgate::policy::{Core, Ids};
use tollgate::snapshot::live::{Follower, Live};
use tollgate::telemetry::access_log::{Destination, Writer};
use tollgate::telemetry::metrics::Metrics;
use tollgate::upstream::body::Answer;
use tollgate::webhook::{Message, Outbox};
use tower::{Service, ServiceExt};

pub const KEY: &str = "tk-0123456789abcdef";

/// What an upstream does with one attempt.
#[derive(Debug, Clone)]
pub enum Act {
    /// Nothing listens.
    Refuse,
    /// The connection ends before a head; it was a pooled one or not.
    HangUp { reused: bool },
    /// An answer.
    Answer { status: u16, kind: &'static str, frames: Vec<Step> },
}

/// What a body does next.
#[derive(Debug, Clone)]
pub enum Step {
    Data(Bytes),
    Wait(Duration),
    Break,
    /// Not a step: the head announces so many bytes.
    Length(u64),
    Hang,
}

pub fn sse(events: &[&'static str]) -> Act {
    let frames = events.iter().map(|e| Step::Data(Bytes::from_static(e.as_bytes()))).collect();
    Act::Answer { status: 200, kind: "text/event-stream", frames }
}

pub fn json(status: u16, body: &'static str) -> Act {
    Act::Answer { status, kind: "application/json", frames: vec![Step::Data(Bytes::from_static(body.as_bytes()))] }
}

/// What an attempt looked like.
#[derive(Debug)]
pub struct Seen {
    pub provider: String,
    pub method: &'static str,
    pub path: String,
    /// As HTTP/1.1 has it.
    pub head: Vec<u8>,
    pub body: Vec<u8>,
}

impl Seen {
    pub fn headers(&self) -> http::HeaderMap {
        let lines = std::str::from_utf8(&self.head).unwrap().lines();
        lines
            .map(|line| {
                let (name, value) = line.split_once(": ").unwrap();
                (http::HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap())
            })
            .collect()
    }
}

#[derive(Debug, Default)]
pub struct Stage {
    pub acts: Mutex<VecDeque<Act>>,
    pub seen: Mutex<Vec<Seen>>,
    /// How attempts look to whoever prints them, where a test asks for it.
    pub printed: Mutex<Option<String>>,
    /// Answers whose body was dropped before its end.
    pub cancelled: AtomicU64,
    /// Answers that were dropped with nothing left that mattered.
    pub salvaged: AtomicU64,
}

#[derive(Clone)]
pub struct Scripted(pub Arc<Stage>);

impl Service<Attempt> for Scripted {
    type Response = message::Response<ScriptedBody>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, attempt: Attempt) -> Self::Future {
        let provider = attempt.target.provider.name.to_string();
        let method = attempt.call.endpoint.method();
        let body = attempt.body.iter().flat_map(|f| f.to_vec()).collect();
        let path = String::from_utf8(attempt.path.to_vec()).unwrap();
        if let Some(printed) = &mut *self.0.printed.lock().unwrap() {
            printed.push_str(&format!("{attempt:?}"));
        }
        let mut head = Vec::with_capacity(1024);
        for (name, value) in attempt.ours() {
            head.extend_from_slice(&[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
        }
        attempt.forwarded.write(&mut head, |field| attempt.passes(field));
        self.0.seen.lock().unwrap().push(Seen { provider: provider.clone(), method, path, head, body });
        let act = self.0.acts.lock().unwrap().pop_front().expect("no act is left for this attempt");
        let stage = Arc::clone(&self.0);
        Box::pin(async move {
            tokio::task::yield_now().await;
            let provider: Box<str> = provider.into();
            match act {
                Act::Refuse => Err(UpstreamError::ConnectFailed { provider, why: "refused".into() }.into()),
                Act::HangUp { reused } => Err(UpstreamError::HungUp { provider, reused }.into()),
                Act::Answer { status, kind, frames } => {
                    let body = ScriptedBody { steps: frames.into(), timer: None, stage, over: false, salvage: false };
                    let mut response = message::Response::new(body);
                    response.status = StatusCode::from_u16(status).unwrap();
                    response.fields.push("content-type", kind.as_bytes());
                    Ok(response)
                }
            }
        })
    }
}

pub struct ScriptedBody {
    steps: VecDeque<Step>,
    timer: Option<Pin<Box<tokio::time::Sleep>>>,
    stage: Arc<Stage>,
    over: bool,
    salvage: bool,
}

impl Answer for ScriptedBody {
    fn nothing_more_matters(&mut self) {
        self.salvage = true;
    }
}

impl Body for ScriptedBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        loop {
            if let Some(timer) = &mut self.timer {
                if timer.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                self.timer = None;
            }
            match self.steps.pop_front() {
                None => {
                    self.over = true;
                    return Poll::Ready(None);
                }
                Some(Step::Data(data)) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                Some(Step::Length(_)) => {}
                Some(Step::Wait(time)) => self.timer = Some(Box::pin(tokio::time::sleep(time))),
                Some(Step::Hang) => {
                    self.steps.push_front(Step::Hang);
                    return Poll::Pending;
                }
                Some(Step::Break) => {
                    self.over = true;
                    return Poll::Ready(Some(Err(UpstreamError::BrokenOff { provider: "p".into() }.into())));
                }
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self.steps.front() {
            Some(Step::Length(length)) => SizeHint::with_exact(*length),
            _ => SizeHint::default(),
        }
    }
}

impl Drop for ScriptedBody {
    fn drop(&mut self) {
        match (self.over, self.salvage) {
            (false, true) => self.stage.salvaged.fetch_add(1, Relaxed),
            (false, false) => self.stage.cancelled.fetch_add(1, Relaxed),
            (true, _) => 0,
        };
    }
}

/// A client's body: its frames, then its end or its silence.
pub struct Upload {
    pub frames: VecDeque<Bytes>,
    pub then: Then,
}

#[derive(Clone, Copy, PartialEq)]
pub enum Then {
    End,
    Silence,
    Break,
    /// The end, but not before.
    EndAt(tokio::time::Instant),
}

impl Body for Upload {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match (self.frames.pop_front(), self.then) {
            (Some(frame), _) => Poll::Ready(Some(Ok(Frame::data(frame)))),
            (None, Then::EndAt(end)) if tokio::time::Instant::now() < end => {
                let waker = cx.waker().clone();
                tokio::spawn(async move {
                    tokio::time::sleep_until(end).await;
                    waker.wake();
                });
                Poll::Pending
            }
            (None, Then::EndAt(_)) => Poll::Ready(None),
            (None, Then::End) => Poll::Ready(None),
            (None, Then::Silence) => Poll::Pending,
            (None, Then::Break) => {
                Poll::Ready(Some(Err(UpstreamError::BrokenOff { provider: "client".into() }.into())))
            }
        }
    }
}

pub struct Gateway {
    pub core: Arc<Core>,
    /// What a webhook is told.
    pub told: Mutex<mpsc::Receiver<Message>>,
    pub stage: Arc<Stage>,
    writer: Writer,
}

/// A request as a connection hands it on.
pub fn inbound(request: Request<Upload>) -> Inbound<Upload> {
    let peer = ([127, 0, 0, 1], 4000).into();
    let (head, body) = request.into_parts();
    let fields = Fields::from(&head.headers);
    Inbound { method: head.method, target: head.uri, version: head.version, fields, body, peer, addressed: true }
}

pub type Answered = Response<AnswerBody<ScriptedBody>>;

/// Three providers behind `m` (tried in turn by a plan that the test widens), and what else a test adds.
pub const RULES: &str = r#"
version = 1
[[provider]]
name = "one"
speaks = ["anthropic", "chat", "responses", "gemini"]
base_url = "http://one.test/base"
credential = { env = "CREDENTIAL" }
[[provider]]
name = "two"
speaks = ["anthropic"]
base_url = "http://two.test"
[[provider]]
name = "three"
speaks = ["anthropic"]
base_url = "http://three.test"
[[model]]
name = "m"
provider = "one"
[[model]]
name = "alias"
provider = "one"
upstream_model = "real-name"
[[model]]
name = "via/*"
provider = "one"
upstream_model = "x-*-y"
[[model]]
name = "second"
provider = "two"
dialects = ["anthropic"]
[[model]]
name = "third"
provider = "three"
dialects = ["anthropic"]
[[key]]
name = "dev"
team = "core"
secret = { env = "KEY" }
"#;

/// The same rules with two limits, three levels of budgets, and a price.
pub fn governed() -> String {
    let key = r#"team = "core"
owner = "ada"
limits = [{ requests = 1_000_000, per = "1m" }]
budgets = [{ dollars = 1_000_000, per = "day" }]
"#;
    let accounts = r#"
[[price]]
model = "m"
input = 3
cache_read = 0.3
output = 15
[[owner]]
name = "ada"
budgets = [{ dollars = 1_000_000, per = "5h" }]
[[team]]
name = "core"
limits = [{ tokens = 1_000_000_000, per = "1h" }]
budgets = [{ dollars = 1_000_000, per = "month" }]
"#;
    RULES.replace("team = \"core\"\n", key) + accounts
}

pub fn env(name: &str) -> Option<String> {
    match name {
        "KEY" => Some(KEY.to_owned()),
        "MATE" => Some("tk-mate-0123456789".to_owned()),
        "RIVAL" => Some("tk-rival-0123456789".to_owned()),
        "LONE" => Some("tk-lone-0123456789".to_owned()),
        "HERMIT" => Some("tk-hermit-0123456789".to_owned()),
        "CREDENTIAL" => Some("provider-secret".to_owned()),
        _ => None,
    }
}

impl Gateway {
    pub fn new(acts: Vec<Act>) -> Self {
        Self::with(RULES, acts, 1)
    }

    /// `m` tries this many targets.
    pub fn with(rules: &str, acts: Vec<Act>, targets: usize) -> Self {
        Self::writing(rules, acts, targets, CoreJournal::nowhere())
    }

    /// The same, with usage written down.
    pub fn writing(rules: &str, acts: Vec<Act>, targets: usize, journal: CoreJournal) -> Self {
        Self::kept(rules, acts, targets, journal, &Destination::Off)
    }

    /// The same, with its access log there.
    pub fn logging(rules: &str, acts: Vec<Act>, targets: usize, log: &Destination) -> Self {
        Self::kept(rules, acts, targets, CoreJournal::nowhere(), log)
    }

    fn kept(rules: &str, acts: Vec<Act>, targets: usize, journal: CoreJournal, log: &Destination) -> Self {
        let metrics = Arc::new(Metrics::new(1));
        let mut loaded =
            config::load_text("test.toml".as_ref(), rules, &env, &metrics).unwrap_or_else(|e| panic!("{e}"));
        let routes = &mut loaded.prepared.0.routes.routes;
        let others: Vec<_> = routes.iter().skip(1).filter(|r| matches!(&*r.label, "second" | "third")).collect();
        let more: Vec<_> = others.iter().flat_map(|r| r.targets.clone()).take(targets - 1).collect();
        routes[0].targets.extend(more);
        let live = Live::new(loaded.prepared);
        let writer = Writer::start(log).unwrap();
        let (outbox, told) = Outbox::new(&metrics);
        let core = Arc::new(Core {
            index: 0,
            follower: Follower::new(Arc::clone(&live)),
            metrics: Arc::clone(&metrics),
            access_log: writer.for_core(0, &metrics),
            ledger: Arc::clone(live.ledger()),
            journal,
            owned: Arc::new(Owned::in_memory(1000, &metrics)),
            held_bodies: Arc::default(),
            strangers: Arc::default(),
            outbox,
            draining: Arc::new(AtomicBool::new(false)),
            ids: Ids::new(7),
        });
        let stage = Arc::new(Stage { acts: Mutex::new(acts.into()), ..Stage::default() });
        Self { core, told: Mutex::new(told), stage, writer }
    }

    /// All that was logged is in the file.
    pub fn finish(self) {
        self.core.access_log.flush();
        drop(self.core);
        self.writer.finish();
    }

    /// As a connection calls it.
    pub fn serve(
        &self,
        inbound: Inbound<Upload>,
    ) -> impl Future<Output = Result<message::Response<AnswerBody<ScriptedBody>>, Infallible>> + Send + use<> {
        journey(&self.core, Scripted(Arc::clone(&self.stage))).oneshot(inbound)
    }

    /// The same with requests and answers as libraries have them.
    pub fn call(&self, request: Request<Upload>) -> impl Future<Output = Result<Answered, Infallible>> + Send + use<> {
        let answer = self.serve(inbound(request));
        async move {
            let message::Response { status, fields, body } = answer.await?;
            let mut response = Response::new(body);
            *response.status_mut() = status;
            *response.headers_mut() = fields.to_map(|_| true);
            Ok(response)
        }
    }

    pub async fn ask(&self, request: Request<Upload>) -> Answered {
        match self.call(request).await {
            Ok(answer) => answer,
            Err(never) => match never {},
        }
    }

    pub fn attempts(&self) -> Vec<String> {
        self.stage.seen.lock().unwrap().iter().map(|s| s.provider.clone()).collect()
    }

    /// Open receipts, settled ones, interrupted ones.
    pub fn receipts(&self) -> (u64, u64, u64) {
        let cells = self.core.metrics.core(0);
        let open = u64::try_from(cells.debts.load(Relaxed)).expect("none is settled twice");
        (open, cells.settled.load(Relaxed), cells.interrupted.load(Relaxed))
    }
}

pub fn post(path: &str, body: impl Into<Bytes>) -> Request<Upload> {
    Request::post(path)
        .header("authorization", format!("Bearer {KEY}"))
        .header("content-type", "application/json")
        .body(Upload { frames: [body.into()].into(), then: Then::End })
        .unwrap()
}

/// The whole body, and whether it ended in good order.
pub async fn read<B: Body<Data = Bytes> + Unpin>(mut body: B) -> (Vec<u8>, bool) {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => bytes.extend_from_slice(frame.data_ref().unwrap()),
            Err(_) => return (bytes, false),
        }
    }
    (bytes, true)
}
