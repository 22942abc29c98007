//! What calls of a kind (an agent, a model) really cost, so that `learned` holds something sensible.
//!
//! A [`Class`] remembers the last [`WINDOW`] whole calls of its kind and says of them: the mean; the usual cost, which
//! ninety-nine of a hundred do not pass; and the rare one, which is the line through the 84th and the 98th percentile, drawn on
//! (on a logarithmic scale, where costs of agents are bell-shaped) to where one of thirty thousand is. What was really seen is never
//! forgotten for it. Until [`ENOUGH`] are known, the caller's rule of thumb is held if that is more, and the rare one is the ceiling.
//!
//! Invariant: bounded, in calls per class and in classes; integers only. Calls that were cut, interrupted or refused say nothing
//! about what such a call costs, and must not be told to it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use super::account::{Tokens, Wanted};
use super::bound::Bound;
use crate::agent::Agent;
use crate::money::Pico;

/// Calls that a class remembers.
const WINDOW: usize = 1_024;
/// Calls after which a class knows something.
const ENOUGH: u32 = 32;
/// Classes; further kinds share one.
const CLASSES: usize = 4_096;
/// How often a class that knows enough looks anew, in calls.
const EVERY: u64 = 64;
/// Buckets per doubling: amounts are known to an eighth, rounded up.
const FINE: u32 = 8;
const BUCKETS: usize = 64 * FINE as usize;

type ByKind = HashMap<(Agent, Arc<str>), Arc<Class>>;

/// All classes; they outlive every reload.
#[derive(Debug)]
pub struct Estimator {
    classes: Mutex<ByKind>,
    /// For what finds no place.
    rest: Arc<Class>,
}

impl Default for Estimator {
    fn default() -> Self {
        Self { classes: Mutex::default(), rest: Arc::new(Class::default()) }
    }
}

impl Estimator {
    /// The class of an agent's calls of a model (the name at the provider). For whoever compiles rules, not for every call.
    #[must_use]
    pub fn class(&self, agent: Agent, model: &Arc<str>) -> Arc<Class> {
        let mut classes = self.classes.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (agent, Arc::clone(model));
        if let Some(known) = classes.get(&key) {
            return Arc::clone(known);
        }
        if classes.len() >= CLASSES {
            return Arc::clone(&self.rest);
        }
        Arc::clone(classes.entry(key).or_default())
    }
}

/// See the module.
#[derive(Debug, Default)]
pub struct Class {
    known: AtomicU32,
    cost: Figures,
    input: Figures,
    output: Figures,
    past: Mutex<Option<Box<Past>>>,
}

/// What is known of one thing, for readers that do not wait.
#[derive(Debug, Default)]
struct Figures {
    mean: AtomicU64,
    usual: AtomicU64,
    rare: AtomicU64,
}

impl Class {
    /// What a call of this kind will want, given what is thought of it without knowing its kind.
    #[must_use]
    pub fn wanted(&self, thought: Wanted) -> Wanted {
        let known = self.known.load(Relaxed);
        if known == 0 {
            return thought;
        }
        let enough = known >= ENOUGH;
        Wanted {
            cost: self.cost.bound(thought.cost, enough),
            input: self.input.bound(thought.input, enough),
            output: self.output.bound(thought.output, enough),
        }
    }

    /// A whole call of this kind has cost so much.
    pub fn learn(&self, cost: Pico, tokens: Tokens) {
        let mut guard = self.past.lock().unwrap_or_else(PoisonError::into_inner);
        let past = guard.get_or_insert_default();
        past.push([cost.pico(), tokens.input, tokens.output]);
        let known = u32::try_from(past.calls.len()).unwrap_or(u32::MAX);
        if known <= ENOUGH || past.count.is_multiple_of(EVERY) {
            for (figures, of) in [&self.cost, &self.input, &self.output].into_iter().zip(&past.of) {
                figures.look(of, known.into());
            }
        }
        self.known.store(known, Relaxed);
    }
}

