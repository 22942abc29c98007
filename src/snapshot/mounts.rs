//! Path prefixes that an operator gave a meaning: `[[mount]] prefix = "/codex"` names an agent or a dialect and is stripped.
//!
//! Invariant: a prefix matches whole path segments, and the longest one wins.

use crate::agent::Agent;
use crate::protocol::Dialect;

/// All mounts, longest prefix first.
#[derive(Debug, Default)]
pub struct Mounts {
    mounts: Vec<Mount>,
}

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Begins with `/`, does not end with one.
    pub prefix: Box<str>,
    /// Whoever comes this way is this agent.
    pub agent: Option<Agent>,
    /// Only this dialect is served here.
    pub dialect: Option<Dialect>,
}

impl Mounts {
    /// In any order.
    #[must_use]
    pub fn new(mut mounts: Vec<Mount>) -> Self {
        mounts.sort_by_key(|m| std::cmp::Reverse(m.prefix.len()));
        Self { mounts }
    }

    /// The mount that a path lies under, and the rest of the path (which begins with `/`).
    #[must_use]
    pub fn find<'p>(&self, path: &'p str) -> Option<(&Mount, &'p str)> {
        self.mounts.iter().find_map(|mount| {
            let rest = path.strip_prefix(&*mount.prefix)?;
            rest.starts_with('/').then_some((mount, rest))
        })
    }
}
