//! Model names -> targets.
//!
//! Invariant: an exact name (or alias) wins over a pattern; of two patterns the one with more literal characters wins, and
//! of two equals the one written first.

use std::collections::HashMap;
use std::sync::Arc;

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

/// One provider and the name under which it knows the model.
#[derive(Debug)]
pub struct Target {
    /// Who answers.
    pub provider: Arc<Provider>,
    /// What it is asked for.
    pub model: UpstreamModel,
    /// Counters, bound when the rules were compiled.
    pub series: Arc<RouteSeries>,
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
    /// Where a model goes.
    #[must_use]
    pub fn find<'n>(&self, dialect: Dialect, model: &'n str) -> Option<Found<'_, 'n>> {
        let d = dialect.index();
        if let Some(&i) = self.exact[d].get(model) {
            return Some(Found { route: &self.routes[i as usize], captured: "" });
        }
        self.patterns[d].iter().find_map(|(pattern, i)| {
            let captured = pattern.capture(model)?;
            Some(Found { route: &self.routes[*i as usize], captured })
        })
    }
}
