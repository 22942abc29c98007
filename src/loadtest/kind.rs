//! What is sent: synthetic requests of the shape and size that agents send, in all four dialects.
//!
//! Invariant: a kind always has the same bytes, so that two subjects, two rounds and two runs are asked the same. No recorded
//! body is in here; the text is made up.

use std::fmt::Write;

use crate::protocol::Dialect;

/// One sort of request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kind {
    /// As reports name it.
    pub name: &'static str,
    /// Its API.
    pub dialect: Dialect,
    /// Whether the answer is asked for as a stream.
    pub stream: bool,
    /// About how many bytes its body has.
    pub bytes: usize,
    /// How often it is sent, in relation to the other kinds of its profile.
    pub weight: u32,
    /// Headers by which an agent is known, each with its line end.
    pub headers: &'static str,
    /// What its user says first, by which the provider knows it; it stands in JSON as it is.
    pub says: &'static str,
    /// Whether it is silent for so long that a gateway may put keep-alives into its answer.
    pub silent: bool,
}

/// Who is asked, and with what key.
#[derive(Debug, Clone)]
pub struct Addressee {
    /// `host:port`, for the `host` header.
    pub authority: String,
    /// What stands before the dialect's path.
    pub prefix: String,
    /// The key, in the header of the dialect.
    pub key: Option<String>,
    /// The model asked for.
    pub model: String,
    /// More headers, `name: value`.
    pub headers: Vec<String>,
}

impl Kind {
    /// A request without an agent's habits.
    #[must_use]
    pub const fn plain(name: &'static str, dialect: Dialect, bytes: usize, stream: bool) -> Self {
        Self { name, dialect, stream, bytes, weight: 1, headers: "", says: "", silent: false }
    }

    /// The whole request, head and body.
    #[must_use]
    pub fn render(&self, to: &Addressee, close: bool) -> Vec<u8> {
        let body = self.body(&to.model);
        let mut head = format!(
            "POST {}{} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n{}",
            to.prefix,
            self.path(&to.model),
            to.authority,
            body.len(),
            self.headers
        );
        if self.dialect == Dialect::Anthropic {
            head.push_str("anthropic-version: 2023-06-01\r\n");
        }
        if let Some(key) = &to.key {
            let (name, scheme) = match self.dialect {
                Dialect::Anthropic => ("x-api-key", ""),
                Dialect::Gemini => ("x-goog-api-key", ""),
                Dialect::Chat | Dialect::Responses => ("authorization", "Bearer "),
            };
            head.extend([name, ": ", scheme, key, "\r\n"]);
        }
        for header in &to.headers {
            head.extend([header, "\r\n"]);
        }
        if close {
            head.push_str("connection: close\r\n");
        }
        head.push_str("\r\n");
        [head.into_bytes(), body.into_bytes()].concat()
    }

    fn path(&self, model: &str) -> String {
        match (self.dialect, self.stream) {
            (Dialect::Anthropic, _) => "/v1/messages".to_owned(),
            (Dialect::Chat, _) => "/v1/chat/completions".to_owned(),
            (Dialect::Responses, _) => "/v1/responses".to_owned(),
            (Dialect::Gemini, true) => format!("/v1beta/models/{model}:streamGenerateContent?alt=sse"),
            (Dialect::Gemini, false) => format!("/v1beta/models/{model}:generateContent"),
        }
    }

    /// Of an agent's body a part are its tools, another its system prompt; what grows is the conversation.
    fn body(&self, model: &str) -> String {
        let (tools, system) =
            if self.bytes < 4096 { (0, 0) } else { (self.bytes.min(120_000) / 5, self.bytes.min(120_000) / 6) };
        let (tools, system) = (tools_of(self.dialect, tools), prose(system));
        let around = self.around(model, &tools, &system, 0).len();
        self.around(model, &tools, &system, self.bytes.saturating_sub(around))
    }

    /// Turns of up to 2,000 bytes, an odd number of them, so that the user speaks first and last.
    fn turns(&self, bytes: usize, user: &str, model: &str, one: impl Fn(&str, &str) -> String) -> String {
        const TURN: usize = 2000;
        let count = (bytes / TURN) | 1;
        // What the first one's frame takes is not ours to fill.
        let frame = one(user, "").len() + 1;
        let size = ((bytes + frame) / count).saturating_sub(frame);
        let first = one(user, &[self.says, &prose(size.saturating_sub(self.says.len()))].concat());
        let others = (1..count).map(|n| one(if n % 2 == 0 { user } else { model }, &prose(size)));
        [first].into_iter().chain(others).collect::<Vec<_>>().join(",")
    }

