//! Mixed calls in four dialects: what each costs is reckoned here, from prices and counts of this test's own, and must be what
//! the ledger says, to the pico-dollar, wherever the provider told its usage; elsewhere it is flagged and near.
//!
//! `TOLLGATE_MIXED=1000` sets how many there are, `TOLLGATE_MIXED_SEED` where the dice begin.

mod answers;
mod bill;

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::client::{self, Asked};
use crate::gateway::{Gateway, KEY, Metrics, pico, usage};
use crate::provider::{Reply, Request, provider};
use crate::{Dice, number};
use answers::Text;
use bill::{Model, Used};

/// Calls under way at one time.
const CLIENTS: usize = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    Anthropic,
    Chat,
    Responses,
    Gemini,
}

/// How a call goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Whole,
    /// The provider refuses it.
    Refused(u16),
    /// The provider tells all but the usage.
    Silent,
    /// The provider's connection breaks within the content.
    Cut,
    /// The client leaves within the content.
    Left,
    /// The client leaves once all was told but for the very end.
    LeftLate,
}

/// A call, as only the test knows it.
#[derive(Debug, Clone)]
pub struct Case {
    pub number: usize,
    pub dialect: Dialect,
    pub model: &'static Model,
    pub stream: bool,
    /// A Chat stream that asks for its usage itself.
    pub asks: bool,
    pub fate: Fate,
    pub used: Used,
    /// What the model says, as far as it comes.
    pub said: Text,
    /// What it is asked.
    pub prompt: Text,
}

/// What must be recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    Exact(u64),
    Near(u64),
}

impl Case {
    fn roll(dice: &mut Dice, number: usize) -> Self {
        let dialect = [Dialect::Anthropic, Dialect::Chat, Dialect::Responses, Dialect::Gemini][dice.below(4) as usize];
        let model = bill::models(dialect)[dice.below(2) as usize];
        let stream = dice.below(3) > 0;
        let fate = match (dice.below(20), stream) {
            (0, _) => Fate::Refused(400),
            (1, _) => Fate::Refused(429),
            (2, _) => Fate::Refused(500),
            (3..=5, true) => Fate::Cut,
            (6..=7, true) => Fate::Left,
            (8..=9, true) => Fate::LeftLate,
            (10, _) if dialect != Dialect::Gemini => Fate::Silent,
            _ => Fate::Whole,
        };
        let (said, prompt) = (Text::roll(dice), Text::roll(dice));
        let used = Used::roll(dice, dialect, model);
        Self { number, dialect, model, stream, asks: dice.below(2) == 0, fate, used, said, prompt }
    }

    fn due(&self) -> Due {
        let Used { input, .. } = self.used;
        let output = self.said.tokens;
        match (self.fate, self.dialect) {
            (Fate::Refused(_), _) => Due::Exact(0),
            (Fate::Whole | Fate::LeftLate, _) => Due::Exact(self.model.cost(&self.used)),
            // What goes in is told at once.
            (Fate::Silent | Fate::Cut | Fate::Left, Dialect::Anthropic) if self.stream => {
                Due::Near(self.model.cost(&Used { output, reasoning: 0, web_search: 0, ..self.used }))
            }
            // Each chunk tells what was used so far.
            (_, Dialect::Gemini) => Due::Exact(self.model.cost(&self.used)),
            // Uses of tools are told apart from tokens, where they are.
            (_, dialect) => {
                let shown = dialect == Dialect::Responses && !self.stream;
                let web_search = if shown { self.used.web_search } else { 0 };
                Due::Near(self.model.cost(&Used { input: self.prompt.tokens, output, web_search, ..Used::NOTHING }))
            }
        }
        .at_least(input)
    }

