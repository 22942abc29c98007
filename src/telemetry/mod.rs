//! What operators see of the data plane: log set-up, metric families, the access log.

pub mod access_log;
pub mod clock;
mod histogram;
pub mod metrics;

use tracing::level_filters::LevelFilter;

/// Starts the log: to standard error, as text or one JSON object per message. Only the first call has an effect.
pub fn start(level: LevelFilter, json: bool) {
    let builder = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .with_target(false)
        // It would tell of a broken standard error on standard error, and panic over that.
        .log_internal_errors(false);
    let _ = match json {
        true => builder.json().flatten_event(true).try_init(),
        false => builder.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init(),
    };
}
