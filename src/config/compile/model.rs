//! `[[model]]` -> the model table.
//!
//! Invariant: in each dialect a name or pattern is written once, so which rule a call takes does not depend on chance.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::price::Prices;
use super::provider::Providers;
use super::{Context, Entry, dialect, entries, name};
use crate::config::schema;
use crate::config::units::At;
use crate::price::Book;
use crate::protocol::Dialect;
use crate::provider::{DialectSet, Provider};
use crate::snapshot::routes::{Pattern, Places, Route, Routes, Target, Tariff, UpstreamModel};
use crate::telemetry::metrics::Metrics;

/// What calls for stored things count under, in the place of a model.
const STORED: &str = "stored";

/// The model table, before its counters are bound.
#[derive(Default)]
pub struct Models {
    routes: Routes,
    drafts: Vec<Draft>,
    /// By provider, the prices there.
    pub books: BTreeMap<Arc<str>, Arc<Book>>,
}

struct Draft {
    label: Arc<str>,
    aliases: Vec<Box<str>>,
    provider: Arc<Provider>,
    model: UpstreamModel,
    tariff: Tariff,
}

impl Models {
    /// Whether a rule serves this name in some dialect.
    pub fn serves(&self, model: &str) -> bool {
        Dialect::ALL.iter().any(|dialect| self.routes.index(*dialect, model).is_some())
    }

    /// The table.
    pub fn bind(self, metrics: &Metrics) -> Routes {
        let Self { mut routes, drafts, books: _ } = self;
        let mut keepers: Vec<Arc<Target>> = Vec::new();
        for Draft { provider, .. } in &drafts {
            let known = |keeper: &Arc<Target>| keeper.provider.name == provider.name;
            if provider.dialects.contains(Dialect::Responses) && !keepers.iter().any(known) {
                let series = metrics.route(&provider.name, &STORED.into());
                let (provider, model) = (Arc::clone(provider), UpstreamModel::Same);
                // No model works for these calls, and one of them (cancel) makes room.
                let tariff = Tariff::Unknown;
                keepers.push(Arc::new(Target { provider, model, series, places: None, tariff }));
            }
        }
        routes.routes.extend(drafts.into_iter().map(|Draft { label, aliases, provider, model, tariff }| {
            let series = metrics.route(&provider.name, &label);
            let places = provider.max_inflight.map(|limit| Places { limit, taken: metrics.calls_at(&provider.name) });
            Route { label, aliases, targets: vec![Arc::new(Target { provider, model, series, places, tariff })] }
        }));
        if !keepers.is_empty()
            && let Ok(place) = u32::try_from(routes.routes.len())
        {
            // No name can be empty, so nobody reaches it by one.
            routes.routes.push(Route { label: Arc::from(""), aliases: Vec::new(), targets: keepers });
            routes.keepers = Some(place);
        }
        routes
    }
}

pub fn models(
    cx: &mut Context<'_>,
    list: &[At<schema::Model>],
    mut providers: Providers<'_>,
    prices: &Prices,
) -> Models {
    let mut models = Models::default();
    let mut seen = HashMap::new();
    for (entry, model) in entries("model", list) {
        let Some((mut draft, dialects, names)) = compile(cx, entry, model, &mut providers) else { continue };
        let at = Arc::clone(&draft.provider.name);
        let book = models.books.entry(at).or_insert_with_key(|at| Arc::new(prices.book(at, providers.vendor(at))));
        draft.tariff = tariff(book, &draft.model, &model.name);
        let Ok(route) = u32::try_from(models.drafts.len()) else { break };
        models.drafts.push(draft);
        for (field, at, pattern, text) in names {
            let mut first = None;
            for dialect in dialects.iter() {
                match seen.entry((dialect, text)) {
                    std::collections::hash_map::Entry::Occupied(there) => first = Some((dialect, *there.get())),
                    std::collections::hash_map::Entry::Vacant(free) => {
                        free.insert(at);
                        models.routes.name(dialect, pattern.clone(), route);
                    }
                }
            }
            if let Some((dialect, first)) = first {
                let message =
                    format!("{text} is there already for {} calls, so this one would never be used", dialect.name());
                let hint = format!("the other one is on line {}; `dialects` can keep the two apart", cx.line(first));
                cx.error(at, entry.field(field), message).hint(hint);
            }
        }
    }
    if list.is_empty() {
        cx.warn(0, "model".into(), "there is no [[model]], so every call will be refused");
    }
    providers.warn_unused(cx);
    models
}