    fn around(&self, model: &str, tools: &str, system: &str, talk: usize) -> String {
        let stream = if self.stream { ",\"stream\":true" } else { "" };
        match self.dialect {
            Dialect::Anthropic => {
                let system = if system.is_empty() {
                    String::new()
                } else {
                    format!(r#""system":[{{"type":"text","text":"{system}","cache_control":{{"type":"ephemeral"}}}}],"#)
                };
                let turns = self.turns(talk, "user", "assistant", |role, text| {
                    format!(r#"{{"role":"{role}","content":[{{"type":"text","text":"{text}"}}]}}"#)
                });
                format!(r#"{{"model":"{model}","max_tokens":1024,{system}{tools}"messages":[{turns}]{stream}}}"#)
            }
            Dialect::Chat => {
                let system = if system.is_empty() {
                    String::new()
                } else {
                    format!(r#"{{"role":"system","content":"{system}"}},"#)
                };
                let turns = self.turns(talk, "user", "assistant", |role, text| {
                    format!(r#"{{"role":"{role}","content":"{text}"}}"#)
                });
                let usage = if self.stream { r#","stream_options":{"include_usage":true}"# } else { "" };
                format!(r#"{{"model":"{model}",{tools}"messages":[{system}{turns}],"max_tokens":1024{stream}{usage}}}"#)
            }
            Dialect::Responses => {
                let turns = self.turns(talk, "input", "output", |role, text| {
                    let speaker = if role == "input" { "user" } else { "assistant" };
                    format!(
                        r#"{{"type":"message","role":"{speaker}","content":[{{"type":"{role}_text","text":"{text}"}}]}}"#
                    )
                });
                format!(
                    r#"{{"model":"{model}","instructions":"{system}",{tools}"input":[{turns}],"store":false{stream}}}"#
                )
            }
            Dialect::Gemini => {
                let turns = self.turns(talk, "user", "model", |role, text| {
                    format!(r#"{{"role":"{role}","parts":[{{"text":"{text}"}}]}}"#)
                });
                format!(
                    r#"{{"systemInstruction":{{"parts":[{{"text":"{system}"}}]}},{tools}"contents":[{turns}],"generationConfig":{{"maxOutputTokens":1024}}}}"#
                )
            }
        }
    }
}

/// JSON string content of exactly so many bytes: words, and now and then a quote, a tab and an escaped line end, as code has.
fn prose(bytes: usize) -> String {
    const LINE: &str =
        r#"the function returns early when \"state\" is empty;\n\tlet next = queue.pop_front() else { return };\n"#;
    let mut text = String::with_capacity(bytes + LINE.len());
    while text.len() + LINE.len() <= bytes {
        text.push_str(LINE);
    }
    // Escapes must not be cut, so the rest has none.
    while text.len() < bytes {
        text.push_str(if bytes - text.len() > 3 { "and " } else { "." });
    }
    text
}

/// Tools with schemas, as the field of a request, with its comma.
fn tools_of(dialect: Dialect, bytes: usize) -> String {
    let mut tools = String::new();
    let mut n = 0;
    while tools.len() < bytes {
        n += 1;
        let schema = format!(
            r#"{{"type":"object","properties":{{"path":{{"type":"string","description":"{}"}},"offset":{{"type":"integer"}},"limit":{{"type":"integer","minimum":1}}}},"required":["path"]}}"#,
            prose(200)
        );
        let about = prose(900);
        let comma = if tools.is_empty() { "" } else { "," };
        // Writing to a string cannot fail.
        let _ = match dialect {
            Dialect::Anthropic => {
                write!(tools, r#"{comma}{{"name":"tool_{n}","description":"{about}","input_schema":{schema}}}"#)
            }
            Dialect::Chat => write!(
                tools,
                r#"{comma}{{"type":"function","function":{{"name":"tool_{n}","description":"{about}","parameters":{schema}}}}}"#
            ),
            Dialect::Responses => write!(
                tools,
                r#"{comma}{{"type":"function","name":"tool_{n}","description":"{about}","parameters":{schema}}}"#
            ),
            Dialect::Gemini => {
                write!(tools, r#"{comma}{{"name":"tool_{n}","description":"{about}","parameters":{schema}}}"#)
            }
        };
    }
    match (dialect, tools.is_empty()) {
        (_, true) => String::new(),
        (Dialect::Gemini, false) => format!(r#""tools":[{{"functionDeclarations":[{tools}]}}],"#),
        (_, false) => format!(r#""tools":[{tools}],"#),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addressee() -> Addressee {
        Addressee {
            authority: "127.0.0.1:1".into(),
            prefix: "/t".into(),
            key: Some("tk-1".into()),
            model: "m".into(),
            headers: vec!["x-a: b".into()],
        }
    }

    #[test]
    fn bodies_are_json_of_the_size_that_was_asked_for() {
        for dialect in Dialect::ALL {
            for stream in [false, true] {
                for bytes in [400, 2_000, 20_000, 200_000, 1_000_000] {
                    let kind = Kind { says: "Be still. ", ..Kind::plain("k", dialect, bytes, stream) };
                    let body = kind.body("m");
                    assert_eq!(body.matches("Be still. ").count(), 1);
                    let name = format!("{} {bytes} {stream}", dialect.name());
                    let json: serde_json::Value = serde_json::from_str(&body).unwrap_or_else(|e| panic!("{name}: {e}"));
                    assert!(body.len().abs_diff(bytes) * 10 < bytes, "{name}: {}", body.len());
                    let streams = json.get("stream").is_some_and(|s| s == true);
                    assert_eq!(streams, stream && dialect != Dialect::Gemini, "{name}");
                    assert_eq!(json.get("tools").is_some(), bytes > 4096, "{name}");
                    assert_eq!(body, kind.body("m"), "{name}: not the same again");
                }
            }
        }
    }

    #[track_caller]
    fn shows(dialect: Dialect, line: &str, key: &str) {
        let request = Kind::plain("k", dialect, 400, true).render(&addressee(), false);
        let text = String::from_utf8(request).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with(line), "{head}");
        assert!(head.contains(key) && head.contains("\r\nx-a: b"), "{head}");
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{head}");
    }

    #[test]
    fn each_dialect_has_its_path_and_its_place_for_the_key() {
        shows(Dialect::Anthropic, "POST /t/v1/messages HTTP/1.1\r\n", "\r\nx-api-key: tk-1");
        shows(Dialect::Chat, "POST /t/v1/chat/completions HTTP/1.1\r\n", "\r\nauthorization: Bearer tk-1");
        shows(Dialect::Responses, "POST /t/v1/responses HTTP/1.1\r\n", "\r\nauthorization: Bearer tk-1");
        shows(
            Dialect::Gemini,
            "POST /t/v1beta/models/m:streamGenerateContent?alt=sse HTTP/1.1\r\n",
            "\r\nx-goog-api-key: tk-1",
        );
    }
}
