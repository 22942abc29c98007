//! The real program against HTTP/2 clients that mean harm (RFC 9113 sections 5, 6, 8 and 10.5).
//!
//! Frames are written by hand, over TLS: no client library would send them.

#![cfg(test)]

mod edge;
mod floods;
mod frames;
#[path = "../faults/gateway.rs"]
mod gateway;
mod malformed;
mod peer;
#[path = "../hostile/recorder.rs"]
mod recorder;
mod windows;
