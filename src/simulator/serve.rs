//! Connections, and the journey of one request: read it, count it, let a fault take it or answer it.

use std::future::pending;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use memchr::memmem;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::answer::{Ask, Form, MARK};
use super::body::{BrokenOff, Ending, Paced};
use super::endpoint::Endpoint;
use super::fault::{Effect, How, MidStream, Pause, Refusal};
use super::line::{Line, Mood};
use super::script::Script;
use super::skim::Skim;
use super::stage::{Prepared, Scene, Stage};
use super::tally::{Recorded, Tally, Watch};
use super::{MAX_BODY, dialect, embedding, headers, listing, refusal};
use crate::protocol::Dialect;

/// More than one process may hold open; beyond it nobody is accepted until somebody leaves.
const MAX_CONNECTIONS: usize = 65_536;

/// Is told of every request.
pub type Witness = Box<dyn Fn(&Recorded) + Send + Sync>;

/// What all connections share.
pub struct Shared {
    stage: Mutex<Arc<Stage>>,
    pub tally: Arc<Tally>,
    numbers: AtomicU64,
    /// Nobody waits: answers come as fast as they can be given.
    hurry: AtomicBool,
    witness: Option<Witness>,
}

impl Shared {
    pub fn new(script: Script, witness: Option<Witness>) -> Self {
        let stage = Mutex::new(Arc::new(Stage::new(script)));
        Self { stage, tally: Arc::default(), numbers: AtomicU64::new(1), hurry: AtomicBool::new(false), witness }
    }

    /// Requests that have begun go on under the script they began with.
    pub fn play(&self, script: Script) {
        *self.stage.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(Stage::new(script));
    }

    fn stage(&self) -> Arc<Stage> {
        Arc::clone(&self.stage.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Accepts for ever. Dropping the future ends every connection.
pub async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    /// The usual cause of a failed accept is that no file descriptor is free: waiting helps, spinning does not.
    const AFTER_FAILURE: Duration = Duration::from_millis(20);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < MAX_CONNECTIONS => match accepted {
                Ok((stream, peer)) => {
                    connections.spawn(connection(stream, peer, Arc::clone(&shared)));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept");
                    tokio::time::sleep(AFTER_FAILURE).await;
                }
            },
        }
    }
}

async fn connection(stream: TcpStream, peer: SocketAddr, shared: Arc<Shared>) {
    let _open = shared.tally.connection();
    // Without it the kernel holds back a small chunk until the one before is acknowledged.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "no TCP_NODELAY");
    }
    let mood = Mood::default();
    let service = service_fn(|request| handle(request, Arc::clone(&shared), mood.clone()));
    let io = TokioIo::new(Line::new(stream, mood.clone()));
    // Both ends break connections here on purpose.
    if let Err(error) = http1::Builder::new().serve_connection(io, service).await {
        tracing::debug!(%peer, %error, "connection ended");
    }
}

type Reply = Result<Response<Paced>, BrokenOff>;

async fn handle(request: Request<Incoming>, shared: Arc<Shared>, mood: Mood) -> Reply {
    let (head, body) = request.into_parts();
    let (endpoint, dialect) = Endpoint::of(&head.method, head.uri.path(), &head.headers);
    let stage = shared.stage();
    let call = Exchange {
        stage: &stage,
        shared: &shared,
        dialect,
        number: shared.numbers.fetch_add(1, Ordering::Relaxed),
        mood,
    };
    if stage.script.skim && endpoint.gives_answers() {
        return call.skimmed(&endpoint, &head, body).await;
    }
    let body = match read(body).await {
        Ok(Some(body)) => body,
        Ok(None) => {
            shared.tally.request();
            let mut refused = call.refuse(StatusCode::PAYLOAD_TOO_LARGE, "the request is larger than 64 MiB");
            refused.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            return Ok(refused);
        }
        // The client left in the middle of its request.
        Err(_) => return Err(BrokenOff),
    };
    if endpoint.is_control() {
        return Ok(call.control(&endpoint, &body));
    }
    call.note(&head, &body);
    let ask = endpoint.gives_answers().then(|| dialect::read(&endpoint, head.uri.query(), &body, &stage.script));
    let says = |mark: &str| memmem::find(&body, mark.as_bytes()).is_some();
    call.answer(&endpoint, &head, &body, ask, &says).await
}

