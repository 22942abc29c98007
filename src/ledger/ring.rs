//! How much of something there was in the last `window`: a ring of slots.
//!
//! Invariant: what was added at a time counts for at least `window` after it, and at most a sixtieth longer, so in *every*
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
