//! Whom the configuration names hears that a budget is nearly spent: one POST for each warning, again until it was taken.
//!
//! A core puts a warning into a bounded queue and goes on ([`Outbox`]); a task of the control runtime carries it
//! ([`Postman`]). Invariants: a call never waits for a message; each is counted exactly once, as delivered, failed (told in
//! vain for [`WAITS`], or nobody wants it: 410) or dropped (no room, no webhook any more, or the process ends); there are
//! never more than [`QUEUE`] and [`MOST`] of them; where they go and what they are signed with is read anew for each attempt,
//! so a reload holds for those under way too.
//!
//! Deliberately kept in memory alone: after a restart the next call of a budget that is past its mark tells it again, under
//! the same id ([`event`]).

mod event;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use ring::rand::{SecureRandom, SystemRandom};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use crate::ledger::warning::Warning;
use crate::provider::webhook::Webhook;
use crate::snapshot::live::Live;
use crate::telemetry::clock;
use crate::telemetry::metrics::{Metrics, Webhooks};
use crate::upstream::post::post;
use crate::upstream::resolve::Names;
use event::Event;

/// Messages that no task has taken up yet.
const QUEUE: usize = 256;
/// Messages that are carried at one time, waiting for their next attempt or on their way.
const MOST: usize = 1024;
/// Attempts at one time.
const AT_ONCE: usize = 4;
/// For one attempt, from the name to the head of the answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Before each attempt; up to a quarter longer, so that many do not come at one moment.
const WAITS: [Duration; 6] = [
    Duration::ZERO,
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_secs(2 * 60),
    Duration::from_secs(10 * 60),
    Duration::from_secs(30 * 60),
];

/// Where cores put what is to be told.
#[derive(Debug, Clone)]
pub struct Outbox {
    queue: mpsc::Sender<Message>,
    metrics: Arc<Metrics>,
}

impl Outbox {
    /// An outbox, and where its messages come out: for whoever carries them himself.
    #[must_use]
    pub fn new(metrics: &Arc<Metrics>) -> (Self, mpsc::Receiver<Message>) {
        let (queue, inbox) = mpsc::channel(QUEUE);
        (Self { queue, metrics: Arc::clone(metrics) }, inbox)
    }

    /// Takes a warning along; where there is no room, it is dropped and counted. Never waits.
    pub fn tell(&self, warning: Warning) {
        let at = i64::try_from(clock::since_epoch().as_secs()).unwrap_or(i64::MAX);
        // What finds no room is counted when it is dropped, here.
        let _ = self.queue.try_send(Message::new(warning, at, Arc::clone(&self.metrics)));
    }
}

/// A message that was not delivered yet.
#[derive(Debug)]
pub struct Message {
    /// What is told.
    pub warning: Warning,
    /// Since when, in seconds since 1970.
    pub at: i64,
    metrics: Arc<Metrics>,
    end: End,
}

#[derive(Debug, Clone, Copy)]
enum End {
    Dropped,
    Delivered,
    Failed,
}

impl Message {
    fn new(warning: Warning, at: i64, metrics: Arc<Metrics>) -> Self {
        metrics.webhooks.pending.fetch_add(1, Relaxed);
        Self { warning, at, metrics, end: End::Dropped }
    }

    fn ends(mut self, end: End) {
        self.end = end;
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        let Webhooks { pending, delivered, failed, dropped, attempts_failed: _ } = &self.metrics.webhooks;
        pending.fetch_sub(1, Relaxed);
        let (level, name) = (self.warning.level.label(), &*self.warning.name);
        match self.end {
            End::Delivered => delivered.fetch_add(1, Relaxed),
            End::Failed => {
                warn!(level, name, "that this budget is nearly spent could not be told: the webhook does not take it");
                failed.fetch_add(1, Relaxed)
            }
            End::Dropped => {
                warn!(level, name, "that this budget is nearly spent was not told: the message was dropped");
                dropped.fetch_add(1, Relaxed)
            }
        };
    }
}

