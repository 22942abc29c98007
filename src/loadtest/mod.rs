//! What a gateway costs, measured on the machine that will run it: the same load through the provider alone, a bare proxy and the
//! gateway, in turns.
//!
//! Each runs as a process of its own, bound to cores of its own, so that its CPU time and memory can be read from outside. The
//! load comes by a schedule that nobody can slow down ([`schedule`]), in rounds whose order turns (A B C, C B A), so that what else
//! happens on the machine meets all of them alike.
//!
//! Invariant: the load side knows the gateway only by what it answers, as it does everybody else.

pub mod answer;
pub mod cell;
pub mod check;
pub mod child;
pub mod compare;
pub mod connection;
pub mod cores;
pub mod drive;
pub mod figures;
pub mod frontier;
pub mod kind;
pub mod markdown;
pub mod page;
pub mod passthrough;
pub mod plot;
pub mod proc;
pub mod profile;
pub mod progress;
pub mod report;
pub mod room;
pub mod run;
pub mod schedule;
pub mod subject;
pub mod summary;
pub mod table;
pub mod tally;
pub mod url;
pub mod warning;
