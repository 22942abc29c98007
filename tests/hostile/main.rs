//! The real program against clients that mean harm: what is ambiguous goes nowhere, what is slow or large is bounded.

#![cfg(test)]

#[path = "../faults/client.rs"]
mod client;
#[path = "../faults/gateway.rs"]
mod gateway;
mod pressure;
mod recorder;
mod smuggling;
