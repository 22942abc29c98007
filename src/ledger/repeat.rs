//! The loop guard: a session that sends the very same body again and again, and is answered each time, is told so.
//!
//! Counted are answers: an agent that only tries again because nobody answered is no loop. Invariants: memory is fixed, whoever
//! comes; what is pushed out of it or never was in it is not refused; nobody is refused for a body that was not read. A body is
//! told by its length first and read only if one of that length has come from the same session within the minute, so the
//! bodies of a conversation, each longer than the last, cost two looks at a table; and the first of a length is not counted.

use std::hash::BuildHasher;
use std::sync::{Mutex, PoisonError};

use foldhash::fast::RandomState;

/// How long an answer is remembered, in milliseconds.
const MINUTE: u64 = 60_000;
/// Tables, each with a lock of its own.
const SHARDS: usize = 16;
/// Places of one table; each a length or a body of one session.
const PLACES: usize = 1024;
/// Places among which one is looked for.
const WAYS: usize = 4;

/// See the module. One for the process; a table is made when it is first needed.
#[derive(Debug, Default)]
pub struct Repeats {
    hasher: RandomState,
    shards: [Mutex<Vec<Place>>; SHARDS],
}

/// What a call is told by, to be counted once it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sighting {
    length: u64,
    /// Only of a body that was read.
    body: Option<u64>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Place {
    /// Zero: free.
    tag: u64,
    begun: u64,
    count: u32,
}

impl Repeats {
    /// A call of a key's session with a body of so many bytes, at `now` (milliseconds of a clock that never goes back). `body`
    /// reads it, to a number that equal bodies have alike.
    ///
    /// # Errors
    /// It has been answered `most` times within a minute, or once more. How often it was sent at least, this time included.
    pub fn look(
        &self,
        (key, session): (u32, &str),
        bytes: u64,
        now: u64,
        most: u32,
        body: impl FnOnce() -> u32,
    ) -> Result<Sighting, u32> {
        let length = self.hasher.hash_one((key, session, bytes)) | 1;
        if self.with(length, now, |place| place.count) == 0 {
            return Ok(Sighting { length, body: None });
        }
        let body = self.hasher.hash_one((length, body())) | 1;
        let times = self.with(body, now, |place| place.count);
        if times >= most {
            return Err(times.saturating_add(1));
        }
        Ok(Sighting { length, body: Some(body) })
    }

    /// A call that was seen so, and admitted at `now`, is answered.
    pub fn answered(&self, sighting: Sighting, now: u64) {
        for tag in [Some(sighting.length), sighting.body].into_iter().flatten() {
            self.with(tag, now, |place| {
                place.count = place.count.saturating_add(1);
                place.count
            });
        }
    }

    /// The place of a tag: its own, if it has one of the last minute, or the oldest of those it may have.
    fn with(&self, tag: u64, now: u64, then: impl FnOnce(&mut Place) -> u32) -> u32 {
        let shard = &self.shards[tag as usize >> 1 & (SHARDS - 1)];
        let mut places = shard.lock().unwrap_or_else(PoisonError::into_inner);
        if places.is_empty() {
            places.resize(PLACES, Place::default());
        }
        let set = (tag >> 8) as usize % (PLACES / WAYS) * WAYS;
        let Some(set) = places.get_mut(set..set + WAYS) else { return 0 };
        let is_fresh = |place: &Place| now.saturating_sub(place.begun) < MINUTE;
        let at = match set.iter().position(|place| place.tag == tag) {
            Some(at) if is_fresh(&set[at]) => return then(&mut set[at]),
            Some(at) => at,
            None => {
                let oldest = set.iter().enumerate().min_by_key(|(_, place)| (place.tag != 0, place.begun));
                oldest.map_or(0, |(at, _)| at)
            }
        };
        let mut place = Place { tag, begun: now, count: 0 };
        let told = then(&mut place);
        // Only looking takes nobody's place.
        if place.count > 0 {
            set[at] = place;
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A call that is answered, if it is not refused.
    fn call(repeats: &Repeats, session: &str, body: &str, now: u64) -> Result<(), u32> {
        let sighting = repeats.look((1, session), body.len() as u64, now, 5, || crc32fast::hash(body.as_bytes()))?;
        repeats.answered(sighting, now);
        Ok(())
    }

    #[test]
    fn the_same_body_is_refused_after_so_many_answers_until_a_minute_is_over() {
        let repeats = Repeats::default();
        // The first one is not read.
        for n in 0..6 {
            assert_eq!(call(&repeats, "s", "body", n * 900), Ok(()), "{n}");
        }
        assert_eq!(call(&repeats, "s", "body", 5_000), Err(6));
        assert_eq!(call(&repeats, "s", "body", 59_999), Err(6), "what is refused is not counted");
        assert_eq!(call(&repeats, "t", "body", 6_000), Ok(()), "another session");
        assert_eq!(call(&repeats, "s", "ydob", 7_000), Ok(()), "another body of the same length");
        assert_eq!(call(&repeats, "s", "body and more", 8_000), Ok(()));
        assert_eq!(call(&repeats, "s", "body", 61_001), Ok(()));
    }

    #[test]
    fn only_what_is_answered_counts() {
        let repeats = Repeats::default();
        for n in 0..100 {
            let seen = repeats.look((1, "s"), 4, n, 5, || 7);
            assert!(seen.is_ok(), "tried again because nobody answers");
        }
    }

    #[test]
    fn bodies_of_one_length_are_told_apart() {
        let repeats = Repeats::default();
        for n in 0..500_u64 {
            let body = format!("{:04}", n % 101);
            assert_eq!(call(&repeats, "s", &body, n * 59_000 / 500), Ok(()), "{n}");
        }
        assert_eq!(call(&repeats, "s", "0001", 59_000), Err(6), "one of them too often");
    }

    #[test]
    fn the_first_of_a_length_is_not_read() {
        let repeats = Repeats::default();
        let unread = repeats.look((1, "s"), 4, 0, 5, || panic!("nothing of that length was there"));
        repeats.answered(unread.unwrap(), 0);
        assert!(repeats.look((1, "s"), 4, 1, 5, || 7).unwrap().body.is_some());
        assert!(repeats.look((2, "s"), 4, 1, 5, || panic!("another key")).is_ok());
    }

    #[test]
    fn memory_is_fixed_and_a_flood_refuses_nobody() {
        let repeats = Repeats::default();
        for n in 0..200_000_u64 {
            assert_eq!(call(&repeats, &format!("session-{n}"), "body", n / 100), Ok(()));
        }
        for shard in &repeats.shards {
            assert_eq!(shard.lock().unwrap().len(), PLACES);
        }
    }
}
