//! All families as a page in Prometheus' text format (<https://prometheus.io/docs/instrumenting/exposition_formats/>).
//!
//! Counts of cores are added up here, when somebody looks, and nowhere else.

use std::fmt::Write;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, PoisonError};

use super::*;

impl Metrics {
    /// All families in Prometheus' text format, version 0.0.4.
    #[must_use]
    pub fn render(&self) -> String {
        let mut page = Page::default();
        self.render_process(&mut page);
        self.render_refusals(&mut page);
        page.family("tollgate_provider_calls", "gauge", "Calls under way at providers with a max_inflight.");
        for (provider, calls) in &*self.limited.lock().unwrap_or_else(PoisonError::into_inner) {
            page.line("tollgate_provider_calls", &[("provider", provider)], calls.load(Relaxed));
        }
        self.render_unmetered(&mut page);
        self.teams.render("team", &mut page);
        self.owners.render("owner", &mut page);
        let routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner).clone();
        render_routes(&mut page, &routes);
        page.text
    }

    fn render_process(&self, page: &mut Page) {
        page.family("tollgate_build_info", "gauge", "Always 1; the label says which version runs.");
        page.line("tollgate_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
        let gauge = |f: fn(&CoreCells) -> &AtomicI64| self.cores.iter().map(|c| f(c).load(Relaxed)).sum::<i64>().max(0);
        let count = |f: fn(&CoreCells) -> &AtomicU64| self.cores.iter().map(|c| f(c).load(Relaxed)).sum::<u64>();
        page.single(
            "tollgate_open_files_limit",
            "gauge",
            "Files that this process may have open (RLIMIT_NOFILE).",
            self.open_files_limit.load(Relaxed),
        );
        page.single("tollgate_client_connections", "gauge", "Open connections of clients.", gauge(|c| &c.connections));
        page.single(
            "tollgate_client_connections_accepted_total",
            "counter",
            "Connections accepted from clients.",
            count(|c| &c.accepted),
        );
        page.single(
            "tollgate_tls_handshakes_failed_total",
            "counter",
            "Connections of clients on which no TLS was agreed, or whose proxy did not name them.",
            count(|c| &c.handshakes_failed),
        );
        page.single("tollgate_requests_in_flight", "gauge", "Requests under way.", gauge(|c| &c.in_flight));
        page.single(
            "tollgate_upstream_connects_total",
            "counter",
            "Connections opened to providers.",
            count(|c| &c.upstream_connects),
        );
        page.single(
            "tollgate_upstream_reuses_total",
            "counter",
            "Calls on a provider connection that had served before.",
            count(|c| &c.upstream_reuses),
        );
        page.single(
            "tollgate_upstream_idle_connections",
            "gauge",
            "Idle connections to providers.",
            gauge(|c| &c.upstream_idle),
        );
        page.single(
            "tollgate_access_log_dropped_total",
            "counter",
            "Lines of the access log that were dropped because its file could not keep up.",
            count(|c| &c.log_dropped),
        );
        page.family(
            "tollgate_calls_settled_total",
            "counter",
            "Calls that were settled, by whether there was an answer.",
        );
        page.line("tollgate_calls_settled_total", &[("answered", "yes")], count(|c| &c.settled));
        page.line("tollgate_calls_settled_total", &[("answered", "no")], count(|c| &c.interrupted));
        page.single("tollgate_calls_unsettled", "gauge", "Calls that are not settled yet.", gauge(|c| &c.debts));
        page.single(
            "tollgate_budget_overshoot_micro_dollars_total",
            "counter",
            "Money by which caps of budgets were passed, in millionths of a dollar.",
            Pico::new(count(|c| &c.overshoot)).micro(),
        );
        page.single(
            "tollgate_budget_warnings_total",
            "counter",
            "Budgets of which the part to warn at was reached.",
            count(|c| &c.budget_warnings),
        );
        self.render_state(page);
    }

    /// What outlives a request.
    fn render_state(&self, page: &mut Page) {
        page.single(
            "tollgate_owned_ids",
            "gauge",
            "Ids that providers made and whose owner is known.",
            self.owned.known.load(Relaxed),
        );
        page.single(
            "tollgate_owned_ids_failures_total",
            "counter",
            "Times that the file of owned ids could not be read or written.",
            self.owned.failures.load(Relaxed),
        );
        let Webhooks { pending, delivered, failed, dropped, attempts_failed } = &self.webhooks;
        const MESSAGES: &str = "tollgate_webhook_messages_total";
        page.family(MESSAGES, "counter", "Messages to the webhook that nothing more is done for, by how they ended.");
        for (end, count) in [("delivered", delivered), ("failed", failed), ("dropped", dropped)] {
            page.line(MESSAGES, &[("result", end)], count.load(Relaxed));
        }
        page.single(
            "tollgate_webhook_messages_pending",
            "gauge",
            "Messages to the webhook that are not delivered yet.",
            pending.load(Relaxed).max(0),
        );
        page.single(
            "tollgate_webhook_attempts_failed_total",
            "counter",
            "Attempts to deliver a message that the webhook did not take.",
            attempts_failed.load(Relaxed),
        );
        let r = &self.reload;
        page.single("tollgate_config_generation", "gauge", "Generation of the rules.", r.generation.load(Relaxed));
        page.single(
            "tollgate_config_last_success_timestamp_seconds",
            "gauge",
            "When rules were last published, in seconds since 1970.",
            r.last_success.load(Relaxed),
        );
        page.family("tollgate_config_reloads_total", "counter", "Reloads by result; a failed one keeps the old rules.");
        page.line("tollgate_config_reloads_total", &[("result", "ok")], r.succeeded.load(Relaxed));
        page.line("tollgate_config_reloads_total", &[("result", "failed")], r.failed.load(Relaxed));
    }

    fn render_unmetered(&self, page: &mut Page) {
        const NAME: &str = "tollgate_unmetered_calls_total";
        page.family(NAME, "counter", "Calls that were passed on though they cannot be counted in tokens.");
        for series in &*self.unmetered.lock().unwrap_or_else(PoisonError::into_inner) {
            for (agent, calls) in Agent::ALL.iter().zip(&series.calls) {
                for (number, calls) in calls.iter().enumerate().filter(|(_, calls)| calls.load(Relaxed) > 0) {
                    let labels = [("team", &*series.team), ("agent", agent.name()), ("service", service(number))];
                    page.line(NAME, &labels, calls.load(Relaxed));
                }
            }
        }
    }

    fn render_refusals(&self, page: &mut Page) {
        page.family("tollgate_refusals_total", "counter", "Requests that were answered by a refusal, by reason.");
        for kind in Kind::ALL {
            for agent in Agent::ALL {
                let n: u64 = self.cores.iter().map(|c| c.refusals[kind.index()][agent.index()].load(Relaxed)).sum();
                if n > 0 {
                    let labels = [("reason", kind.label()), ("agent", agent.name())];
                    page.line("tollgate_refusals_total", &labels, n);
                }
            }
        }
        const LIMITED: &str = "tollgate_limit_refusals_total";
        page.family(
            LIMITED,
            "counter",
            "Requests that a limit or a budget refused, by whose it is and what it bounds.",
        );
        for level in Level::ALL {
            for (bound, label) in BOUNDS.iter().enumerate() {
                let n: u64 = self.cores.iter().map(|c| c.limited[level.index()][bound].load(Relaxed)).sum();
                if n > 0 {
                    page.line(LIMITED, &[("level", level.label()), ("bound", label)], n);
                }
            }
        }
    }
}