impl Figures {
    fn bound(&self, thought: Bound, enough: bool) -> Bound {
        let Bound { usual, ceiling, .. } = thought;
        let mean = self.mean.load(Relaxed).min(ceiling);
        if !enough {
            // The first few tell the mean, roughly, and nothing about what is rare.
            return Bound {
                mean,
                usual: usual.max(mean.saturating_mul(2)).min(ceiling),
                rare: ceiling,
                ceiling,
                learnt: false,
            };
        }
        let (usual, rare) = (self.usual.load(Relaxed).min(ceiling), self.rare.load(Relaxed).min(ceiling));
        Bound { mean, usual, rare, ceiling, learnt: true }
    }

    fn look(&self, of: &Amounts, known: u64) {
        let [most, high, middle, usual] = of.buckets([0, known / 50, known * 16 / 100, known / 100]);
        // Standard deviations: the 84th percentile is at 0.994, the 98th at 2.054, and the rare one is looked for at 4: 1.836
        // times as far again.
        let beyond = high + (high - middle) * 235 / 128;
        self.mean.store(u64::try_from(of.sum / u128::from(known.max(1))).unwrap_or(u64::MAX), Relaxed);
        self.usual.store(upper(usual), Relaxed);
        self.rare.store(upper(beyond.max(most)), Relaxed);
    }
}

/// The last calls, and how often each amount is among them.
#[derive(Debug, Default)]
struct Past {
    calls: Vec<[u64; 3]>,
    count: u64,
    of: [Amounts; 3],
}

impl Past {
    fn push(&mut self, call: [u64; 3]) {
        let place = usize::try_from(self.count % WINDOW as u64).unwrap_or_default();
        self.count += 1;
        if self.calls.len() < WINDOW {
            self.calls.push(call);
        } else {
            let gone = std::mem::replace(&mut self.calls[place], call);
            self.of.iter_mut().zip(gone).for_each(|(of, amount)| of.remove(amount));
        }
        self.of.iter_mut().zip(call).for_each(|(of, amount)| of.add(amount));
    }
}

/// How often each amount is there, in buckets that are an eighth of their doubling wide.
#[derive(Debug)]
struct Amounts {
    sum: u128,
    counts: Box<[u16; BUCKETS]>,
}

impl Default for Amounts {
    fn default() -> Self {
        Self { sum: 0, counts: Box::new([0; BUCKETS]) }
    }
}

impl Amounts {
    fn add(&mut self, amount: u64) {
        self.sum += u128::from(amount);
        self.counts[bucket(amount)] += 1;
    }

    fn remove(&mut self, amount: u64) {
        self.sum -= u128::from(amount);
        self.counts[bucket(amount)] -= 1;
    }

    /// The buckets above which no more than so many amounts lie, each.
    fn buckets<const N: usize>(&self, above: [u64; N]) -> [usize; N] {
        let mut found = [0; N];
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate().rev().filter(|(_, count)| **count > 0) {
            seen += u64::from(*count);
            for (found, above) in found.iter_mut().zip(above) {
                if *found == 0 && seen > above {
                    *found = bucket;
                }
            }
        }
        found
    }
}

/// The bucket of an amount.
const fn bucket(amount: u64) -> usize {
    if amount < FINE as u64 {
        return amount as usize;
    }
    let doubling = amount.ilog2();
    let part = (amount >> (doubling - FINE.ilog2())) as usize - FINE as usize;
    (doubling - FINE.ilog2() + 1) as usize * FINE as usize + part
}

