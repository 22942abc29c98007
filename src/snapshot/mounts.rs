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
    /// All mounts, longest prefix first.
    pub fn iter(&self) -> impl Iterator<Item = &Mount> {
        self.mounts.iter()
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_segments_and_the_longest_prefix() {
        let mount = |prefix: &str| Mount { prefix: prefix.into(), agent: None, dialect: None };
        let mounts = Mounts::new(vec![mount("/t"), mount("/t/team-a"), mount("/codex")]);
        for (path, want) in [
            ("/t/team-a/v1/messages", Some(("/t/team-a", "/v1/messages"))),
            ("/t/team-ab/v1/messages", Some(("/t", "/team-ab/v1/messages"))),
            ("/codex/", Some(("/codex", "/"))),
            ("/codex", None),
            ("/codexes/v1", None),
            ("/v1/messages", None),
        ] {
            let found = mounts.find(path).map(|(mount, rest)| (&*mount.prefix, rest));
            assert_eq!(found, want, "{path}");
        }
    }
}
