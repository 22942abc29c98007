//! `[unmetered]` and `allow_unmetered` -> which provider gets the calls that cannot be counted.
//!
//! Invariant: such a call goes where the configuration says, or where nothing else could be meant: to the only provider that
//! speaks its API. Where several do and none is named, it is refused, and `check` says so.

use std::sync::Arc;

use super::Context;
use super::provider::Providers;
use crate::config::schema;
use crate::config::units::At;
use crate::protocol::unmetered::Vendor;
use crate::provider::Provider;
use crate::snapshot::routes::{Places, Route, Target, Tariff, Unmetered, UpstreamModel};
use crate::snapshot::{KeyId, Snapshot};
use crate::telemetry::metrics::Metrics;

/// What unmetered calls count under, in the place of a model.
const LABEL: &str = "unmetered";

/// What is decided, before its counters are bound.
pub struct Chosen {
    /// All that there are: what one has made is there, whichever gets what is new.
    providers: Vec<Arc<Provider>>,
    /// By vendor.
    names: [Option<Arc<str>>; 3],
    keys: Vec<KeyId>,
}

impl Chosen {
    /// Adds the route, and lets the keys use it.
    pub fn bind(self, snapshot: &mut Snapshot, metrics: &Metrics) {
        let Self { providers, names, keys } = self;
        let places = names.map(|name| {
            let place = providers.iter().position(|provider| Some(&provider.name) == name.as_ref())?;
            u16::try_from(place).ok()
        });
        let routes = &mut snapshot.routes;
        let Ok(route) = u32::try_from(routes.routes.len()) else { return };
        let target = |provider: Arc<Provider>| {
            let series = metrics.route(&provider.name, &LABEL.into());
            let places = provider.max_inflight.map(|limit| Places { limit, taken: metrics.calls_at(&provider.name) });
            Arc::new(Target { provider, model: UpstreamModel::Same, series, places, tariff: Tariff::Unknown })
        };
        let targets = providers.into_iter().map(target).collect();
        // No name can be empty, so nobody reaches it by one.
        routes.routes.push(Route { label: Arc::from(""), aliases: Vec::new(), targets });
        routes.unmetered = Some(Unmetered { route, places });
        for id in keys {
            snapshot.keyring.allow_unmetered(id, |key| metrics.unmetered(key.team.as_ref().unwrap_or(&Arc::from(""))));
        }
    }
}

pub fn unmetered(
    cx: &mut Context<'_>,
    given: &schema::Unmetered,
    keys: &[At<schema::Key>],
    providers: &mut Providers<'_>,
) -> Option<Chosen> {
    let schema::Unmetered { anthropic, openai, gemini } = given;
    let named = [anthropic, openai, gemini];
    let allowed: Vec<(usize, usize)> = keys
        .iter()
        .enumerate()
        .filter_map(|(i, key)| key.allow_unmetered.as_ref().filter(|allow| allow.value).map(|allow| (i, allow.at)))
        .collect();
    let names = [0, 1, 2].map(|i| chosen(cx, Vendor::ALL[i], named[i].as_ref(), &allowed, providers));
    let Some((first, at)) = allowed.first().copied() else {
        if let Some(name) = named.into_iter().flatten().next() {
            cx.warn(name.at, "unmetered".into(), "no [[key]] says allow_unmetered = true, so nothing goes there");
        }
        return None;
    };
    if names.iter().all(Option::is_none) && named.into_iter().flatten().next().is_none() {
        let message = "there is no provider to which such calls could go";
        cx.error(at, format!("key[{first}].allow_unmetered"), message)
            .hint("name one: [unmetered] with anthropic, openai or gemini = \"NAME OF A PROVIDER\"");
    }
    for (i, at) in &allowed {
        if !keys[*i].models.is_empty() {
            let message = "`models` does not bind these calls: what they name is not looked into";
            cx.warn(*at, format!("key[{i}].allow_unmetered"), message)
                .hint("leave one of the two out, or give the key's owner two keys");
        }
    }
    let keys = allowed.iter().filter_map(|(i, _)| u32::try_from(*i).ok()).map(KeyId).collect();
    Some(Chosen { providers: providers.all(), names, keys })
}

/// The provider for one vendor's calls.
fn chosen(
    cx: &mut Context<'_>,
    vendor: Vendor,
    named: Option<&At<String>>,
    allowed: &[(usize, usize)],
    providers: &mut Providers<'_>,
) -> Option<Arc<str>> {
    let field = format!("unmetered.{}", vendor.name());
    let dialect = vendor.dialect();
    let Some(named) = named else {
        return match (&providers.speaking(dialect)[..], allowed) {
            ([only], _) => Some(Arc::clone(&only.name)),
            ([first, .., last], [(key, at), ..]) => {
                let (vendor, dialect) = (vendor.name(), dialect.name());
                let message = format!(
                    "{} and {} both speak {dialect}: which of them gets {vendor}'s unmetered calls is not said, so they \
                     are refused",
                    first.name, last.name
                );
                let hint = format!("[unmetered] {vendor} = \"{}\"", first.name);
                cx.warn(*at, format!("key[{key}].allow_unmetered"), message).hint(hint);
                None
            }
            _ => None,
        };
    };
    let provider = match providers.find(named) {
        Ok(provider) => provider?,
        Err(near) => {
            let hint = near.map(|near| format!("did you mean {near}?"));
            cx.error(named.at, field, format!("no [[provider]] is named {}", **named)).hint = hint;
            return None;
        }
    };
    if !provider.dialects.contains(dialect) {
        cx.error(named.at, field, format!("provider {} does not speak {}", provider.name, dialect.name()));
        return None;
    }
    Some(Arc::clone(&provider.name))
}
