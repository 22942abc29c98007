//! How much of something there was in the last `window`: a ring of slots.
//!
//! Invariant: what was added at a time counts for at least `window` after it, and (where it is many units long) at most a sixtieth longer, so in *every*
//! window of that length no more is admitted than a check of [`Ring::used`] lets in. The price is that room comes back up to
//! one slot late. Pure: time comes in, in any unit (the ring's own), and one that steps back is taken for the latest seen.

/// A window is cut into so many slots; one more is kept, for the oldest may be only partly outside.
const SLOTS: usize = 60;

/// See the module.
#[derive(Debug, Clone)]
pub struct Ring {
    slot: u64,
    newest: u64,
    sum: u64,
    slots: Box<[u64; SLOTS + 1]>,
}

impl Ring {
    /// Empty, for windows of this length.
    #[must_use]
    pub fn new(window: u64) -> Self {
        Self { slot: window.div_ceil(SLOTS as u64).max(1), newest: 0, sum: 0, slots: Box::new([0; SLOTS + 1]) }
    }

    /// Forgets what has left the window.
    pub fn advance(&mut self, now: u64) {
        let number = now / self.slot;
        if number <= self.newest {
            return;
        }
        if number - self.newest > SLOTS as u64 {
            self.slots.fill(0);
            self.sum = 0;
        } else {
            for gone in self.newest + 1..=number {
                let place = Self::place(gone);
                self.sum -= std::mem::take(&mut self.slots[place]);
            }
        }
        self.newest = number;
    }

    /// What counts, as of the last [`Ring::advance`].
    #[must_use]
    pub const fn used(&self) -> u64 {
        self.sum
    }

    /// Counts so much, now (as of the last [`Ring::advance`]).
    pub fn add(&mut self, amount: u64) {
        self.correct_in(self.newest, 0, amount);
    }

    /// What was counted as `was` at that time is in truth `is`. Nothing happens if that time has left the window.
    pub fn correct(&mut self, at: u64, was: u64, is: u64) {
        let number = (at / self.slot).min(self.newest);
        if self.newest - number <= SLOTS as u64 {
            self.correct_in(number, was, is);
        }
    }

    /// The time had been wrong, and is this: what counts goes on counting, from now.
    pub fn rebase(&mut self, now: u64) {
        let sum = self.sum;
        self.slots.fill(0);
        self.newest = now / self.slot;
        self.slots[Self::place(self.newest)] = sum;
    }

    /// The earliest time at which no more than `most` will count, if nothing is added; 0: now.
    #[must_use]
    pub fn falls_to(&self, most: u64) -> u64 {
        let mut left = self.sum;
        if left <= most {
            return 0;
        }
        let mut last = self.newest.saturating_sub(SLOTS as u64);
        loop {
            left -= self.slots[Self::place(last)];
            if left <= most || last == self.newest {
                return last.saturating_add(SLOTS as u64 + 1).saturating_mul(self.slot);
            }
            last += 1;
        }
    }

    fn correct_in(&mut self, number: u64, was: u64, is: u64) {
        let slot = &mut self.slots[Self::place(number)];
        // Neither can wrap: a slot never holds more than the sum, and what does not fit counts as the largest there is.
        let was = was.min(*slot);
        let is = is.min(u64::MAX - (self.sum - was));
        *slot = *slot - was + is;
        self.sum = self.sum - was + is;
    }

    const fn place(number: u64) -> usize {
        (number % (SLOTS as u64 + 1)) as usize
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What the ring claims to be, at length: everything that was added, with its time.
    #[derive(Default)]
    struct Log(Vec<(u64, u64)>);

    impl Log {
        fn within(&self, from: u64, to: u64) -> u64 {
            self.0.iter().filter(|(at, _)| (from..=to).contains(at)).map(|(_, amount)| amount).sum()
        }
    }

    proptest! {
        #[test]
        fn no_window_admits_more_than_its_limit(
            window in 1_u64..5_000,
            limit in 1_u64..50,
            steps in proptest::collection::vec((0_u64..400, 1_u64..9, 0_u64..12, any::<prop::sample::Index>()), 1..200),
        ) {
            let (mut ring, mut log, mut now) = (Ring::new(window), Log::default(), 0);
            for (wait, amount, truth, which) in steps {
                now += wait;
                ring.advance(now);
                if ring.used() + amount <= limit {
                    ring.add(amount);
                    log.0.push((now, amount));
                }
                // A call is settled, at any time after: never at more than it had reserved, so that the limit stays one.
                if !log.0.is_empty() {
                    let which = which.index(log.0.len());
                    let (at, was) = &mut log.0[which];
                    let is = truth.min(*was);
                    ring.correct(*at, *was, is);
                    *was = is;
                }
                // Whichever window ends here: it, and what was in it when it was admitted, stays within the limit.
                let exact = log.within((now + 1).saturating_sub(window), now);
                prop_assert!(exact <= ring.used() && ring.used() <= limit, "{exact} {} {limit}", ring.used());
                let slack = window.div_ceil(SLOTS as u64);
                let wide = log.within((now + 1).saturating_sub(slack * (SLOTS as u64 + 1)), now);
                prop_assert!(ring.used() <= wide, "forgotten a slot late, and no later: {} {wide}", ring.used());
            }
        }

        #[test]
        fn it_says_when_there_will_be_room(window in 1_u64..5_000, adds in proptest::collection::vec((0_u64..200, 1_u64..9), 1..50), most in 0_u64..100) {
            let (mut ring, mut now) = (Ring::new(window), 0);
            for (wait, amount) in adds {
                now += wait;
                ring.advance(now);
                ring.add(amount);
            }
            let free = ring.falls_to(most);
            if ring.used() <= most {
                prop_assert_eq!(free, 0);
            } else {
                prop_assert!(free > now && free <= now + (SLOTS as u64 + 1) * window.div_ceil(SLOTS as u64));
                let mut before = ring.clone();
                before.advance(free - 1);
                prop_assert!(before.used() > most);
                ring.advance(free);
                prop_assert!(ring.used() <= most);
            }
        }
    }

    #[test]
    fn what_has_left_is_not_corrected() {
        let mut ring = Ring::new(60);
        ring.add(5);
        ring.advance(61);
        assert_eq!(ring.used(), 0);
        ring.correct(0, 5, 9);
        ring.correct(1_000, 0, 3);
        assert_eq!(ring.used(), 3, "a time ahead is the latest there is");
    }

    #[test]
    fn a_wrong_time_keeps_what_counts() {
        let mut ring = Ring::new(60);
        ring.advance(1_000_000);
        ring.add(5);
        ring.rebase(100);
        assert_eq!(ring.used(), 5);
        ring.advance(160);
        assert_eq!(ring.used(), 5);
        ring.advance(161);
        assert_eq!(ring.used(), 0);
    }

    #[test]
    fn nothing_wraps() {
        let mut ring = Ring::new(60);
        ring.add(u64::MAX);
        ring.add(u64::MAX);
        assert_eq!(ring.used(), u64::MAX);
        ring.correct(0, u64::MAX, 1);
        assert_eq!(ring.used(), 1);
        ring.advance(u64::MAX);
        assert_eq!((ring.used(), ring.falls_to(0)), (0, 0));
    }
}
