//! What a person reads who has run into a limit or a budget: whose it is, how much it was, and when there is more.
//!
//! The rules are those of the [parent](super).

use std::time::Duration;

use super::super::shape::Writer;
use super::super::table::passes_soon;
use crate::error::limit::{BudgetSpent, Full, Level, LimitError, Measure, Period};
use crate::protocol::Dialect;

/// Without an end where a wait follows.
pub fn message(out: &mut Writer, dialect: Dialect, error: &LimitError) {
    match error {
        LimitError::Full(limit) => full(out, limit),
        LimitError::BudgetSpent(budget) => {
            spent(out, budget);
            if dialect == Dialect::Gemini {
                bare(out, budget.resets.as_ref().map(|(_, wait)| *wait));
            }
            return;
        }
        LimitError::Unpriced { what, tool } => {
            out.say(if *tool { "Tollgate: the tool " } else { "Tollgate: model " });
            out.quote(what);
            out.say(
                " has no price here, and this call would be paid from a budget. Use another one, or ask whoever runs this \
                 gateway to add a price.",
            );
        }
        LimitError::UsedUp => {
            out.say("Tollgate: the answer was cut off, for a budget was used up meanwhile.");
        }
        LimitError::Repeated { times } => {
            out.say("Tollgate: this session has sent the same request ");
            out.number(u64::from(*times));
            out.say(" times within a minute, so it looks like a loop. Change the request, or wait a minute.");
        }
    }
    if let LimitError::Full(limit) = error
        && dialect == Dialect::Gemini
        && !passes_soon(limit)
    {
        bare(out, limit.retry_after);
    }
}

fn whose(out: &mut Writer, level: Level, name: &str) {
    out.say(match level {
        Level::Key => "key ",
        Level::Owner => "",
        Level::Team => "team ",
        Level::Agent => "agent ",
        Level::Organisation => "organisation ",
        Level::Model => "model ",
    });
    out.quote(name);
}

fn full(out: &mut Writer, full: &Full) {
    let Full { level, name, measure, limit, left, wanted, window, retry_after, .. } = full;
    out.say("Tollgate: ");
    whose(out, *level, name);
    out.say(" may have ");
    out.number(*limit);
    out.say(match measure {
        Measure::Requests => " requests within ",
        Measure::InputTokens => " input tokens within ",
        Measure::OutputTokens => " output tokens within ",
        Measure::Tokens => " tokens within ",
        Measure::Concurrent => " calls under way at one time, and has them",
    });
    if *measure != Measure::Concurrent {
        out.span(window.as_secs());
        if *left == 0 {
            out.say(", and has had them");
        } else {
            out.say("; ");
            out.number(*left);
            out.say(" are left, and this call may need ");
            out.number(*wanted);
        }
    }
    match retry_after {
        Some(_) if passes_soon(full) => {}
        Some(wait) => {
            out.say(". It passes in ");
            out.span(wait.as_secs() + 1);
            out.say(".");
        }
        None => out.say(", which is more than ever passes. Ask for less, or ask whoever runs this gateway."),
    }
}

fn spent(out: &mut Writer, budget: &BudgetSpent) {
    let BudgetSpent { level, name, period, cap, left, wanted, resets } = budget;
    out.say("Tollgate: the budget of ");
    whose(out, *level, name);
    out.say(", ");
    out.dollars(*cap);
    match period {
        Period::Day => out.say(" a day"),
        Period::Week => out.say(" a week"),
        Period::Month => out.say(" a month"),
        Period::Total => out.say(" in all"),
        Period::Rolling(seconds) => {
            out.say(" within ");
            out.span(*seconds);
        }
    }
    if *left == 0 {
        out.say(", is used up.");
    } else {
        out.say(", has ");
        out.dollars(*left);
        out.say(" left, and this call may cost ");
        out.dollars(*wanted);
        out.say(".");
    }
    match (resets, period) {
        (Some((at, _)), Period::Rolling(_)) => {
            out.say(" Some of it is free again by ");
            out.text(at);
            out.say(".");
        }
        (Some((at, _)), _) => {
            out.say(" It starts anew at ");
            out.text(at);
            out.say(".");
        }
        (None, _) => out.say(" Ask whoever runs this gateway for more."),
    }
}

/// The end by which Gemini CLI knows that it need not try again, and prints the sentence and nothing else: a wait of more
/// than five minutes.
fn bare(out: &mut Writer, wait: Option<Duration>) {
    let seconds = wait.map_or(86_400, |wait| wait.as_secs() + 1);
    out.say(" Please retry in ");
    out.number(seconds.max(301));
    out.say("s.");
}
