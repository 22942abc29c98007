# Shortcuts. `just` alone lists them; each is a command that may as well be typed.

_list:
    @just --list --unsorted

# Does it compile?
check:
    cargo check --all-targets

# The tests, as the README says
test *args:
    cargo test {{args}}

# Faults of providers and clients for longer: how many of each kind
soak rounds="5000":
    TOLLGATE_FAULTS={{rounds}} cargo test --test faults -- --nocapture

# What reads foreign bytes, fuzzed: seconds for each target
fuzz seconds="60" *targets:
    fuzz/run {{seconds}} {{targets}}

# Format, lints, dependencies
lint:
    cargo fmt --check
    cargo clippy --all-targets -- -D warnings
    cargo deny check bans licenses sources

# Real agents through the gateway to a scripted provider; with --tls first, over TLS
agents *names:
    cargo build --release
    tests/agents/run {{names}}

# Benches, by name
bench *args:
    cargo bench {{args}}

# Benches compared with their budgets
budget:
    benches/check

# The gateway, with what is in the environment
serve *args:
    cargo run --release -- {{args}}

# Everything that must hold before a merge
ci:
    .ci/run
