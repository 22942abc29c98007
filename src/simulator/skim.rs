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
/// One less than the longest mark: more of it cannot lie before a frame's end and still be incomplete.
const TAIL: usize = USAGE[1].len() - 1;

/// A body on its way past.
#[derive(Debug, Default)]
pub struct Skim {
    stream: bool,
    usage: bool,
    tail: Vec<u8>,
}

impl Skim {
    /// The next frame.
    pub fn see(&mut self, frame: &[u8]) {
        let begin = &frame[..frame.len().min(TAIL)];
        let seam = [&self.tail, begin].concat();
        for part in [seam.as_slice(), frame] {
            let holds = |marks: [&[u8]; 2]| marks.iter().any(|mark| memmem::find(part, mark).is_some());
            self.stream = self.stream || holds(STREAM);
            self.usage = self.usage || holds(USAGE);
        }
        self.tail = if frame.len() >= TAIL { frame[frame.len() - TAIL..].to_vec() } else { last(&seam).to_vec() };
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

fn last(bytes: &[u8]) -> &[u8] {
    &bytes[bytes.len().saturating_sub(TAIL)..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn asks(name: &str, body: &str, form: Form, usage: bool) {
        // However it is cut.
        for at in 0..=body.len() {
            for more in [1, 7, 4096] {
                let mut skim = Skim::default();
                let (first, rest) = body.as_bytes().split_at(at);
                skim.see(first);
                rest.chunks(more).for_each(|frame| skim.see(frame));
                let ask = skim.ask(&Endpoint::Chat, None, "m".to_owned());
                assert_eq!((ask.form, ask.extra), (form, usage), "{name}, cut at {at}, then by {more}");
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
        asks("options alone", r#"{"stream_options":{"include_usage": true}}"#, Form::Json, true);
    }

    #[test]
    fn gemini_says_it_in_its_path() {
        let stream = Endpoint::StreamGenerate { model: "m".into() };
        let of = |endpoint: &Endpoint, query| Skim::default().ask(endpoint, query, "m".into()).form;
        assert_eq!(of(&stream, Some("alt=sse")), Form::Events);
        assert_eq!(of(&stream, None), Form::Array);
        assert_eq!(of(&Endpoint::Generate { model: "m".into() }, None), Form::Json);
    }
}