/// A body, if it is not too large. One that is, is read on for as long again and thrown away: a connection that closes
/// before the client has sent what it wants to send loses the refusal.
async fn read(mut body: Incoming) -> Result<Option<Bytes>, hyper::Error> {
    let (mut all, mut size) = (Vec::new(), 0);
    while size <= 2 * MAX_BODY {
        let Some(frame) = body.frame().await.transpose()? else { break };
        let Ok(data) = frame.into_data() else { continue };
        size += data.len();
        if size > MAX_BODY {
            all = Vec::new();
        } else if size == data.len() && body.is_end_stream() {
            return Ok(Some(data));
        } else {
            all.extend_from_slice(&data);
        }
    }
    Ok((size <= MAX_BODY).then(|| all.into()))
}

/// One request and what answering it takes.
struct Exchange<'a> {
    stage: &'a Stage,
    shared: &'a Shared,
    dialect: Dialect,
    number: u64,
    mood: Mood,
}

impl Exchange<'_> {
    fn control(&self, endpoint: &Endpoint, body: &Bytes) -> Response<Paced> {
        let json = |status, text: String| response(status, "application/json", Paced::whole(text.into()));
        if *endpoint == Endpoint::Stats {
            let counts = serde_json::to_string(&self.shared.tally.counts());
            return json(StatusCode::OK, counts.unwrap_or_default());
        }
        let done = if *endpoint == Endpoint::Hurry {
            let hurry = serde_json::from_slice(body).map_err(|error| format!("true or false: {error}"));
            hurry.map(|hurry| self.shared.hurry.store(hurry, Ordering::Relaxed))
        } else {
            let script = serde_json::from_slice(body).map_err(|error| format!("this is no script: {error}"));
            script.map(|script| self.shared.play(script))
        };
        match done {
            Ok(()) => json(StatusCode::OK, "{}".to_owned()),
            Err(why) => json(StatusCode::BAD_REQUEST, serde_json::json!({ "error": why }).to_string()),
        }
    }

    fn note(&self, head: &Parts, body: &Bytes) {
        self.shared.tally.request();
        if !self.stage.script.record && self.shared.witness.is_none() {
            return;
        }
        let recorded = Recorded {
            method: head.method.clone(),
            path_and_query: path_and_query(head).to_owned(),
            headers: head.headers.clone(),
            body: body.clone(),
        };
        if let Some(witness) = &self.shared.witness {
            witness(&recorded);
        }
        if self.stage.script.record {
            self.shared.tally.record(recorded);
        }
    }

    async fn skimmed(&self, endpoint: &Endpoint, head: &Parts, mut body: Incoming) -> Reply {
        let mut skim = Skim::new(self.stage.marks());
        while let Some(frame) = body.frame().await {
            // The client left in the middle of its request.
            let frame = frame.map_err(|_| BrokenOff)?;
            skim.see(frame.data_ref().map_or(&[], |data| data));
        }
        self.shared.tally.request();
        let model = self.stage.script.model.clone().unwrap_or_else(|| "skimmed".to_owned());
        let ask = skim.ask(endpoint, head.uri.query(), model);
        self.answer(endpoint, head, &Bytes::new(), Some(Ok(ask)), &|mark| skim.says(mark)).await
    }

    async fn answer(
        &self,
        endpoint: &Endpoint,
        head: &Parts,
        body: &Bytes,
        ask: Option<Result<Ask, String>>,
        says: &(dyn Fn(&str) -> bool + Sync),
    ) -> Reply {
        let stream = ask.as_ref().map(|ask| ask.as_ref().is_ok_and(|ask| ask.form != Form::Json));
        // Exists from here on, so that leaving while nothing is said is counted, too.
        let watch = stream.map(|stream| self.shared.tally.call(self.dialect, stream));
        let fault = self.stage.fault(&Scene { path: path_and_query(head), dialect: self.dialect, stream, says });
        if let Some(effect) = fault {
            self.shared.tally.fault();
            if let Some(reply) = self.fail_early(effect).await {
                Watch::done(watch);
                return reply;
            }
        }
        let hurry = self.shared.hurry.load(Ordering::Relaxed);
        if let Some(wait) = Some(self.stage.script.first_byte()).filter(|wait| !wait.is_zero() && !hurry) {
            tokio::time::sleep(wait).await;
        }
        let refused = match ask {
            _ if !self.is_let_in(&head.headers, head.uri.query()) => {
                self.refuse(StatusCode::UNAUTHORIZED, "this key is not the simulator's")
            }
            None => self.without_model(endpoint, body),
            Some(Err(why)) => self.refuse(StatusCode::BAD_REQUEST, &why),
            Some(Ok(ask)) => return Ok(self.give(ask, fault, watch)),
        };
        Watch::done(watch);
        Ok(refused)
    }

    /// Faults that leave no answer to give.
    async fn fail_early(&self, effect: &Effect) -> Option<Reply> {
        match effect {
            Effect::Status(refusal) => Some(Ok(self.refuse_as(refusal))),
            Effect::Reset => {
                self.mood.reset();
                Some(Err(BrokenOff))
            }
            Effect::Close => Some(Err(BrokenOff)),
            Effect::Hang => pending().await,
            Effect::Garbage => {
                self.mood.garbage();
                let mut swallowed = response(StatusCode::OK, "text/plain", Paced::whole(Bytes::new()));
                swallowed.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
                Some(Ok(swallowed))
            }
            Effect::Cut(_) | Effect::Error(_) | Effect::Silence(_) | Effect::Pause(_) | Effect::Hold => None,
        }
    }

    fn give(&self, ask: Ask, fault: Option<&Effect>, watch: Option<Watch>) -> Response<Paced> {
        let form = ask.form;
        if let (Some(Effect::Error(error)), Form::Json) = (fault, form) {
            Watch::done(watch);
            return self.refuse(error.code, message(error));
        }
        let answer = self.stage.answer(self.dialect, ask);
        let mut body = match fault {
            Some(Effect::Hold) => self.whole(&answer, Ending::Held),
            Some(Effect::Silence(after)) => self.beginning(&answer, form, *after, Ending::Silent),
            Some(Effect::Cut(cut)) => {
                let ending = match cut.how {
                    How::Reset => Ending::Reset,
                    How::Close => Ending::Close,
                    How::Clean => Ending::Clean,
                };
                self.beginning(&answer, form, cut.after, ending)
            }
            Some(Effect::Error(error)) => self.failing(&answer, form, error),
            Some(Effect::Pause(pause)) => self.interrupted(&answer, form, *pause),
            // The others have been dealt with before.
            _ => self.whole(&answer, Ending::Complete),
        };
        // With a length in the head, a clean end could not be early, and a held answer would be complete.
        if form == Form::Json && !matches!(body.ending(), Ending::Clean | Ending::Held) {
            body = body.announcing();
        }
        if let Some(watch) = watch {
            body = body.watched(watch);
        }
        let kind = if form == Form::Events { "text/event-stream; charset=utf-8" } else { "application/json" };
        let mut body = body.paced(self.stage.script.gap());
        if self.shared.hurry.load(Ordering::Relaxed) {
            body = body.hurried();
        }
        let mut given = self.dressed(response(StatusCode::OK, kind, body));
        if form == Form::Events {
            given.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        }
        given
    }

    fn whole(&self, answer: &Prepared, ending: Ending) -> Paced {
        Paced::new(self.numbered(answer), Arc::clone(&answer.cuts), ending, self.mood.clone())
    }

    fn beginning(&self, answer: &Prepared, form: Form, events: u64, ending: Ending) -> Paced {
        let (_, cuts) = self.stage.beginning(answer, form, events);
        Paced::new(self.numbered(answer), cuts, ending, self.mood.clone())
    }

    fn interrupted(&self, answer: &Prepared, form: Form, pause: Pause) -> Paced {
        let (end, cuts) = self.stage.beginning(answer, form, pause.after);
        let bytes = self.numbered(answer);
        let rest = Some(bytes.len()).filter(|whole| *whole > end);
        let cuts = cuts.iter().copied().chain(rest).collect();
        Paced::new(bytes, cuts, Ending::Complete, self.mood.clone()).pausing_at_last(Duration::from_millis(pause.ms))
    }

    fn failing(&self, answer: &Prepared, form: Form, error: &MidStream) -> Paced {
        let (end, cuts) = self.stage.beginning(answer, form, error.after);
        let told = refusal::in_stream(self.dialect, form, error.after, error.code, message(error));
        let mut bytes = self.numbered(answer)[..end].to_vec();
        bytes.extend_from_slice(self.with_number(&told).as_bytes());
        let mut cuts = cuts.to_vec();
        cuts.push(bytes.len());
        Paced::new(bytes.into(), cuts.into(), Ending::Complete, self.mood.clone())
    }

    fn numbered(&self, answer: &Prepared) -> Bytes {
        answer.fixed.clone().unwrap_or_else(|| answer.rendered.numbered(self.id_number()))
    }

    const fn id_number(&self) -> u64 {
        if self.stage.script.fixed_ids { 0 } else { self.number }
    }

    fn with_number(&self, text: &str) -> String {
        text.replace(MARK, &format!("{:016x}", self.id_number()))
    }

    fn without_model(&self, endpoint: &Endpoint, body: &[u8]) -> Response<Paced> {
        let Stage { script, created, .. } = self.stage;
        let embedded = match endpoint {
            Endpoint::Embeddings => Some(embedding::openai(body, script)),
            Endpoint::EmbedContent => Some(embedding::gemini(body)),
            Endpoint::BatchEmbedContents => Some(embedding::gemini_batch(body)),
            _ => None,
        };
        if let Some(embedded) = embedded {
            return match embedded {
                Ok(body) => {
                    let body = Paced::whole(body.as_str().to_owned().into());
                    self.dressed(response(StatusCode::OK, "application/json", body))
                }
                Err(why) => self.refuse(StatusCode::BAD_REQUEST, &why),
            };
        }
        if let Some(body) = listing::body(endpoint, self.dialect, script, *created) {
            let body = Paced::whole(self.with_number(body.as_str()).into());
            return self.dressed(response(StatusCode::OK, "application/json", body));
        }
        match endpoint {
            Endpoint::Hello => response(StatusCode::OK, "application/json", Paced::whole(Bytes::new())),
            // The one refusal after which Codex goes on over HTTP at once.
            Endpoint::WebSocket => self.refuse(StatusCode::UPGRADE_REQUIRED, "there is no WebSocket here, only HTTP"),
            Endpoint::Model { model } => self.refuse(StatusCode::NOT_FOUND, &format!("there is no model {model}")),
            _ => self.refuse(StatusCode::NOT_FOUND, "no API lives at this path, or not with this method"),
        }
    }

    /// In any of the places where clients of the four dialects put their key.
    fn is_let_in(&self, headers: &HeaderMap, query: Option<&str>) -> bool {
        let Some(key) = &self.stage.script.key else { return true };
        let shown = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let bearer = shown("authorization").and_then(|value| value.split_once(' ')).map(|(_, key)| key);
        let in_query = query.and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix("key=")));
        [bearer, shown("x-api-key"), shown("x-goog-api-key"), shown("api-key"), in_query].contains(&Some(key.as_str()))
    }

    fn refuse(&self, code: StatusCode, message: &str) -> Response<Paced> {
        let refusal = Refusal { code, headers: Default::default(), body: None, message: Some(message.to_owned()) };
        self.refuse_as(&refusal)
    }

    fn refuse_as(&self, refusal: &Refusal) -> Response<Paced> {
        let message = refusal.message.as_deref().unwrap_or("the simulated provider was told to fail");
        let body = refusal
            .body
            .clone()
            .unwrap_or_else(|| self.with_number(refusal::body(self.dialect, refusal.code, message).as_str()));
        let mut refused = self.dressed(response(refusal.code, "application/json", Paced::whole(body.into())));
        for (name, value) in &refusal.headers.0 {
            refused.headers_mut().insert(name, value.clone());
        }
        refused
    }

    /// With the headers that this provider has on every response, and the script's.
    fn dressed(&self, mut response: Response<Paced>) -> Response<Paced> {
        let id = HeaderValue::try_from(format!("req_{:016x}", self.id_number()));
        let all = response.headers_mut();
        if let (Some(name), Ok(id)) = (headers::request_id(self.dialect), id) {
            all.insert(name, id);
        }
        for (name, value) in headers::usual(self.dialect) {
            all.insert(*name, HeaderValue::from_static(value));
        }
        for (name, value) in &self.stage.script.headers.0 {
            all.insert(name, value.clone());
        }
        response
    }
}

fn message(error: &MidStream) -> &str {
    error.message.as_deref().unwrap_or("the simulated provider was told to fail in the middle")
}

fn path_and_query(head: &Parts) -> &str {
    head.uri.path_and_query().map_or("/", |path| path.as_str())
}

fn response(status: StatusCode, kind: &'static str, body: Paced) -> Response<Paced> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
