//! What operators see of the data plane: log set-up, metric families, the access log.

pub mod access_log;
pub mod clock;
mod histogram;
pub mod metrics;