/// The largest amount in a bucket.
const fn upper(bucket: usize) -> u64 {
    let (doubling, part) = (bucket / FINE as usize, bucket % FINE as usize);
    if doubling == 0 {
        return part as u64;
    }
    if doubling > 61 {
        return u64::MAX;
    }
    let next = (FINE as u128 + part as u128 + 1) << (doubling - 1);
    (next - 1) as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn thought(usual: u64, ceiling: u64) -> Wanted {
        let bound = Bound::guess(usual, ceiling);
        Wanted { cost: bound, input: bound, output: bound }
    }

    fn class(costs: impl Iterator<Item = u64>) -> Class {
        let class = Class::default();
        costs.for_each(|cost| class.learn(Pico::new(cost), Tokens { input: cost / 2, output: 3 }));
        class
    }

    #[test]
    fn nothing_known_says_what_is_thought() {
        let given = thought(10, 1_000);
        assert_eq!(Class::default().wanted(given), given);
    }

    #[test]
    fn a_few_calls_tell_the_mean_and_nothing_rare() {
        let cost = class([100, 300].into_iter()).wanted(thought(10, 1_000)).cost;
        assert_eq!(cost, Bound { mean: 200, usual: 400, rare: 1_000, ceiling: 1_000, learnt: false });
    }

    #[test]
    fn what_is_learnt_never_passes_the_ceiling() {
        let class = class((0..2_000).map(|n| n * 1_000));
        let cost = class.wanted(thought(10, 5_000)).cost;
        assert_eq!(cost, Bound { mean: 5_000, usual: 5_000, rare: 5_000, ceiling: 5_000, learnt: true });
    }

    #[test]
    fn equal_calls_are_known_to_an_eighth() {
        let wanted = class(std::iter::repeat_n(1_000_000, 40)).wanted(thought(10, u64::MAX));
        let eighth = 1_000_000..1_125_000;
        assert!(wanted.cost.mean == 1_000_000 && wanted.cost.learnt, "{:?}", wanted.cost);
        assert!(eighth.contains(&wanted.cost.usual) && eighth.contains(&wanted.cost.rare), "{:?}", wanted.cost);
        assert_eq!((wanted.output.usual, wanted.input.mean), (3, 500_000));
    }

    #[test]
    fn the_past_is_forgotten_after_a_window() {
        let calls = std::iter::repeat_n(1_000_000_000, 31 * EVERY as usize).chain(std::iter::repeat_n(1_000, WINDOW));
        let cost = class(calls).wanted(thought(10, u64::MAX)).cost;
        assert!(cost.mean == 1_000 && cost.rare < 1_125, "{cost:?}");
    }

    #[test]
    fn kinds_without_a_place_share_one() {
        let estimator = Estimator::default();
        let names: Vec<Arc<str>> = (0..=CLASSES).map(|n| n.to_string().into()).collect();
        let classes: Vec<_> = names.iter().map(|name| estimator.class(Agent::Codex, name)).collect();
        assert!(Arc::ptr_eq(&classes[5], &estimator.class(Agent::Codex, &names[5])), "found again");
        assert!(Arc::ptr_eq(&classes[CLASSES], &estimator.class(Agent::Other, &names[5])), "no place");
        assert!(!Arc::ptr_eq(&classes[CLASSES], &classes[0]));
    }

    proptest! {
        #[test]
        fn a_bucket_holds_its_amounts_to_an_eighth(amount in prop_oneof![0_u64..100, any::<u64>()]) {
            let top = upper(bucket(amount));
            prop_assert!(top >= amount && top - amount <= amount / 8, "{amount} in {} up to {top}", bucket(amount));
            prop_assert!(bucket(amount) < BUCKETS);
        }

        #[test]
        fn percentiles_are_those_of_the_sorted_calls(costs in proptest::collection::vec(1_u64..1 << 50, 100..1_500)) {
            let class = class(costs.iter().copied());
            let mut last = costs[costs.len().saturating_sub(WINDOW)..].to_vec();
            class.cost.look(&class.past.lock().unwrap().as_ref().unwrap().of[0], last.len() as u64);
            last.sort_unstable();
            let exact = last[last.len() - 1 - last.len() / 100];
            let cost = class.wanted(thought(1, u64::MAX)).cost;
            prop_assert!(cost.usual >= exact && cost.usual - exact <= exact / 8, "{} for {exact}", cost.usual);
            prop_assert!(cost.rare >= *last.last().unwrap());
        }
    }
}
