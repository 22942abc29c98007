//! Instructions of holding a call on its accounts and settling it, under callgrind.
//!
//! Budget: 2,500 for four accounts with two limits, one on calls under way, and three budgets.

#![expect(clippy::disallowed_methods, reason = "gungraun's main ends the process")]
#![expect(clippy::unwrap_used, reason = "a bench fails by panicking")]
#![expect(unused_qualifications, reason = "gungraun's macro repeats the arguments with a path")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use gungraun::{library_benchmark, library_benchmark_group, main};
use jiff::tz::TimeZone;
use tollgate::agent::Agent;
use tollgate::error::limit::{Level, Measure, Period};
use tollgate::ledger::account::{Account, Accounts, Now, Tokens, Wanted};
use tollgate::ledger::bound::Bound;
use tollgate::ledger::hold::{Class, Estimator};
use tollgate::ledger::receipt::{Settled, reserve};
use tollgate::ledger::rules::{BudgetRule, Mode, Rules, WindowRule};
use tollgate::money::Pico;

struct Books {
    accounts: [Arc<Account>; 4],
    class: Arc<Class>,
    thought: Wanted,
    now: Now,
}

/// Accounts that have been used, and a kind of call that is known.
fn books() -> Books {
    let now = Now { mono: 5_000_000, unix: 1_795_608_000 };
    let zone = TimeZone::get("Europe/Berlin").unwrap();
    let cap = Pico::DOLLAR.saturating_mul(1_000);
    let budget = |period| vec![BudgetRule { cap, period, zone: zone.clone(), mode: Mode::Learned, warn_at: 80 }];
    let window = |measure| vec![WindowRule { measure, limit: 1_000_000, window: Duration::from_secs(60) }];
    let all = Accounts::default();
    let account = |level, rules: Rules| {
        let account = all.account(level, &"a".into());
        account.configure(now, &rules);
        account
    };
    let (windows, budgets) = (window(Measure::Requests), budget(Period::Day));
    let key = account(Level::Key, Rules { windows, budgets, ..Rules::default() });
    let owner = account(Level::Owner, Rules { concurrent: Some(100), ..Rules::default() });
    let (windows, budgets) = (window(Measure::Tokens), budget(Period::Month));
    let team = account(Level::Team, Rules { windows, budgets, ..Rules::default() });
    let rolling = Rules { budgets: budget(Period::Rolling(86_400)), ..Rules::default() };
    let organisation = account(Level::Organisation, rolling);
    let class = Estimator::default().class(Agent::ClaudeCode, &"m".into());
    (0..2_000).for_each(|n| class.learn(Pico::new(n * 1_000_000), Tokens { input: n, output: n }));
    let cost = Bound::guess(40_000_000_000, 900_000_000_000);
    let thought = Wanted { cost, input: Bound::guess(1_000, 4_000), output: Bound::guess(4_096, 32_000) };
    let books = Books { accounts: [key, owner, team, organisation], class, thought, now };
    call(&books);
    books
}

fn call(books: &Books) -> Settled {
    let wanted = books.class.wanted(black_box(books.thought));
    let receipt = reserve(&books.accounts, books.now, &wanted).unwrap();
    receipt.settle(black_box(Pico::MICRO), black_box(Tokens { input: 10, output: 5 }))
}

#[library_benchmark]
#[bench::four_accounts(books())]
fn ledger_reserve_settle(books: Books) -> (Settled, Books) {
    (call(&books), books)
}

#[library_benchmark]
#[bench::a_call(books())]
fn ledger_learn(books: Books) -> Books {
    books.class.learn(black_box(Pico::MICRO), black_box(Tokens { input: 10, output: 5 }));
    books
}

library_benchmark_group!(name = ledger, benchmarks = [ledger_reserve_settle, ledger_learn]);
main!(library_benchmark_groups = ledger);
