//! Tollgate: a gateway between coding agents and LLM providers.
//!
//! The modules stand in the order in which a request meets them; `ARCHITECTURE.md` is the map.

pub mod error;
pub mod message;
pub mod money;
pub mod telemetry;

pub mod agent;
pub mod protocol;

pub mod price;

pub mod provider;
pub mod snapshot;

pub mod call;
pub mod journal;
pub mod ledger;
pub mod owned;
pub mod store;

pub mod http1;

pub mod journey;
pub mod listen;
pub mod policy;
pub mod tls;
pub mod upstream;
pub mod webhook;

pub mod config;
pub mod worker;

pub mod admin;

pub mod simulator;

#[cfg(target_os = "linux")]
pub mod loadtest;

pub mod cli;