    fn asked(&self) -> Asked {
        let (model, prompt, cap) = (self.model.name, format!("case {}: {}", self.number, self.prompt.text), 60_000);
        let stream = self.stream;
        let (path, body) = match self.dialect {
            Dialect::Anthropic => (
                "/v1/messages".to_owned(),
                json!({"model": model, "max_tokens": cap, "stream": stream, "messages": [{"role": "user", "content": prompt}]}),
            ),
            Dialect::Chat => {
                let mut body = json!({"model": model, "max_completion_tokens": cap, "stream": stream,
                    "messages": [{"role": "user", "content": prompt}]});
                if stream && self.asks {
                    body["stream_options"] = json!({"include_usage": true});
                }
                ("/v1/chat/completions".to_owned(), body)
            }
            Dialect::Responses => (
                "/v1/responses".to_owned(),
                json!({"model": model, "max_output_tokens": cap, "stream": stream, "store": false, "input": prompt}),
            ),
            Dialect::Gemini => (
                format!(
                    "/v1beta/models/{model}:{}",
                    if stream { "streamGenerateContent?alt=sse" } else { "generateContent" }
                ),
                json!({"contents": [{"role": "user", "parts": [{"text": prompt}]}],
                    "generationConfig": {"maxOutputTokens": cap}}),
            ),
        };
        let leaves_after = match self.fate {
            Fate::Left | Fate::LeftLate => Some(answers::visible(self)),
            _ => None,
        };
        let headers = vec![
            format!("authorization: Bearer {KEY}"),
            format!("x-tollgate-user: {}", self.number),
            "anthropic-version: 2023-06-01".to_owned(),
        ];
        Asked { path, headers, body: body.to_string(), leaves_after }
    }

    /// What the client must have seen, else the case is none.
    fn check(&self, answer: &client::Answer) {
        let (text, at) = (answer.text(), format!("{self:?}"));
        match self.fate {
            Fate::Refused(status) => assert_eq!(answer.status, status, "{at} {text}"),
            _ => assert_eq!(answer.status, 200, "{at} {text}"),
        }
        if self.fate == Fate::Whole {
            assert!(answer.whole, "{at} {text}");
            let chat = self.dialect == Dialect::Chat && self.stream;
            assert!(!chat || text.contains("prompt_tokens") == self.asks, "usage is for who asks; {at} {text}");
        }
    }
}

impl Due {
    /// A case that costs nothing proves nothing.
    fn at_least(self, input: u64) -> Self {
        assert!(input > 0);
        self
    }
}

fn tables(mock: SocketAddr) -> String {
    format!(
        "[[provider]]\nname = 'own'\nspeaks = ['anthropic', 'chat', 'responses', 'gemini']\nbase_url = 'http://{mock}'\n\
         [[provider]]\nname = 'anthropic'\nkind = 'anthropic'\nbase_url = 'http://{mock}'\ncredential = {{ env = 'KEY' }}\n\
         [[provider]]\nname = 'openai'\nkind = 'openai'\nbase_url = 'http://{mock}'\ncredential = {{ env = 'KEY' }}\n\
         [[provider]]\nname = 'gemini'\nkind = 'gemini'\nbase_url = 'http://{mock}'\ncredential = {{ env = 'KEY' }}\n\
         [[model]]\nname = 'own-model'\nprovider = 'own'\n\
         [[model]]\nname = 'claude-*'\nprovider = 'anthropic'\n\
         [[model]]\nname = 'gpt-*'\nprovider = 'openai'\n\
         [[model]]\nname = 'gemini-*'\nprovider = 'gemini'\n{}\
         [[key]]\nname = 'k'\nowner = 'o'\nteam = 't'\nsecret = {{ env = 'KEY' }}\n\
         budgets = [{{ dollars = 100000, per = 'total' }}]\nlimits = [{{ tokens = 1000000000, per = '1h' }}]\n",
        bill::own_prices()
    )
}

