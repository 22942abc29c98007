//! Id -> owner, bounded: what came first goes first.
//!
//! Pure. Invariant: never more than `max` ids; an id that two owners were given has none from then on.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::Holder;

/// For whom, and by whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// Who may use it.
    pub holder: Holder,
    /// The name of the provider that made it, and has it.
    pub provider: Arc<str>,
}

/// See the module.
#[derive(Debug)]
pub struct Book {
    max: usize,
    owners: HashMap<Arc<str>, Option<Owner>>,
    order: VecDeque<Arc<str>>,
    /// The number of the first in `order`, counted from the beginning of the book.
    first: u64,
}

impl Book {
    /// Empty, with room for so many.
    pub fn new(max: usize) -> Self {
        Self { max: max.max(1), owners: HashMap::new(), order: VecDeque::new(), first: 0 }
    }

    /// How many ids there are.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Enters an id; without an owner it is nobody's. Returns whether anything changed.
    pub fn add(&mut self, id: &str, owner: Option<Owner>) -> bool {
        if let Some(known) = self.owners.get_mut(id) {
            if *known == owner || known.is_none() {
                return false;
            }
            *known = None;
            return true;
        }
        if self.order.len() == self.max
            && let Some(oldest) = self.order.pop_front()
        {
            self.owners.remove(&oldest);
            self.first += 1;
        }
        let id: Arc<str> = id.into();
        self.order.push_back(Arc::clone(&id));
        self.owners.insert(id, owner);
        true
    }

    /// Its owner; `None` inside if it is nobody's.
    pub fn find(&self, id: &str) -> Option<&Option<Owner>> {
        self.owners.get(id)
    }

    /// Hands at most `most` ids to `each`, oldest first, from number `from` on; returns the number to go on from, or
    /// nothing at the end. Between two pages the book may change: what is added comes at the end.
    pub fn page(&self, from: u64, most: usize, mut each: impl FnMut(&str, &Option<Owner>)) -> Option<u64> {
        let skipped = usize::try_from(from.saturating_sub(self.first)).unwrap_or(usize::MAX);
        let page = self.order.iter().skip(skipped).take(most);
        let mut next = from.max(self.first);
        for id in page {
            if let Some(owner) = self.owners.get(id) {
                each(id, owner);
            }
            next += 1;
        }
        (next < self.first + self.order.len() as u64).then_some(next)
    }
}

/// Two books of equal room, so that what every call leaves behind never pushes out what people mean to keep.
#[derive(Debug)]
pub struct Books {
    /// Responses and their items, and containers, which providers give up by themselves.
    passing: Book,
    /// Files, batches and the like.
    lasting: Book,
    is_passing: fn(&str) -> bool,
}

/// The numbers of the second book's pages begin here.
const SECOND: u64 = 1 << 63;

impl Books {
    /// Empty, each with room for so many; which ids are of the first is told by themselves.
    pub fn new(max: usize, is_passing: fn(&str) -> bool) -> Self {
        Self { passing: Book::new(max), lasting: Book::new(max), is_passing }
    }

    /// See [`Book::len`].
    pub fn len(&self) -> usize {
        self.passing.len() + self.lasting.len()
    }

    /// See [`Book::add`].
    pub fn add(&mut self, id: &str, owner: Option<Owner>) -> bool {
        if (self.is_passing)(id) { self.passing.add(id, owner) } else { self.lasting.add(id, owner) }
    }

    /// See [`Book::find`].
    pub fn find(&self, id: &str) -> Option<&Option<Owner>> {
        if (self.is_passing)(id) { self.passing.find(id) } else { self.lasting.find(id) }
    }

    /// See [`Book::page`]: of the first book, then of the second.
    pub fn page(&self, from: u64, most: usize, each: impl FnMut(&str, &Option<Owner>)) -> Option<u64> {
        match from.checked_sub(SECOND) {
            None => Some(self.passing.page(from, most, each).unwrap_or(SECOND)),
            Some(from) => self.lasting.page(from, most, each).map(|next| next + SECOND),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn owner(team: &str, provider: &str) -> Option<Owner> {
        Some(Owner { holder: Holder::Team(team.into()), provider: provider.into() })
    }

    #[test]
    fn an_id_of_two_owners_is_nobodys() {
        let mut book = Book::new(9);
        assert!(book.add("a", owner("x", "p")));
        assert!(!book.add("a", owner("x", "p")), "said again");
        for other in [owner("y", "p"), owner("x", "q")] {
            let mut book = Book::new(9);
            book.add("a", owner("x", "p"));
            assert!(book.add("a", other.clone()));
            assert_eq!(book.find("a"), Some(&None));
            assert!(!book.add("a", other) && !book.add("a", owner("x", "p")), "and stays so");
            assert_eq!((book.find("a"), book.len()), (Some(&None), 1));
        }
    }

    #[test]
    fn what_passes_pushes_out_nothing_that_lasts() {
        let mut books = Books::new(3, |id| id.starts_with('r'));
        for id in ["f1", "r1", "r2", "f2", "r3", "r4", "r5"] {
            assert!(books.add(id, owner("x", "p")));
        }
        assert_eq!(books.len(), 5);
        assert!(books.find("f1").is_some() && books.find("r2").is_none() && books.find("r5").is_some());
        for most in 1..7 {
            let (mut seen, mut from) = (Vec::new(), Some(0));
            while let Some(at) = from {
                from = books.page(at, most, |id, _| seen.push(id.to_owned()));
            }
            assert_eq!(seen, ["r3", "r4", "r5", "f1", "f2"], "{most}");
        }
    }

    proptest! {
        #[test]
        fn the_newest_stay_and_pages_show_them_in_order(ids in proptest::collection::vec(0_u8..40, 0..200), max in 1_usize..20, most in 1_usize..7) {
            let mut book = Book::new(max);
            let mut want: Vec<String> = Vec::new();
            for id in ids.iter().map(u8::to_string) {
                book.add(&id, owner("x", "p"));
                if !want.contains(&id) {
                    want.push(id);
                    want = want.split_off(want.len().saturating_sub(max));
                }
                prop_assert!(book.len() <= max && book.owners.len() == book.len());
            }
            let (mut seen, mut from) = (Vec::new(), Some(0));
            while let Some(at) = from {
                from = book.page(at, most, |id, _| seen.push(id.to_owned()));
            }
            prop_assert_eq!(seen, want);
        }
    }
}
