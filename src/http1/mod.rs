//! What both ends of HTTP/1.1 share: where a body ends, what headers say about it, and the room that is read into.
//!
//! Invariant: one reading of the rules. A request or an answer whose length could be told in two ways is told in none.

pub mod framing;
pub mod room;
pub mod says;