/// The provider, by the number in the prompt.
fn script(cases: &[Case], request: &Request) -> Reply {
    let body = String::from_utf8(request.body.clone()).unwrap();
    let number = body.split("case ").nth(1).unwrap().split(':').next().unwrap();
    let case = &cases[number.parse::<usize>().unwrap()];
    let asked = case.dialect != Dialect::Chat || !case.stream || body.contains("\"include_usage\":true");
    assert!(asked, "every metered Chat stream is asked for its usage: {body}");
    answers::reply(case)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_call_costs_what_it_costs() {
    let seed = number("TOLLGATE_MIXED_SEED", 1);
    let mut dice = Dice(seed);
    let count = usize::try_from(number("TOLLGATE_MIXED", 250)).unwrap();
    let cases: Arc<Vec<Case>> = Arc::new((0..count).map(|number| Case::roll(&mut dice, number)).collect());
    let known = Arc::clone(&cases);
    let mock = provider(move |request| script(&known, request)).await;
    let dir = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(dir.path(), &tables(mock)).await;
    let clients = (0..CLIENTS).map(|client| {
        let (cases, address) = (Arc::clone(&cases), gateway.address);
        tokio::spawn(async move {
            for case in cases.iter().skip(client).step_by(CLIENTS) {
                case.check(&client::ask(address, &case.asked()).await);
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
    let all = |metrics: &Metrics| metrics.sum("tollgate_store_records_total", &[]) == cases.len() as u64;
    let metrics = gateway.until(Duration::from_secs(5), all).await;
    println!("seed {seed}, {count} calls");
    records_are_as_due(dir.path(), &cases);
    sums_agree(dir.path());
    series_agree(dir.path(), &cases, &metrics);
}

fn records_are_as_due(folder: &Path, cases: &[Case]) {
    let usage = usage(folder, &["--by", "user"]);
    let rows: HashMap<&str, &Value> =
        usage["rows"].as_array().unwrap().iter().map(|row| (row["user"].as_str().unwrap(), row)).collect();
    let (mut wrong, mut exact, mut near, mut off, mut truth, mut told) = (Vec::new(), 0, 0, 0, 0, 0);
    for case in cases {
        let row = rows.get(case.number.to_string().as_str()).copied().unwrap_or(&Value::Null);
        if row.is_null() {
            wrong.push(format!("no record of {case:?}"));
            continue;
        }
        let (cost, estimated) = (pico(row, "cost_pico"), pico(row, "estimated_cost_pico"));
        let flagged = row["estimated"] == 1;
        let right = row["calls"] == 1
            && row["unpriced"] == 0
            && match case.due() {
                Due::Exact(due) => {
                    exact += 1;
                    (cost, estimated, flagged) == (due, 0, false)
                }
                Due::Near(due) => {
                    (near, truth, told) = (near + 1, truth + due, told + cost);
                    off += u64::from(cost.abs_diff(due) * 100 > due * 15);
                    flagged && estimated == cost && cost.abs_diff(due) * 100 <= due * 20
                }
            };
        if !right {
            let off = match case.due() {
                Due::Near(due) => format!("{:+.1} %", (cost as f64 / due as f64 - 1.0) * 100.0),
                Due::Exact(_) => String::new(),
            };
            let Case { number, dialect, stream, fate, used, .. } = case;
            let (said, prompt, model) = (case.said.name, case.prompt.name, case.model.name);
            wrong.push(format!(
                "{number} {dialect:?} {model} stream {stream} {fate:?}: due {:?}, cost {cost} {off}, estimated {estimated} \
                 {flagged}, said {said}, prompt {prompt}, {used:?}, {row}",
                case.due()
            ));
        }
    }
    println!(
        "{exact} exact, {near} estimated ({off} of them off by more than 15 %): {told} pico-dollars of {truth} in truth"
    );
    assert!(exact > near && near > 5, "{exact} {near}");
    // What stands in a prompt is told by its length alone, and prose has longer tokens than code.
    assert!(off * 20 <= near && u64::abs_diff(told, truth) * 100 <= truth * 3, "{off} of {near}, {told} of {truth}");
    assert!(wrong.is_empty(), "{} of {} wrong:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

/// Whatever usage is told apart by, it is the same.
fn sums_agree(folder: &Path) {
    let total = usage(folder, &["--by", "user"])["total"].clone();
    assert!(pico(&total, "estimated_cost_pico") > 0 && total["estimated"].as_u64() > Some(0));
    for by in ["agent", "team", "owner", "key", "model", "provider", "session", "day", "hour", "organisation"] {
        assert_eq!(usage(folder, &["--by", by])["total"], total, "by {by}");
    }
}

/// Each series of the cost is that of its calls.
fn series_agree(folder: &Path, cases: &[Case], metrics: &Metrics) {
    let usage = usage(folder, &["--by", "user"]);
    let mut due: BTreeMap<[&str; 3], u64> = BTreeMap::new();
    for row in usage["rows"].as_array().unwrap() {
        let case = &cases[row["user"].as_str().unwrap().parse::<usize>().unwrap()];
        *due.entry([case.dialect.label(), case.model.provider, case.model.route]).or_default() +=
            pico(row, "cost_pico");
    }
    for ([dialect, provider, model], cost) in due {
        let labels = [("dialect", dialect), ("provider", provider), ("model", model)];
        let micro = metrics.sum("tollgate_cost_micro_dollars_total", &labels);
        assert!(micro.abs_diff(cost / 1_000_000) <= 1, "{labels:?}: {micro} of {cost} pico-dollars");
    }
}

impl Dialect {
    const fn label(self) -> &'static str {
        match self {
            Self::Anthropic => "anthropic",
            Self::Chat => "chat",
            Self::Responses => "responses",
            Self::Gemini => "gemini",
        }
    }
}