/// The status of the answer, or why there is none.
type Answer = Pin<Box<dyn Future<Output = Result<u16, String>> + Send>>;
type Post = dyn Fn(Arc<Webhook>, Vec<(&'static str, String)>, Bytes) -> Answer + Send + Sync;

/// The task that carries messages.
#[derive(Debug)]
pub struct Postman {
    /// Dropped to stop it.
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Postman {
    /// Begins, on the runtime that this is called from.
    #[must_use]
    pub fn start(live: Arc<Live>, metrics: &Arc<Metrics>) -> (Outbox, Self) {
        let names = Names::system();
        Self::posting(live, metrics, move |hook, headers, body| {
            let names = names.clone();
            Box::pin(async move { post(&names, &hook, &headers, body).await })
        })
    }

    fn posting(
        live: Arc<Live>,
        metrics: &Arc<Metrics>,
        post: impl Fn(Arc<Webhook>, Vec<(&'static str, String)>, Bytes) -> Answer + Send + Sync + 'static,
    ) -> (Outbox, Self) {
        let (outbox, inbox) = Outbox::new(metrics);
        let (stop, stopped) = oneshot::channel();
        let (turns, post) = (Semaphore::new(AT_ONCE), Box::new(post));
        let round = Arc::new(Round { live, metrics: Arc::clone(metrics), post, turns, gone: Mutex::default() });
        let task = tokio::spawn(round.walk(inbox, stopped));
        (outbox, Self { stop, task })
    }

    /// Ends. What was not delivered is logged and counted as dropped.
    pub async fn finish(self) {
        let Self { stop, task } = self;
        drop(stop);
        let _ = task.await;
    }
}

/// Sends a test to a receiver, once. Returns the status of its answer.
///
/// # Errors
/// There was none: why, in words that name no address.
pub async fn test(hook: &Webhook) -> Result<u16, String> {
    let now = clock::since_epoch().as_secs();
    let event = Event::test(i64::try_from(now).unwrap_or(i64::MAX));
    let (names, headers) = (Names::system(), headers(hook, &event, now));
    let posted = post(&names, hook, &headers, event.body);
    timeout(PATIENCE, posted).await.unwrap_or_else(|_| Err(silence()))
}

struct Round {
    live: Arc<Live>,
    metrics: Arc<Metrics>,
    post: Box<Post>,
    turns: Semaphore,
    /// Who has said that he wants no more: until the rules are read again.
    gone: Mutex<Option<Arc<Webhook>>>,
}

impl Round {
    async fn walk(self: Arc<Self>, mut inbox: mpsc::Receiver<Message>, mut stopped: oneshot::Receiver<()>) {
        let mut carried = JoinSet::new();
        loop {
            tokio::select! {
                _ = &mut stopped => break,
                // Without room they wait in the queue, and when that is full too, newer ones are dropped.
                Some(message) = inbox.recv(), if carried.len() < MOST => {
                    carried.spawn(Arc::clone(&self).carry(message));
                }
                Some(_) = carried.join_next() => {}
            }
        }
        carried.shutdown().await;
    }

    async fn carry(self: Arc<Self>, message: Message) {
        let event = Event::of(&message.warning, message.at);
        for wait in WAITS {
            sleep(stretched(wait)).await;
            let Ok(_turn) = self.turns.acquire().await else { return };
            let Some(hook) = self.receiver() else { return };
            let now = clock::since_epoch().as_secs();
            let posted = (self.post)(Arc::clone(&hook), headers(&hook, &event, now), event.body.clone());
            let why = match timeout(PATIENCE, posted).await {
                Ok(Ok(200..300)) => return message.ends(End::Delivered),
                Ok(Ok(410)) => {
                    info!(host = &*hook.origin.host, "the webhook is gone (410): no more is sent until a reload");
                    *self.gone.lock().unwrap_or_else(PoisonError::into_inner) = Some(hook);
                    self.metrics.webhooks.attempts_failed.fetch_add(1, Relaxed);
                    return message.ends(End::Failed);
                }
                Ok(Ok(status)) => format!("it answered {status}"),
                Ok(Err(why)) => why,
                Err(_) => silence(),
            };
            self.metrics.webhooks.attempts_failed.fetch_add(1, Relaxed);
            warn!(host = &*hook.origin.host, id = event.id, why, "the webhook did not take a message");
        }
        message.ends(End::Failed);
    }

    /// Who is told now; nobody if the rules name none any more, or one who wants no more.
    fn receiver(&self) -> Option<Arc<Webhook>> {
        let hook = self.live.snapshot().webhook.clone()?;
        let gone = self.gone.lock().unwrap_or_else(PoisonError::into_inner);
        gone.as_ref().is_none_or(|gone| !Arc::ptr_eq(gone, &hook)).then_some(hook)
    }
}

/// As Standard Webhooks has them; the time is that of the attempt, since receivers refuse what is old.
fn headers(hook: &Webhook, event: &Event, now: u64) -> Vec<(&'static str, String)> {
    let mut headers = vec![("webhook-id", event.id.clone()), ("webhook-timestamp", now.to_string())];
    if let Some(secret) = &hook.secret {
        headers.push(("webhook-signature", secret.sign(&event.id, now, &event.body)));
    }
    headers
}

fn silence() -> String {
    format!("no answer within {PATIENCE:?}")
}

fn stretched(wait: Duration) -> Duration {
    let mut chance = [0];
    // Without chance they come at one moment, which is no reason to fail.
    let _ = SystemRandom::new().fill(&mut chance);
    wait + wait * u32::from(chance[0]) / 1024
}