/// One target as one agent uses it in one dialect.
struct Voice<'r> {
    labels: [(&'static str, &'r str); 4],
    cores: &'r [Cells],
}

impl Voice<'_> {
    fn sum(&self, cell: impl Fn(&Cells) -> &AtomicU64) -> u64 {
        self.cores.iter().map(|c| cell(c).load(Relaxed)).sum()
    }
}

fn render_routes(page: &mut Page, routes: &[Arc<RouteSeries>]) {
    let mut voices = Vec::new();
    for route in routes {
        for (i, cells) in route.voices.iter().enumerate() {
            let Some(cores) = cells.get() else { continue };
            let agent = Agent::ALL[i / Dialect::ALL.len()].name();
            let dialect = Dialect::ALL[i % Dialect::ALL.len()].name();
            let labels =
                [("agent", agent), ("dialect", dialect), ("provider", &*route.provider), ("model", &*route.model)];
            voices.push(Voice { labels, cores });
        }
    }
    let table = |page: &mut Page, name: &str, help: &str, label: &'static str, values: &[&str], cell: CellAt| {
        page.family(name, "counter", help);
        for voice in &voices {
            for (i, value) in values.iter().enumerate() {
                let n = voice.sum(|c| cell(c, i));
                if n > 0 {
                    let [a, b, c, d] = voice.labels;
                    page.line(name, &[a, b, c, d, (label, value)], n);
                }
            }
        }
    };
    table(page, "tollgate_requests_total", "Answered calls, by class of status.", "status", &STATUSES, |c, i| {
        &c.requests[i]
    });
    table(page, "tollgate_answers_total", "Answers by how they ended.", "outcome", &OUTCOMES, |c, i| &c.outcomes[i]);
    table(
        page,
        "tollgate_tokens_total",
        "Tokens by kind, as providers counted them. input excludes the cache kinds; output includes reasoning.",
        "kind",
        &TOKEN_KINDS,
        |c, i| &c.tokens[i],
    );
    let single = |page: &mut Page, name: &str, help: &str, cell: fn(&Cells) -> &AtomicU64| {
        page.family(name, "counter", help);
        for voice in &voices {
            page.line(name, &voice.labels, voice.sum(cell));
        }
    };
    single(page, "tollgate_attempts_failed_total", "Attempts at a target that brought no answer.", |c| {
        &c.failed_attempts
    });
    single(page, "tollgate_unmetered_answers_total", "Answers of status 200 without a token count.", |c| &c.unmetered);
    single(page, "tollgate_estimated_answers_total", "Answers whose usage is our estimate.", |c| &c.estimated);
    single(page, "tollgate_unpriced_answers_total", "Answers of which something has no price.", |c| &c.unpriced);
    page.family("tollgate_cost_micro_dollars_total", "counter", "What answers cost, in millionths of a dollar.");
    for voice in &voices {
        let micro = spend::micro(voice.cores.iter().map(|c| u128::from(c.cost.load(Relaxed))).sum());
        page.line("tollgate_cost_micro_dollars_total", &voice.labels, micro);
    }
    histograms(
        page,
        &voices,
        "tollgate_overhead_seconds",
        "The gateway's own share: from a request's last byte to its sending, and the time that answers were held back.",
        |c| &c.overhead,
    );
    histograms(
        page,
        &voices,
        "tollgate_first_content_seconds",
        "From a request's head to its answer's first content.",
        |c| &c.first_content,
    );
    histograms(page, &voices, "tollgate_duration_seconds", "From a request's head to its answer's end.", |c| {
        &c.duration
    });
}

