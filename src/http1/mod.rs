//! What both ends of HTTP/1.1 share: heads and their lines, where a body ends, and the room that is read into.
//!
//! Invariant: one reading of the rules. A request or an answer whose length could be told in two ways is told in none.

pub mod framing;
pub mod gather;
pub mod lines;
pub mod room;
pub mod says;
