//! A script being played: its faults' counts and the answers rendered for it so far.
//!
//! Invariant: a script's faults are counted from when it was set; the cache of answers is bounded.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use super::answer::{Ask, Form, Rendered, Reply};
use super::dialect;
use super::fault::{Effect, Fault};
use super::scenario::Step;
use super::script::{Chunking, Script};
use crate::protocol::Dialect;
use crate::telemetry::clock;

/// Answers that are kept: models times forms times dialects of a load test, not of the world.
const MAX_CACHED: usize = 64;
/// The `created` of scripts with fixed ids: 2026-01-01T00:00:00Z.
const FIXED_TIME: u64 = 1_767_225_600;

/// A script being played.
pub struct Stage {
    /// The script.
    pub script: Script,
    /// Seconds since 1970 at which answers say they were made.
    pub created: u64,
    answer: String,
    /// For each fault: requests that matched, and those of them that it took.
    faults: Mutex<Vec<(u64, u64)>>,
    cache: Mutex<Vec<Cached>>,
}

type Cached = (Dialect, Ask, Arc<Prepared>);

/// A rendered answer and where its chunks end.
pub struct Prepared {
    /// The answer.
    pub rendered: Rendered,
    /// The end of every chunk of the whole answer.
    pub cuts: Arc<[usize]>,
    /// The bytes of every answer, if all are the same.
    pub fixed: Option<Bytes>,
}

/// What a fault looks at.
pub struct Scene<'a> {
    /// Path and query.
    pub path: &'a str,
    /// In which it is refused.
    pub dialect: Dialect,
    /// Of a call for an answer: whether it is streamed.
    pub stream: Option<bool>,
    /// Whether something stands in its body.
    pub says: &'a dyn Fn(&str) -> bool,
}

impl Stage {
    /// Plays a script.
    pub fn new(script: Script) -> Self {
        Self {
            created: if script.fixed_ids { FIXED_TIME } else { clock::since_epoch().as_secs() },
            answer: script.answer(),
            faults: Mutex::new(vec![(0, 0); script.faults.len()]),
            cache: Mutex::default(),
            script,
        }
    }

    /// What its faults look for in bodies.
    pub fn marks(&self) -> impl Iterator<Item = &str> {
        self.script.faults.iter().filter_map(|fault| fault.says.as_deref())
    }

    /// What goes wrong with a request, if anything does.
    pub fn fault(&self, scene: &Scene<'_>) -> Option<&Effect> {
        if self.script.faults.is_empty() {
            return None;
        }
        let mut counts = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        for (fault, (matched, hits)) in self.script.faults.iter().zip(counts.iter_mut()) {
            if !matches(fault, scene) {
                continue;
            }
            *matched += 1;
            if fault.wants(*matched, *hits) {
                *hits += 1;
                return Some(&fault.effect);
            }
        }
        None
    }

    /// The answer to a request, rendered at most once if it is the script's own text.
    pub fn answer(&self, dialect: Dialect, ask: Ask) -> Arc<Prepared> {
        if ask.step != Step::Script {
            return Arc::new(self.prepare(dialect, &ask));
        }
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((.., prepared)) = cache.iter().find(|(d, a, _)| *d == dialect && *a == ask) {
            return Arc::clone(prepared);
        }
        let prepared = Arc::new(self.prepare(dialect, &ask));
        if cache.len() < MAX_CACHED {
            cache.push((dialect, ask, Arc::clone(&prepared)));
        }
        prepared
    }

    fn prepare(&self, dialect: Dialect, ask: &Ask) -> Prepared {
        let reply = Reply {
            ask,
            model: self.script.model.as_deref().unwrap_or(&ask.model),
            text: match &ask.step {
                Step::Say(text) => text,
                Step::Script | Step::Call { .. } => &self.answer,
            },
            script: &self.script,
            usage: self.script.report_usage.then_some(&self.script.usage),
            created: self.created,
        };
        let rendered = Rendered::new(&dialect::write(dialect, &reply));
        let cuts = match self.script.chunking {
            // Already there.
            Chunking::PerEvent => Arc::clone(&rendered.ends),
            chunking => chunking.cuts(&rendered.ends).into(),
        };
        let fixed = self.script.fixed_ids.then(|| rendered.numbered(0));
        Prepared { rendered, cuts, fixed }
    }

    /// The answer up to an early end after so many events: the bytes that count as its first events, and where they are
    /// cut. A JSON answer has two events, its halves.
    pub fn beginning(&self, answer: &Prepared, form: Form, events: u64) -> (usize, Arc<[usize]>) {
        let ends = &answer.rendered.ends;
        let whole = ends.last().copied().unwrap_or_default();
        let halves = [whole / 2, whole];
        let ends: &[usize] = if form == Form::Json { &halves } else { ends };
        let kept = usize::try_from(events).unwrap_or(usize::MAX).min(ends.len());
        let cuts = self.script.chunking.cuts(&ends[..kept]);
        (cuts.last().copied().unwrap_or_default(), cuts.into())
    }
}

fn matches(fault: &Fault, scene: &Scene<'_>) -> bool {
    let path = fault.path.as_ref().map_or(scene.stream.is_some(), |part| scene.path.contains(part.as_str()));
    path && fault.dialect.is_none_or(|dialect| dialect == scene.dialect)
        && fault.stream.is_none_or(|stream| scene.stream == Some(stream))
        && fault.says.as_deref().is_none_or(scene.says)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: Scene<'_> = Scene {
        path: "/v1/messages",
        dialect: Dialect::Anthropic,
        stream: Some(true),
        says: &|mark| mark == "be still",
    };

    #[test]
    fn faults_take_turns() {
        let script = Script::default().fault(Fault::first(2, Effect::Reset)).fault(Fault::first(1, Effect::Close));
        let stage = Stage::new(script);
        let met: Vec<_> = (0..4).map(|_| stage.fault(&STREAM).cloned()).collect();
        assert_eq!(met, [Some(Effect::Reset), Some(Effect::Reset), Some(Effect::Close), None]);
    }

    #[track_caller]
    fn meets(words: &str, scene: &Scene<'_>, want: bool) {
        let stage = Stage::new(Script::default().fault(words.parse().unwrap()));
        assert_eq!(stage.fault(scene).is_some(), want, "{words}");
    }

    #[test]
    fn faults_choose() {
        meets("reset", &STREAM, true);
        meets("reset,path=messages", &STREAM, true);
        meets("reset,path=chat", &STREAM, false);
        meets("reset,dialect=anthropic,stream=yes", &STREAM, true);
        meets("reset,dialect=chat", &STREAM, false);
        meets("reset,says=be still", &STREAM, true);
        meets("reset,says=speak", &STREAM, false);
        meets("reset,stream=no", &STREAM, false);
        let models = Scene { path: "/v1/models", dialect: Dialect::Chat, stream: None, says: &|_| false };
        meets("reset", &models, false);
        meets("reset,path=/models", &models, true);
        meets("reset,path=/models,stream=yes", &models, false);
    }
}
