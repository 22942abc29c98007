//! What a request asks for, told from a glance: for load, where reading bodies would make the provider the limit.
//!
//! Invariant: it keeps no body, only as many bytes as a mark that lies across two frames needs. It can be wrong about a
//! prompt that quotes a mark; whoever sends the load knows what he sends.

use memchr::memmem;

use super::answer::{Ask, Form, Thinking};
use super::endpoint::Endpoint;
use super::scenario::Step;

const STREAM: [&[u8]; 2] = [b"\"stream\":true", b"\"stream\": true"];
const USAGE: [&[u8]; 2] = [b"\"include_usage\":true", b"\"include_usage\": true"];

/// A body on its way past.
#[derive(Debug)]
pub struct Skim<'m> {
    stream: bool,
    usage: bool,
    marks: Vec<(&'m str, bool)>,
    tail: Vec<u8>,
    /// One less than the longest mark: more of it cannot lie before a frame's end and still be incomplete.
    reach: usize,
}

impl<'m> Skim<'m> {
    /// Looks for these, too.
    pub fn new(marks: impl Iterator<Item = &'m str>) -> Self {
        let marks: Vec<_> = marks.map(|mark| (mark, false)).collect();
        let longest = marks.iter().map(|(mark, _)| mark.len()).chain([USAGE[1].len()]).max().unwrap_or_default();
        Self { stream: false, usage: false, marks, tail: Vec::new(), reach: longest.saturating_sub(1) }
    }

    /// The next frame.
    pub fn see(&mut self, frame: &[u8]) {
        let begin = &frame[..frame.len().min(self.reach)];
        let seam = [&self.tail, begin].concat();
        for part in [seam.as_slice(), frame] {
            let holds = |marks: [&[u8]; 2]| marks.iter().any(|mark| memmem::find(part, mark).is_some());
            self.stream = self.stream || holds(STREAM);
            self.usage = self.usage || holds(USAGE);
            for (mark, seen) in self.marks.iter_mut().filter(|(_, seen)| !seen) {
                *seen = memmem::find(part, mark.as_bytes()).is_some();
            }
        }
        let end = if frame.len() >= self.reach { frame } else { seam.as_slice() };
        self.tail = end[end.len().saturating_sub(self.reach)..].to_vec();
    }

    /// Whether one of the marks has been seen.
    pub fn says(&self, mark: &str) -> bool {
        self.marks.iter().any(|(known, seen)| *seen && *known == mark)
    }

    /// What was asked for.
    pub fn ask(&self, endpoint: &Endpoint, query: Option<&str>, model: String) -> Ask {
        let events = match endpoint {
            Endpoint::StreamGenerate { .. } => {
                query.is_some_and(|query| query.split('&').any(|pair| pair == "alt=sse"))
            }
            _ => self.stream,
        };
        let form = match endpoint {
            Endpoint::StreamGenerate { .. } if !events => Form::Array,
            _ if events => Form::Events,
            _ => Form::Json,
        };
        Ask { model, form, thinking: Thinking::Off, extra: self.usage, step: Step::Script }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARKS: [&str; 2] = ["a mark that is longer than all others", "still"];

    #[track_caller]
    fn asks(name: &str, body: &str, form: Form, usage: bool) {
        // However it is cut.
        for at in 0..=body.len() {
            for more in [1, 7, 4096] {
                let mut skim = Skim::new(MARKS.into_iter());
                let (first, rest) = body.as_bytes().split_at(at);
                skim.see(first);
                rest.chunks(more).for_each(|frame| skim.see(frame));
                let ask = skim.ask(&Endpoint::Chat, None, "m".to_owned());
                assert_eq!((ask.form, ask.extra), (form, usage), "{name}, cut at {at}, then by {more}");
                for mark in MARKS {
                    assert_eq!(skim.says(mark), body.contains(mark), "{name}, cut at {at}, then by {more}: {mark}");
                }
                assert!(!skim.says("stream"), "nobody looks for that");
            }
        }
    }

    #[test]
    fn it_sees_what_is_asked_for_on_any_borders() {
        asks("nothing", r#"{"model":"m"}"#, Form::Json, false);
        asks("a stream", r#"{"model":"m","stream":true}"#, Form::Events, false);
        asks("with a space", r#"{"stream": true,"a":1}"#, Form::Events, false);
        asks("not", r#"{"stream":false}"#, Form::Json, false);
        asks("usage", r#"{"stream_options":{"include_usage":true},"stream":true}"#, Form::Events, true);
        asks("a mark", r#"{"input":"a mark that is longer than all others","stream":true}"#, Form::Events, false);
        asks("another", r#"{"stream":false,"input":"be still"}"#, Form::Json, false);
        asks("options alone", r#"{"stream_options":{"include_usage": true}}"#, Form::Json, true);
    }

    #[test]
    fn gemini_says_it_in_its_path() {
        let stream = Endpoint::StreamGenerate { model: "m".into() };
        let skim = Skim::new(std::iter::empty());
        let of = |endpoint: &Endpoint, query| skim.ask(endpoint, query, "m".into()).form;
        assert_eq!(of(&stream, Some("alt=sse")), Form::Events);
        assert_eq!(of(&stream, None), Form::Array);
        assert_eq!(of(&Endpoint::Generate { model: "m".into() }, None), Form::Json);
    }
}