/// A name of a route: its field, its place, as a pattern and as text.
type Name<'s> = (String, usize, Pattern, &'s str);

fn compile<'s>(
    cx: &mut Context<'_>,
    entry: Entry,
    given: &'s At<schema::Model>,
    providers: &mut Providers<'_>,
) -> Option<(Draft, DialectSet, Vec<Name<'s>>)> {
    let schema::Model { name: written, aliases, provider, upstream_model, dialects, limits: _, budgets: _ } =
        &given.value;
    let mut names: Vec<Name<'s>> = Vec::with_capacity(1 + aliases.len());
    if let Some(pattern) = pattern(cx, entry, "name", written) {
        names.push(("name".into(), written.at, pattern, written));
    }
    let is_pattern = written.contains('*');
    for (i, alias) in aliases.iter().enumerate() {
        let field = format!("aliases[{i}]");
        let Some(pattern) = pattern(cx, entry, &field, alias) else { continue };
        if pattern.suffix.is_some() || is_pattern {
            cx.error(alias.at, entry.field(field), "neither an alias nor what it stands for may have a *")
                .hint("write another [[model]] for it");
            continue;
        }
        names.push((field, alias.at, pattern, alias));
    }
    let model = upstream(cx, entry, written, upstream_model.as_ref(), !aliases.is_empty());
    let provider = match providers.find(provider) {
        Ok(provider) => provider?,
        Err(near) => {
            let hint = near.map(|near| format!("did you mean {near}?"));
            let message = format!("no [[provider]] is named {}", **provider);
            cx.error(provider.at, entry.field("provider"), message).hint = hint;
            return None;
        }
    };
    let mut served = DialectSet::default();
    for (i, name) in dialects.iter().enumerate() {
        let dialect = dialect(name.value);
        if !provider.dialects.contains(dialect) {
            let message = format!("provider {} does not speak {}", provider.name, dialect.name());
            cx.error(name.at, entry.field(format_args!("dialects[{i}]")), message);
        }
        served = served.with(dialect);
    }
    if dialects.is_empty() {
        served = provider.dialects;
    }
    let aliases = aliases.iter().map(|alias| alias.as_str().into()).collect();
    let tariff = Tariff::Unknown;
    Some((Draft { label: written.as_str().into(), aliases, provider, model: model?, tariff }, served, names))
}

/// What the models of a route cost, looked up now where there is only one.
fn tariff(book: &Arc<Book>, model: &UpstreamModel, name: &str) -> Tariff {
    match model {
        UpstreamModel::Named(name) => Tariff::of(book, name),
        UpstreamModel::Same if !name.contains('*') => Tariff::of(book, name),
        UpstreamModel::Same | UpstreamModel::Captured { .. } => Tariff::ByName(Arc::clone(book)),
    }
}

fn pattern(cx: &mut Context<'_>, entry: Entry, field: &str, written: &At<String>) -> Option<Pattern> {
    name(cx, entry, field, written)?;
    let pattern = Pattern::parse(written);
    if pattern.is_none() {
        cx.error(written.at, entry.field(field), "it has more than one *").hint("one * stands for any text");
    }
    pattern
}

fn upstream(
    cx: &mut Context<'_>,
    entry: Entry,
    name: &At<String>,
    written: Option<&At<String>>,
    has_aliases: bool,
) -> Option<UpstreamModel> {
    let Some(written) = written else {
        // Called by an alias, the provider still wants the name.
        return Some(if has_aliases { UpstreamModel::Named(name.as_str().into()) } else { UpstreamModel::Same });
    };
    let pattern = pattern(cx, entry, "upstream_model", written)?;
    match pattern.suffix {
        None => Some(UpstreamModel::Named(pattern.prefix)),
        Some(suffix) if name.contains('*') => Some(UpstreamModel::Captured { prefix: pattern.prefix, suffix }),
        Some(_) => {
            cx.error(written.at, entry.field("upstream_model"), "its * stands for nothing: the name has none");
            None
        }
    }
}
