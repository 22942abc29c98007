//! What things cost: our own dated table of list prices, what a price list says of one model, and the cost of an answer.
//!
//! Invariant: integers only, and nothing is free because its price is unknown. What could not be priced is told by name
//! ([`Gaps`]) beside a cost that counts it by the nearest price there is. A wrong price is worse than none, so a model is
//! found by its vendor's own name for it and never by resemblance. Pure: no clock (the moment comes in), no I/O; what the
//! operator writes is read elsewhere.

mod book;
mod gaps;
mod hours;
mod kind;
mod name;
mod rates;
mod row;
mod table;

#[cfg(test)]
mod tests;

pub use book::{Book, Entry, Overlay, Wanted, overlay};
pub use gaps::Gaps;
pub use hours::{Hours, NotHours};
pub use kind::{Kind, Prices, Ratio, Tool, ToolPrice, Tools};
pub use rates::{Facts, Period, Priced, Rates, Reach, Service, Sheet, whole_input};
pub use row::{Fault, OffPeak, Row, Step};
pub use table::{Table, Vendor};
