//! The prices that hold at one provider: the operator's, the vendor's list, the operator's fallback; in this order.
//!
//! Invariant: of what the operator wrote an exact name wins over a pattern, a longer pattern over a shorter one, and of equals
//! the first; what begins later does not hold before. Who may be billed as which vendor is decided elsewhere.

use std::collections::HashMap;
use std::sync::Arc;

use super::kind::Tools;
use super::rates::{Facts, Period, Rates};
use super::table::{Table, Vendor};

/// A model's name, or a pattern with one `*`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Wanted {
    /// In front of the `*`, or the whole name.
    pub prefix: Box<str>,
    /// Behind it; `None` for a name.
    pub suffix: Option<Box<str>>,
}

impl Wanted {
    /// Every name.
    #[must_use]
    pub fn any() -> Self {
        Self { prefix: "".into(), suffix: Some("".into()) }
    }

    /// Whether a name is meant.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        match &self.suffix {
            None => *name == *self.prefix,
            Some(suffix) => name.strip_prefix(&*self.prefix).is_some_and(|rest| rest.ends_with(&**suffix)),
        }
    }

    /// How many bytes of a name it fixes; a name fixes all.
    fn literals(&self) -> usize {
        self.suffix.as_ref().map_or(usize::MAX, |suffix| self.prefix.len() + suffix.len())
    }
}

/// What the operator says of some models.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Which.
    pub wanted: Wanted,
    /// Only of those that nothing else prices.
    pub fallback: bool,
    /// What they cost.
    pub rates: Arc<Rates>,
}

/// What the operator says of the tools of some models.
#[derive(Debug, Clone)]
pub struct Overlay {
    /// Which.
    pub wanted: Wanted,
    /// What their tools cost; where it is silent, what else is said holds.
    pub tools: Tools,
}

/// The prices that hold at one provider.
#[derive(Debug, Default)]
pub struct Book {
    vendor: Option<Vendor>,
    entries: Vec<Entry>,
    fallback: Vec<Entry>,
    exact: HashMap<Box<str>, Arc<Rates>>,
    /// Rows of the vendor's list whose tools the operator prices otherwise, by the row's name.
    overlaid: HashMap<Box<str>, Arc<Rates>>,
}

impl Book {
    /// The prices at a provider that is billed as `vendor` bills. Entries in the order of the configuration.
    #[must_use]
    pub fn new(vendor: Option<Vendor>, entries: &[Entry], overlays: &[Overlay]) -> Self {
        let mut book = Self { vendor, ..Self::default() };
        for entry in entries {
            match (entry.fallback, &entry.wanted.suffix) {
                (true, _) => book.fallback.push(entry.clone()),
                (false, Some(_)) => book.entries.push(entry.clone()),
                (false, None) => {
                    let name = &entry.wanted.prefix;
                    // The operator says what a model costs, not what it can: that stays as listed.
                    let listed = vendor.and_then(|vendor| Table::shipped().find(vendor, name));
                    let known = listed.and_then(|listed| entry.rates.with_abilities_of(listed)).map(Arc::new);
                    book.exact.entry(name.clone()).or_insert(known.unwrap_or_else(|| Arc::clone(&entry.rates)));
                }
            }
        }
        // Stable: of equals the first stays first.
        book.entries.sort_by_key(|entry| std::cmp::Reverse(entry.wanted.literals()));
        book.fallback.sort_by_key(|entry| std::cmp::Reverse(entry.wanted.literals()));
        if overlays.is_empty() {
            return book;
        }
        for (_, rates) in Table::shipped().rows().filter(|(v, _)| Some(*v) == vendor) {
            let tools = overlay(overlays, &rates.model);
            if let Some(rates) = rates.with_tools(&tools, |said| tools.or(&said)) {
                book.overlaid.insert(rates.model.clone(), Arc::new(rates));
            }
        }
        book
    }

    /// All that may hold for a model, whenever: what comes first holds from when it starts.
    pub fn candidates(&self, model: &str) -> impl Iterator<Item = &Arc<Rates>> {
        let listed = self.vendor.and_then(|vendor| Table::shipped().find(vendor, model));
        let listed = listed.map(|rates| self.overlaid.get(&rates.model).unwrap_or(rates));
        let exact = self.exact.get(model);
        [exact, first(&self.entries, model), listed, first(&self.fallback, model)].into_iter().flatten()
    }

    /// What a model costs at a moment (seconds since 1970, UTC); `None` where nothing says.
    #[must_use]
    pub fn find(&self, model: &str, at: u64) -> Option<&Arc<Rates>> {
        self.candidates(model).find(|rates| rates.starts() <= at)
    }

    /// As whose list price a model is known here.
    #[must_use]
    pub const fn vendor(&self) -> Option<Vendor> {
        self.vendor
    }
}

fn first<'b>(entries: &'b [Entry], model: &str) -> Option<&'b Arc<Rates>> {
    entries.iter().find(|entry| entry.wanted.matches(model)).map(|entry| &entry.rates)
}

/// What the most specific of them says of each tool.
#[must_use]
pub fn overlay(overlays: &[Overlay], model: &str) -> Tools {
    let mut matching: Vec<_> = overlays.iter().filter(|overlay| overlay.wanted.matches(model)).collect();
    matching.sort_by_key(|overlay| std::cmp::Reverse(overlay.wanted.literals()));
    matching.iter().fold(Tools::default(), |tools, overlay| tools.or(&overlay.tools))
}

impl Rates {
    /// The same of a model that can do what `other` can. `None` if it cannot be.
    fn with_abilities_of(&self, other: &Self) -> Option<Self> {
        let Facts { as_of, source, .. } = &self.facts;
        let facts = Facts { as_of: as_of.clone(), source: source.clone(), ..other.facts.clone() };
        let periods = self.periods().iter().map(|period| Period::new(period.from, period.row.clone()).ok());
        Self::new(&self.model, Arc::clone(&self.version), facts, periods.collect::<Option<_>>()?)
    }

    /// The same with the tools' prices that `tools` makes of what is said of them. What the operator says of tools alone
    /// (`overlay`) is part of which prices these are. `None` if nothing changes.
    #[must_use]
    pub fn with_tools(&self, overlay: &Tools, tools: impl Fn(Tools) -> Tools) -> Option<Self> {
        let mut changed = false;
        let periods = self.periods().iter().map(|period| {
            let mut row = period.row.clone();
            row.tools = tools(row.tools);
            changed |= row.tools != period.row.tools;
            Period::new(period.from, row).ok()
        });
        let periods = periods.collect::<Option<_>>()?;
        let version = match overlay.is_empty() {
            true => Arc::clone(&self.version),
            false => {
                format!("{}+tools-{:08x}", self.version, crc32fast::hash(format!("{overlay:?}").as_bytes())).into()
            }
        };
        let rates = Self::new(&self.model, version, self.facts.clone(), periods)?;
        changed.then_some(rates)
    }
}
