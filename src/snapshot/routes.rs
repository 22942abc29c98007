//! Model names -> targets.
//!
//! Invariant: an exact name (or alias) wins over a pattern; of two patterns the one with more literal characters wins, and
//! of two equals the one written first.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::price::{Book, Rates};
use crate::protocol::Dialect;
use crate::provider::Provider;
use crate::telemetry::metrics::RouteSeries;

/// The model table.
#[derive(Debug, Default)]
pub struct Routes {
    /// By dialect: name or alias -> index into `routes`.
    pub exact: [HashMap<Box<str>, u32>; 4],
    /// By dialect, most specific first.
    pub patterns: [Vec<(Pattern, u32)>; 4],
    /// All routes.
    pub routes: Vec<Route>,
    /// The one whose targets are asked for what they keep, by no model's name.
    pub keepers: Option<u32>,
    /// Where unmetered calls go.
    pub unmetered: Option<Unmetered>,
}

/// Where unmetered calls go: one route with every provider, since what one has made is there, whoever gets what is new.
#[derive(Debug, Clone, Copy)]
pub struct Unmetered {
    /// Its index.
    pub route: u32,
    /// By [`Vendor`](crate::protocol::unmetered::Vendor): the target that gets what names nothing that was made before.
    pub places: [Option<u16>; 3],
}

/// Where the calls for one configured model name go.
#[derive(Debug)]
pub struct Route {
    /// The configured name (a pattern stays a pattern): bounded, so it may be a label.
    pub label: Arc<str>,
    /// Aliases, for listings.
    pub aliases: Vec<Box<str>>,
    /// In the order in which they are tried.
    pub targets: Vec<Arc<Target>>,
}

impl Routes {
    /// The exact names that a dialect may ask for, in the order of the configuration.
    pub fn names(&self, dialect: Dialect) -> impl Iterator<Item = &str> {
        let known = &self.exact[dialect.index()];
        let all = self.routes.iter().flat_map(|r| std::iter::once(&*r.label).chain(r.aliases.iter().map(|a| &**a)));
        all.filter(|name| known.contains_key(*name))
    }
}

/// One provider and the name under which it knows the model.
#[derive(Debug)]
pub struct Target {
    /// Who answers.
    pub provider: Arc<Provider>,
    /// What it is asked for.
    pub model: UpstreamModel,
    /// Counters, bound when the rules were compiled.
    pub series: Arc<RouteSeries>,
    /// Room at the provider, where that is limited.
    pub places: Option<Places>,
    /// What it costs.
    pub tariff: Tariff,
}

/// What a target's model costs.
#[derive(Debug)]
pub enum Tariff {
    /// Nobody says: its calls are unpriced.
    Unknown,
    /// One model: what may hold for it, in the order in which it is asked.
    One(Box<[Arc<Rates>]>),
    /// Many models: found by name.
    ByName(Arc<Book>),
}

impl Tariff {
    /// The tariff of one model.
    #[must_use]
    pub fn of(book: &Book, model: &str) -> Self {
        let candidates: Box<[_]> = book.candidates(model).cloned().collect();
        if candidates.is_empty() { Self::Unknown } else { Self::One(candidates) }
    }
}

impl Target {
    /// What a call costs that asked for `asked`, whose pattern's `*` stood for `captured`, at a moment (seconds since 1970,
    /// UTC). `None`: nobody says, so the call is unpriced.
    #[must_use]
    pub fn rates(&self, asked: &str, captured: &str, at: u64) -> Option<&Arc<Rates>> {
        let book = match &self.tariff {
            Tariff::Unknown => return None,
            Tariff::One(candidates) => return candidates.iter().find(|rates| rates.starts() <= at),
            Tariff::ByName(book) => book,
        };
        match &self.model {
            UpstreamModel::Same => book.find(asked, at),
            UpstreamModel::Named(name) => book.find(name, at),
            UpstreamModel::Captured { prefix, suffix } if prefix.is_empty() && suffix.is_empty() => {
                book.find(captured, at)
            }
            UpstreamModel::Captured { prefix, suffix } => book.find(&format!("{prefix}{captured}{suffix}"), at),
        }
    }

    /// Whether it is asked for another name than `asked`, whose pattern's `*` stood for `captured`.
    #[must_use]
    pub fn renames(&self, asked: &str, captured: &str) -> bool {
        match &self.model {
            UpstreamModel::Same => false,
            UpstreamModel::Named(name) => **name != *asked,
            UpstreamModel::Captured { prefix, suffix } => {
                asked.strip_prefix(&**prefix).and_then(|rest| rest.strip_suffix(&**suffix)) != Some(captured)
            }
        }
    }
}

/// Room at a provider.
#[derive(Debug)]
pub struct Places {
    /// Calls under way at one time, over all cores.
    pub limit: u64,
    /// Calls under way; the same counter in every generation of the rules.
    pub taken: Arc<AtomicU64>,
}

impl Places {
    /// Room for one more call, if there is.
    #[must_use]
    pub fn take(&self) -> Option<Place> {
        let place = Place(Arc::clone(&self.taken));
        // Counted first and given back on drop, so that two cannot take the last one.
        (self.taken.fetch_add(1, Relaxed) < self.limit).then_some(place)
    }
}

/// Room that one call takes up, until it is dropped.
#[derive(Debug)]
pub struct Place(Arc<AtomicU64>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// The model name that goes upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpstreamModel {
    /// The name that the client sent.
    Same,
    /// Another name.
    Named(Box<str>),
    /// What the pattern's `*` stood for, between two texts.
    Captured {
        /// In front of it.
        prefix: Box<str>,
        /// Behind it.
        suffix: Box<str>,
    },
}