fn histograms<S: Scale + 'static>(
    page: &mut Page,
    voices: &[Voice<'_>],
    name: &str,
    help: &str,
    of: fn(&Cells) -> &Histogram<S>,
) {
    page.family(name, "histogram", help);
    for voice in voices {
        Histogram::render(voice.cores.iter().map(of), name, &voice.labels, &mut page.text);
    }
}

type CellAt = fn(&Cells, usize) -> &AtomicU64;

/// A page in Prometheus' text format.
#[derive(Default)]
pub(super) struct Page {
    text: String,
}

impl Page {
    pub fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn single(&mut self, name: &str, kind: &str, help: &str, value: impl std::fmt::Display) {
        self.family(name, kind, help);
        let _ = writeln!(self.text, "{name} {value}");
    }

    pub fn line(&mut self, name: &str, labels: &[(&str, &str)], value: u64) {
        self.text.push_str(name);
        write_labels(&mut self.text, labels);
        let _ = writeln!(self.text, " {value}");
    }
}

/// `{a="b",…}`, with the escapes of the text format.
pub fn write_labels(out: &mut String, labels: &[(&str, &str)]) {
    let mut separator = '{';
    for (name, value) in labels {
        out.push(separator);
        separator = ',';
        let _ = write!(out, "{name}=\"");
        for c in value.chars() {
            match c {
                '\\' => out.push_str("\\\\"),
                '"' => out.push_str("\\\""),
                '\n' => out.push_str("\\n"),
                c => out.push(c),
            }
        }
        out.push('"');
    }
    out.push('}');
}
