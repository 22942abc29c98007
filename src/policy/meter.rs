//! What a long answer costs while it passes: noted in the journal now and then, and held to the money that is free.
//!
//! Invariant: an event costs one comparison of two numbers. Only when so many bytes have passed that the answer may have come
//! near what is held for it, or is worth a note, is it reckoned what it has cost; then more is held, or the answer is cut.
//! So a call that nobody bounds is never cut, and one that is passes the last free money by what comes between two looks.
//! JSON answers tell what they cost only at their end, and so does hidden thought: neither is seen here. A prompt that the
//! provider has not counted yet is taken for one that it has cached, since most of an agent's is: nothing is cut for what it
//! may not have cost.

use std::sync::Arc;

use super::debt::Debt;
use crate::ledger::account::Tokens;
use crate::ledger::receipt::Stretch;
use crate::ledger::record::Progress;
use crate::price::{Reach, whole_input};
use crate::protocol::usage::Usage;
use crate::snapshot::routes::Target;

/// Bytes before the first look: shorter answers are not worth one.
const FIRST: u64 = 4 * 1024;
/// Between two looks at most, in bytes: as much as a crash may forget of an answer.
const LONGEST: u64 = 32 * 1024;
/// Between two looks at least, in tokens.
const SHORTEST: u64 = 48;
/// Between two notes at least, in bytes.
const NOTE: u64 = 16 * 1024;
/// Bytes of a stream that come with one token at least, where nothing has been counted yet.
const BYTES_PER_TOKEN: u64 = 4;

/// See the module.
#[derive(Debug)]
pub(super) struct Meter {
    /// Bytes at which to look.
    mark: u64,
    /// Bytes at which the next note is due.
    note: u64,
    /// What a token of the answer costs at most, in pico-dollars; 0: not looked up yet.
    token: u64,
}

impl Meter {
    /// For an answer about to pass. Only streams are looked at: nothing else can be cut, or lasts.
    pub(super) fn of(debt: &mut Debt, target: &Arc<Target>, stream: bool) -> Self {
        let wanted = stream && debt.is_recorded() && !(debt.is_free() && debt.core.journal.is_nowhere());
        if wanted {
            debt.answered_by(target);
        }
        Self { mark: if wanted { FIRST } else { u64::MAX }, note: FIRST, token: 0 }
    }

    /// Whether so many bytes are worth a look.
    pub(super) const fn is_due(&self, passed: u64) -> bool {
        passed >= self.mark
    }

    /// Looks. `false`: the last free money is used up, and the answer is to be cut.
    /// `told`: the provider has counted the prompt.
    pub(super) fn look(&mut self, passed: u64, usage: &Usage, told: bool, debt: &mut Debt) -> bool {
        self.mark = passed.saturating_add(LONGEST);
        let Some(owed) = &mut debt.owed else { return true };
        let Some(rates) = &owed.rates else { return true };
        let at = u64::try_from(owed.receipt.at().unix).unwrap_or_default();
        let (input, output) = (whole_input(usage), usage.output);
        if passed >= self.note {
            self.note = passed.saturating_add(NOTE);
            let cost = rates.cost(usage, at).cost;
            debt.core.journal.progress(debt.trail.id.number(), &Progress { cost, input, output });
            owed.receipt.note(cost, Tokens { input, output });
        }
        if owed.receipt.is_free() {
            return true;
        }
        let cost = match told {
            true => rates.cost(usage, at).cost,
            false => rates.cost(&Usage { input: 0, cache_read: input, ..*usage }, at).cost,
        };
        let Stretch::Until(reach) = owed.receipt.extend(cost) else { return false };
        if self.token == 0 {
            self.token = rates.ceiling(0, 1, Reach::STANDARD, at).pico().max(1);
        }
        // As dense as it has been, and an eighth more.
        let per_token = (passed / output.max(1)).max(BYTES_PER_TOKEN);
        let bytes = (reach.saturating_sub(cost).pico() / self.token).saturating_mul(per_token);
        self.mark = passed.saturating_add((bytes / 8 * 7).max(per_token.saturating_mul(SHORTEST)).min(LONGEST));
        true
    }
}
