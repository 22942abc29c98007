//! Virtual keys: SHA-256 of a presented key -> the rules of that key.
//!
//! Invariant: no key is kept in clear; the time of a look-up depends neither on the number of keys nor on how much of a
//! presented key is right (the digest is looked up, and its first 8 bytes are the hash).

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use crate::agent::Agent;
use crate::snapshot::KeyId;
use crate::snapshot::routes::Pattern;
use crate::telemetry::access_log::Written;
use crate::telemetry::metrics::{Spender, UnmeteredSeries};

/// SHA-256 of a key.
pub type Digest = [u8; 32];

/// All virtual keys.
#[derive(Debug, Default)]
pub struct Keyring {
    by_digest: ByDigest<KeyId>,
    /// When the earlier keys of rotated ones stop. Apart, so that a look-up costs no more where nothing was rotated.
    earlier: ByDigest<Moment>,
    keys: Vec<Key>,
}

type ByDigest<V> = HashMap<Digest, V, BuildHasherDefault<FirstBytes>>;

/// Seconds since 1970, and the same as RFC 3339 text.
pub type Moment = (u64, Box<str>);

/// Whose a presented key is.
#[derive(Debug, Clone, Copy)]
pub struct Found<'k> {
    /// Its rules.
    pub id: KeyId,
    /// When it stops, if another has taken its place.
    pub until: Option<&'k Moment>,
}

/// The rules of one key.
#[derive(Debug)]
pub struct Key {
    /// As configured.
    pub name: Arc<str>,
    /// The developer it belongs to.
    pub owner: Option<Arc<str>>,
    /// The team it belongs to.
    pub team: Option<Arc<str>>,
    /// All three, as the access log has them.
    pub recorded: Written,
    /// The agents it is bound to; empty: any.
    pub agents: Vec<Agent>,
    /// The models it may use; empty: any that is configured.
    pub models: Vec<Pattern>,
    /// When it stops.
    pub expires: Option<Moment>,
    /// Where its calls that cannot be counted are numbered at least; `None`: it may make none.
    pub unmetered: Option<Arc<UnmeteredSeries>>,
    /// Where what its calls use is counted. `None` until counters are bound.
    pub spending: Option<Spending>,
}

/// Whose counters a key's calls count in.
#[derive(Debug)]
pub struct Spending {
    /// The team's.
    pub team: Arc<Spender>,
    /// The owner's.
    pub owner: Arc<Spender>,
}

impl Key {
    /// Whether the key's rules include a model.
    #[must_use]
    pub fn may_use(&self, model: &str) -> bool {
        self.models.is_empty() || self.models.iter().any(|pattern| pattern.capture(model).is_some())
    }
}

impl Keyring {
    /// With room for so many keys.
    #[must_use]
    pub fn with_capacity(keys: usize) -> Self {
        Self {
            by_digest: HashMap::with_capacity_and_hasher(keys, BuildHasherDefault::default()),
            earlier: HashMap::default(),
            keys: Vec::with_capacity(keys),
        }
    }

    /// Lets a key make calls that cannot be counted.
    pub fn allow_unmetered(&mut self, id: KeyId, series: impl FnOnce(&Key) -> Arc<UnmeteredSeries>) {
        if let Some(key) = self.keys.get_mut(id.0 as usize) {
            key.unmetered = Some(series(key));
        }
    }

    /// Says where what each key's calls use is counted.
    pub fn bind(&mut self, spending: impl Fn(&Key) -> Spending) {
        for key in &mut self.keys {
            key.spending = Some(spending(key));
        }
    }

    /// All keys, in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = &Key> {
        self.keys.iter()
    }

    /// Adds a key under one more digest. Returns the key that holds this digest already, if one does.
    pub fn insert(&mut self, digest: Digest, id: KeyId) -> Option<KeyId> {
        self.by_digest.insert(digest, id)
    }

    /// Adds the digest that a key had before it was rotated, which works until then. Returns the key that holds this
    /// digest already, if one does.
    pub fn insert_earlier(&mut self, digest: Digest, id: KeyId, until: Moment) -> Option<KeyId> {
        self.earlier.insert(digest, until);
        self.by_digest.insert(digest, id)
    }

    /// Adds a key's rules.
    pub fn push(&mut self, key: Key) -> KeyId {
        let id = KeyId(u32::try_from(self.keys.len()).unwrap_or(u32::MAX));
        self.keys.push(key);
        id
    }

    /// The key that was presented, whether it works or has stopped.
    #[must_use]
    pub fn find(&self, presented: &[u8]) -> Option<KeyId> {
        self.look_up(presented).map(|found| found.id)
    }

    /// The key that was presented, and what limits this one of its digests. Whether it has stopped, the caller asks a clock.
    #[must_use]
    pub fn look_up(&self, presented: &[u8]) -> Option<Found<'_>> {
        let digest = digest(presented);
        let id = *self.by_digest.get(&digest)?;
        let until = if self.earlier.is_empty() { None } else { self.earlier.get(&digest) };
        Some(Found { id, until })
    }

    /// A key's rules.
    #[must_use]
    pub fn key(&self, id: KeyId) -> &Key {
        &self.keys[id.0 as usize]
    }

    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether nobody may call.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

/// SHA-256 of a presented key.
#[must_use]
pub fn digest(presented: &[u8]) -> Digest {
    let mut out = [0; 32];
    out.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, presented).as_ref());
    out
}

/// The first 8 bytes of a digest are as good a hash as any.
#[derive(Debug, Default)]
pub struct FirstBytes(u64);

impl Hasher for FirstBytes {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk::<8>() {
            self.0 = u64::from_le_bytes(*first);
        }
    }

    fn write_usize(&mut self, _: usize) {
        // The length prefix of a slice says nothing here.
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
