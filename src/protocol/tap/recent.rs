//! The ends of a stream's last events.
//!
//! Whether a stream said why it stopped is asked once, when it has ended without a terminal event; looking for the reason in
//! every event would cost more than everything else that is looked for. So the last events are kept, and nothing is sought in
//! them before. Bounded: [`KEPT`] events, [`MAX`] bytes of each.

/// Events kept: the one with the reason, and one with the usage behind it.
const KEPT: usize = 2;
/// Bytes kept of an event, from its end: the reason stands behind the content.
const MAX: usize = 1024;

/// See the module.
#[derive(Debug, Default)]
pub struct Recent {
    events: [Vec<u8>; KEPT],
    next: usize,
}

impl Recent {
    /// Takes the place of the oldest.
    #[inline]
    pub fn push(&mut self, event: &[u8]) {
        let kept = &mut self.events[self.next % KEPT];
        self.next = self.next.wrapping_add(1);
        kept.clear();
        kept.extend_from_slice(&event[event.len().saturating_sub(MAX)..]);
    }

    /// Whether one of them is like this.
    pub fn any(&self, like: impl Fn(&[u8]) -> bool) -> bool {
        self.events.iter().any(|event| like(event))
    }
}
