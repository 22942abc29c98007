//! Every metric family, in one list; handles are bound ahead of the hot path.

use std::sync::Arc;

/// All families of this process.
#[derive(Debug, Default)]
pub struct Metrics {}

/// The counters of one target: provider and configured model name.
#[derive(Debug)]
pub struct RouteSeries {
    /// Label.
    pub provider: Arc<str>,
    /// Label.
    pub model: Arc<str>,
}

impl Metrics {
    /// The counters of a target; the same ones for the same labels, so that a reload does not reset them.
    #[must_use]
    pub fn route(&self, provider: &Arc<str>, model: &Arc<str>) -> Arc<RouteSeries> {
        Arc::new(RouteSeries { provider: Arc::clone(provider), model: Arc::clone(model) })
    }
}
