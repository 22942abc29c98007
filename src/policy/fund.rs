//! Reserve what the call may cost at its plan's dearest target. Refused here: 402, 429, 403 for what nobody can price, 400 for
//! what goes round in circles.
//!
//! Invariant: what leaves here is held on every account that the call is charged to, or on none. A call that no account bounds
//! is not reckoned at all.

use std::sync::Arc;

use super::Core;
use super::gate::Decide;
use crate::call::{Call, Funded, Held, Owed, Plan, Planned, Trail};
use crate::error::{Error, LimitError};
use crate::ledger::account::{Now, Wanted};
use crate::ledger::bound::Bound;
use crate::ledger::receipt::{Receipt, reserve};
use crate::ledger::repeat::Sighting;
use crate::money::Pico;
use crate::price::{Priced, Rates, Reach};
use crate::protocol::peek::Terms;
use crate::protocol::usage::Tier;
use crate::telemetry::clock;

/// Bytes of a request for each token of its prompt, as a rule of thumb.
const BYTES_PER_TOKEN: u64 = 4;
/// Tokens that an answer usually has, as a rule of thumb.
const USUAL_OUTPUT: u64 = 1_024;
/// Tokens that an answer may have where neither the request nor the price list says.
const MOST_OUTPUT: u64 = 128 * 1024;
/// Tokens that a prompt may have which is not all in the request, where the price list does not say.
const MOST_INPUT: u64 = 1 << 20;

/// Uses of a tool of the provider's in one answer, where the request does not bound them.
const MOST_USES: u32 = 64;

/// See the module.
#[derive(Debug, Clone)]
pub struct Fund(pub Arc<Core>);

impl Decide<Planned> for Fund {
    type Out = Funded;

    fn decide(&self, planned: Planned) -> Result<Funded, Error> {
        let Planned { trail, call, held, plan } = planned;
        let ledger = &self.0.ledger;
        let since_epoch = clock::since_epoch();
        let now = ledger.at(trail.at, since_epoch);
        let payers = call.rules.payers(call.key);
        let sighting = self.sighting(&trail, &call, &held, now)?;
        let fare = call.rules.fare(plan.route);
        let agent = payers.agents.as_ref().and_then(|agents| agents[call.agent.index()].as_ref());
        let at = u64::try_from(now.unix).unwrap_or_default();
        let rates = if call.endpoint.is_charged() { rates(&call, &plan, 0, at).cloned() } else { None };
        let accounts = || payers.accounts.iter().chain(agent).chain(&fare.account);
        let (receipt, hold) = match accounts().next() {
            None => (Receipt::free(now), Pico::ZERO),
            Some(_) => {
                let budgeted = payers.budgeted || fare.budgeted || agent.is_some_and(|account| account.has_budget());
                let thought = match call.endpoint.is_charged() {
                    true => thought(&call, &plan, held.body.len() as u64, at, budgeted)?,
                    false => Wanted { cost: Bound::exact(0), input: Bound::exact(0), output: Bound::exact(0) },
                };
                let wanted = fare.class(ledger, call.agent).wanted(thought);
                (reserve(accounts(), now, &wanted)?, Pico::new(wanted.cost.usual))
            }
        };
        let first = plan.order.first().copied();
        let millis = u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX);
        let owed = Owed { receipt, hold, rates, millis, first, sighting };
        Ok(Funded { trail, call, held, plan, owed })
    }
}

impl Fund {
    /// What the loop guard sees of a call.
    fn sighting(&self, trail: &Trail, call: &Call, held: &Held, now: Now) -> Result<Option<Sighting>, LimitError> {
        let most = call.rules.limits.repeats;
        let Some(session) = trail.session.get().filter(|_| most > 0 && call.endpoint.is_charged()) else {
            return Ok(None);
        };
        let whose = (call.rules.payers(call.key).key.number(), &**session);
        let body = || {
            let mut sum = crc32fast::Hasher::new();
            held.body.iter().for_each(|frame| sum.update(frame));
            sum.finalize()
        };
        let seen = self.0.ledger.repeats.look(whose, held.body.len() as u64, now.mono, most, body);
        seen.map(Some).map_err(|times| LimitError::Repeated { times })
    }
}

/// The prices of the plan's `n`th target.
fn rates<'c>(call: &'c Call, plan: &Plan, n: usize, at: u64) -> Option<&'c Arc<Rates>> {
    plan.target(call, n)?.rates(&call.model, plan.captured.as_deref().unwrap_or_default(), at)
}

/// What a call may take, and what is thought usual, by what it says of itself.
fn thought(call: &Call, plan: &Plan, bytes: u64, at: u64, budgeted: bool) -> Result<Wanted, LimitError> {
    let terms = &call.terms;
    // A token is at least a byte of text. What is no text has tokens by its size in pixels, pages or seconds; what is only
    // named, and what a tool brings, is not in the request at all: such a prompt may be as long as the model takes.
    let is_all_text = call.refers.is_empty() && !terms.media && terms.tools.is_empty();
    let mut most = Wanted { cost: Bound::exact(0), input: Bound::exact(0), output: Bound::exact(0) };
    for n in 0..plan.order.len() {
        let rates = rates(call, plan, n, at);
        if budgeted && rates.is_none() {
            return Err(LimitError::Unpriced { what: call.model.clone(), tool: false });
        }
        let facts = rates.map(|rates| &rates.facts);
        let context = facts.and_then(|facts| facts.context).unwrap_or(MOST_INPUT);
        let input = if is_all_text { bytes } else { bytes.max(context) };
        let output = call.max_output.or_else(|| facts.and_then(|facts| facts.max_output)).unwrap_or(MOST_OUTPUT);
        let (input, output) = (
            Bound::guess(bytes / BYTES_PER_TOKEN, input),
            Bound::guess(USUAL_OUTPUT, output.saturating_mul(call.answers.into())),
        );
        if let Some(rates) = rates {
            let [least, dearest] = reach(terms);
            let tools = tools(call, rates, at, budgeted)?;
            let ceiling = rates.ceiling(input.ceiling, output.ceiling, dearest, at).saturating_add(tools).pico();
            let usual = rates.ceiling(input.usual, output.usual, least, at).pico();
            let cost = Bound::guess(usual, ceiling);
            if cost.ceiling > most.cost.ceiling {
                most.cost = cost;
            }
        }
        most.input = if input.ceiling > most.input.ceiling { input } else { most.input };
        most.output = if output.ceiling > most.output.ceiling { output } else { most.output };
    }
    Ok(most)
}

/// The price classes in which the call will be answered: usually, and at dearest. What it leaves to the account may be any.
const fn reach(terms: &Terms) -> [Reach; 2] {
    let Terms { tier, fast, us, .. } = *terms;
    [
        Reach { priority: matches!(tier, Tier::Priority), fast, us: matches!(us, Some(true)) },
        Reach {
            priority: !matches!(tier, Tier::Standard | Tier::Flex | Tier::Batch),
            fast,
            us: !matches!(us, Some(false)),
        },
    ]
}

/// The most that the provider's own tools may cost beside tokens.
fn tools(call: &Call, rates: &Rates, at: u64, budgeted: bool) -> Result<Pico, LimitError> {
    if call.terms.tools.is_empty() {
        return Ok(Pico::ZERO);
    }
    let Priced { cost, gaps } = rates.cost(&call.terms.tools.usage(MOST_USES), at);
    match gaps.names().next() {
        Some(tool) if budgeted => Err(LimitError::Unpriced { what: tool.into(), tool: true }),
        _ => Ok(cost),
    }
}