/// A name with at most one `*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    /// In front of the `*`, or the whole name.
    pub prefix: Box<str>,
    /// Behind the `*`; `None` where there is none and the name must be equal.
    pub suffix: Option<Box<str>>,
}

impl Pattern {
    /// Reads a name. `None` if it has more than one `*`.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        match name.split_once('*') {
            None => Some(Self { prefix: name.into(), suffix: None }),
            Some((_, suffix)) if suffix.contains('*') => None,
            Some((prefix, suffix)) => Some(Self { prefix: prefix.into(), suffix: Some(suffix.into()) }),
        }
    }

    /// How many bytes of a name it fixes: the more, the more specific.
    #[must_use]
    pub fn literals(&self) -> usize {
        self.prefix.len() + self.suffix.as_deref().map_or(0, str::len)
    }

    /// What the `*` stands for in `name` (empty where the pattern has none), if the pattern matches.
    #[must_use]
    pub fn capture<'n>(&self, name: &'n str) -> Option<&'n str> {
        match &self.suffix {
            None => (*name == *self.prefix).then_some(""),
            Some(suffix) => name.strip_prefix(&*self.prefix)?.strip_suffix(&**suffix),
        }
    }
}

/// A route and what its pattern's `*` stood for.
#[derive(Debug, Clone, Copy)]
pub struct Found<'s, 'n> {
    /// The route.
    pub route: &'s Route,
    /// What the `*` stood for; empty for an exact name.
    pub captured: &'n str,
}

impl Routes {
    /// Gives a name of a dialect to the route of that index. Keep names apart: of two equal ones, one is lost.
    pub fn name(&mut self, dialect: Dialect, name: Pattern, route: u32) {
        let d = dialect.index();
        if name.suffix.is_none() {
            self.exact[d].insert(name.prefix, route);
            return;
        }
        // Behind its equals, so that the one written first wins.
        let place = self.patterns[d].partition_point(|(other, _)| other.literals() >= name.literals());
        self.patterns[d].insert(place, (name, route));
    }

    /// Where a model goes.
    #[must_use]
    pub fn find<'n>(&self, dialect: Dialect, model: &'n str) -> Option<Found<'_, 'n>> {
        let (route, captured) = self.index(dialect, model)?;
        Some(Found { route: &self.routes[route as usize], captured })
    }

    /// The index of the route that a model takes, and what its pattern's `*` stands for.
    #[must_use]
    pub fn index<'n>(&self, dialect: Dialect, model: &'n str) -> Option<(u32, &'n str)> {
        let d = dialect.index();
        if let Some(&route) = self.exact[d].get(model) {
            return Some((route, ""));
        }
        self.patterns[d].iter().find_map(|(pattern, route)| Some((*route, pattern.capture(model)?)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_pattern_captures_what_its_star_stands_for() {
        for (pattern, name, want) in [
            ("gpt-5", "gpt-5", Some("")),
            ("gpt-5", "gpt-5.5", None),
            ("claude-*", "claude-opus-4", Some("opus-4")),
            ("claude-*", "claude-", Some("")),
            ("claude-*", "claude", None),
            ("*-mini", "o4-mini", Some("o4")),
            ("a*a", "a", None),
            ("a*a", "aa", Some("")),
            ("*", "", Some("")),
            ("openrouter/*", "openrouter/x/y", Some("x/y")),
        ] {
            assert_eq!(Pattern::parse(pattern).unwrap().capture(name), want, "{pattern} {name}");
        }
        assert_eq!(Pattern::parse("a*b*"), None);
    }

    #[test]
    fn the_most_specific_name_wins_and_of_equals_the_first() {
        let mut routes = Routes::default();
        for (i, name) in (0..).zip(["*", "gpt-*", "*-mini", "gpt-5*", "*5-mini", "gpt-5-mini"]) {
            routes.name(Dialect::Chat, Pattern::parse(name).unwrap(), i);
        }
        for (model, want) in [
            ("gpt-5-mini", Some((5, ""))),
            ("gpt-5", Some((3, ""))),
            ("gpt-4-mini", Some((2, "gpt-4"))),
            ("gpt-15-mini", Some((4, "gpt-1"))),
            ("o3", Some((0, "o3"))),
        ] {
            assert_eq!(routes.index(Dialect::Chat, model), want, "{model}");
        }
        assert_eq!(routes.index(Dialect::Gemini, "gpt-5"), None);

        let mut equals = Routes::default();
        equals.name(Dialect::Chat, Pattern::parse("ab*").unwrap(), 0);
        equals.name(Dialect::Chat, Pattern::parse("*bc").unwrap(), 1);
        assert_eq!(equals.index(Dialect::Chat, "abc"), Some((0, "c")));
    }

    proptest! {
        #[test]
        fn capture_puts_the_name_together_again(prefix in "[a-c]{0,3}", suffix in "[a-c]{0,3}", name in "[a-c]{0,8}") {
            let pattern = Pattern::parse(&format!("{prefix}*{suffix}")).unwrap();
            match pattern.capture(&name) {
                Some(captured) => prop_assert_eq!(format!("{prefix}{captured}{suffix}"), name),
                None => prop_assert!(
                    !name.starts_with(&prefix) || !name.ends_with(&suffix) || name.len() < prefix.len() + suffix.len()
                ),
            }
        }
    }
}
