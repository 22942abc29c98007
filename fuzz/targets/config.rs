//! Whatever a configuration says, it is compiled or refused with reasons.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate::config;
use tollgate::telemetry::metrics::Metrics;

fuzz_target!(|text: &str| {
    // A secret's file would be read from this machine: nothing here is about that.
    if text.contains("file") {
        return;
    }
    let env = |name: &str| (!name.is_empty()).then(|| "a-secret-of-enough-length".to_owned());
    if let Err(problems) = config::load_text("tollgate.toml".as_ref(), text, &env, &Metrics::new(1)) {
        assert!(!problems.to_string().is_empty());
    }
});
