//! Accounts by examples, then in any order and from many threads.

use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::*;
use crate::ledger::receipt::{Receipt, Stretch, reserve};
use crate::ledger::rules::BudgetRule;

/// 2026-11-25T12:00:00Z, a Wednesday.
const NOON: i64 = 1_795_608_000;
const DAY: i64 = 86_400;

fn at(seconds: i64) -> Now {
    Now { mono: (seconds.max(0) as u64) * 1_000, unix: NOON + seconds }
}

fn account(level: Level, rules: &Rules) -> Arc<Account> {
    let account = Accounts::default().account(level, &"a".into());
    account.configure(at(0), rules);
    account
}

fn budget(cap: u64, period: Period, mode: Mode) -> BudgetRule {
    BudgetRule { cap: dollars(cap), period, zone: TimeZone::UTC, mode, warn_at: 80 }
}

fn budgets(all: &[(u64, Period, Mode)]) -> Rules {
    Rules { budgets: all.iter().map(|(cap, period, mode)| budget(*cap, *period, *mode)).collect(), ..Rules::default() }
}

fn window(measure: Measure, limit: u64, seconds: u64) -> Rules {
    Rules { windows: vec![WindowRule { measure, limit, window: Duration::from_secs(seconds) }], ..Rules::default() }
}

const fn dollars(n: u64) -> Pico {
    Pico::DOLLAR.saturating_mul(n)
}

/// A call whose cost is known to be usual up to `usual` dollars, and at most `ceiling`.
fn costing(usual: u64, ceiling: u64) -> Wanted {
    let (usual, ceiling) = (dollars(usual).pico(), dollars(ceiling).pico());
    let cost = Bound { mean: usual / 2, usual, rare: usual * 2, ceiling, learnt: true };
    Wanted { cost, input: Bound::exact(0), output: Bound::exact(0) }
}

fn using(tokens: u64) -> Wanted {
    Wanted { cost: Bound::exact(0), input: Bound::exact(tokens), output: Bound::exact(0) }
}

fn settle(receipt: Receipt, cost: u64) -> crate::ledger::receipt::Settled {
    receipt.settle(dollars(cost), Tokens::default())
}

#[track_caller]
fn stands(account: &Account, now: Now, spent: u64, held: u64) {
    let all = account.budgets(now);
    let state = &all[0];
    assert_eq!((state.spent, state.held), (dollars(spent), dollars(held)));
}

#[track_caller]
fn refused(result: Result<Receipt, LimitError>) -> BudgetSpent {
    match result.map(|_| ()) {
        Err(LimitError::BudgetSpent(spent)) => *spent,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_strict_budget_holds_ceilings() {
    let a = account(Level::Team, &budgets(&[(10, Period::Day, Mode::Strict)]));
    let first = reserve([&a], at(0), &costing(1, 6)).unwrap();
    let no = refused(reserve([&a], at(0), &costing(1, 6)));
    assert_eq!((no.level, &*no.name, no.cap, no.left, no.wanted), (Level::Team, "a", 10_000_000, 4_000_000, 6_000_000));
    assert_eq!(no.resets, Some(("2026-11-25T12:00:05+00:00".into(), SOON)), "as soon as the first has ended");
    settle(first, 5);
    stands(&a, at(1), 5, 0);
    let no = refused(reserve([&a], at(1), &costing(1, 6)));
    let midnight = Duration::from_secs(12 * 3_600 - 1);
    assert_eq!(no.resets, Some(("2026-11-26T00:00:00+00:00".into(), midnight)));
    assert!(reserve([&a], at(DAY / 2), &costing(1, 6)).is_ok());
}

#[test]
fn a_learned_budget_holds_what_is_usual_and_wants_room_for_what_is_rare() {
    let a = account(Level::Team, &budgets(&[(100, Period::Day, Mode::Learned)]));
    let held: Vec<_> = std::iter::from_fn(|| reserve([&a], at(0), &costing(2, 90)).ok()).collect();
    // 4 must be free when a call begins: 2 held for it, 2 beside it.
    assert_eq!(held.len(), 49);
    stands(&a, at(0), 0, 98);
    drop(held);
    stands(&a, at(0), 0, 0);
}

#[test]
fn a_learned_budget_that_is_less_than_one_call_starts_anew_too() {
    let a = account(Level::Team, &budgets(&[(5, Period::Day, Mode::Learned)]));
    settle(reserve([&a], at(0), &costing(1, 90)).unwrap(), 20);
    let no = refused(reserve([&a], at(0), &costing(40, 90)));
    assert_eq!(no.resets.unwrap().1, Duration::from_secs(12 * 3_600), "then it may go alone");
    assert!(reserve([&a], at(DAY / 2), &costing(40, 90)).is_ok());
    let b = account(Level::Key, &budgets(&[(5, Period::Rolling(3_600), Mode::Learned)]));
    settle(reserve([&b], at(0), &costing(1, 90)).unwrap(), 20);
    let no = refused(reserve([&b], at(0), &costing(40, 90)));
    assert!(no.resets.is_some_and(|(_, wait)| wait <= Duration::from_secs(3_660)));
}

#[test]
fn a_call_whose_ceiling_fits_needs_no_room_beside_it() {
    let a = account(Level::Team, &budgets(&[(100, Period::Day, Mode::Learned)]));
    settle(reserve([&a], at(0), &costing(2, 90)).unwrap(), 99);
    let small = Wanted { cost: Bound::exact(dollars(1).pico()), ..costing(0, 0) };
    let last = reserve([&a], at(0), &small).unwrap();
    assert!(reserve([&a], at(0), &small).is_err());
    settle(last, 1);
    stands(&a, at(0), 100, 0);
}

#[test]
fn a_large_call_goes_alone_in_a_small_budget() {
    let a = account(Level::Key, &budgets(&[(10, Period::Day, Mode::Learned)]));
    let first = reserve([&a], at(0), &costing(12, 90)).unwrap();
    assert!(reserve([&a], at(0), &costing(12, 90)).is_err(), "not two");
    settle(first, 3);
    settle(reserve([&a], at(0), &costing(12, 90)).unwrap(), 3);
    assert!(reserve([&a], at(0), &costing(12, 90)).is_err(), "on average it costs 6, and 4 are free");
}

#[test]
fn nothing_is_known_and_yet_some_calls_pass_at_once() {
    let a = account(Level::Key, &budgets(&[(10, Period::Day, Mode::Learned)]));
    let wanted = Wanted { cost: Bound::guess(dollars(20).pico(), dollars(90).pico()), ..costing(0, 0) };
    let held: Vec<_> = std::iter::from_fn(|| reserve([&a], at(0), &wanted).ok()).collect();
    assert_eq!(held.len(), 8);
    let sure = Wanted { cost: Bound::guess(dollars(4).pico(), dollars(4).pico()), ..costing(0, 0) };
    drop(held);
    let held: Vec<_> = std::iter::from_fn(|| reserve([&a], at(0), &sure).ok()).collect();
    assert_eq!(held.len(), 2, "what it says is the ceiling");
}

#[test]
fn all_accounts_or_none() {
    let key = account(Level::Key, &Rules { concurrent: Some(9), ..window(Measure::Requests, 5, 60) });
    let team = account(Level::Team, &budgets(&[(10, Period::Day, Mode::Strict)]));
    let no = refused(reserve([&key, &team], at(0), &costing(1, 11)));
    assert_eq!(no.level, Level::Team);
    assert_eq!(key.under_way(), 0);
    key.limits(at(0), |limit| assert_eq!(limit.left, limit.limit, "{limit:?}"));
}

#[test]
fn a_call_is_charged_to_the_period_it_was_admitted_in() {
    let rules = budgets(&[
        (10, Period::Day, Mode::Strict),
        (40, Period::Week, Mode::Strict),
        (40, Period::Total, Mode::Strict),
    ]);
    let a = account(Level::Team, &rules);
    let receipt = reserve([&a], at(0), &costing(1, 6)).unwrap();
    let next = at(DAY);
    let state = a.budgets(next);
    assert_eq!((state[0].spent, state[0].held), (Pico::ZERO, dollars(6)), "still held");
    assert!(reserve([&a], next, &costing(1, 6)).is_err());
    settle(receipt, 5);
    let spent: Vec<_> = a.budgets(next).iter().map(|state| state.spent).collect();
    assert_eq!(spent, [Pico::ZERO, dollars(5), dollars(5)]);
    stands(&a, next, 0, 0);
}

#[test]
fn a_rolling_budget_comes_back_as_it_was_spent() {
    let a = account(Level::Owner, &budgets(&[(10, Period::Rolling(3_600), Mode::Strict)]));
    settle(reserve([&a], at(0), &costing(1, 6)).unwrap(), 6);
    settle(reserve([&a], at(600), &costing(1, 4)).unwrap(), 4);
    let no = refused(reserve([&a], at(700), &costing(1, 4)));
    assert_eq!(no.resets.unwrap().1, Duration::from_secs(3_660 - 700), "the first, and its slot");
    assert!(reserve([&a], at(3_599), &costing(1, 1)).is_err());
    stands(&a, at(3_660), 4, 0);
    stands(&a, at(4_260), 0, 0);
}

#[test]
fn a_changed_cap_keeps_what_is_spent() {
    let a = account(Level::Team, &budgets(&[(10, Period::Day, Mode::Strict)]));
    settle(reserve([&a], at(0), &costing(1, 6)).unwrap(), 6);
    let under_way = reserve([&a], at(0), &costing(1, 4)).unwrap();
    let fresh = a.configure(at(0), &budgets(&[(20, Period::Day, Mode::Learned), (90, Period::Month, Mode::Learned)]));
    assert_eq!(fresh, [Period::Month]);
    a.restore(Period::Month, NOON - 3 * DAY, dollars(30));
    a.restore(Period::Month, NOON - 40 * DAY, dollars(40));
    stands(&a, at(0), 6, 1);
    settle(under_way, 4);
    let spent: Vec<_> = a.budgets(at(0)).iter().map(|state| state.spent).collect();
    assert_eq!(spent, [dollars(10), dollars(34)]);
    assert_eq!(a.configure(at(0), &Rules::default()), []);
    assert_eq!(a.budgets(at(0)), []);
}

#[test]
fn a_warning_is_told_once_in_a_period() {
    let a = account(Level::Team, &budgets(&[(10, Period::Day, Mode::Strict)]));
    let spend = |now, cost| settle(reserve([&a], now, &costing(0, 5)).unwrap(), cost).warnings;
    assert_eq!(spend(at(0), 5), []);
    drop(reserve([&a], at(0), &costing(0, 5)).unwrap());
    let warnings = spend(at(0), 3);
    assert_eq!((warnings.len(), warnings[0].spent, warnings[0].warn_at), (1, dollars(8), 80));
    let small = Wanted { cost: Bound::exact(dollars(1).pico()), ..costing(0, 0) };
    assert_eq!(settle(reserve([&a], at(0), &small).unwrap(), 1).warnings, []);
    assert_eq!(spend(at(DAY), 5), []);
    assert_eq!(spend(at(DAY), 5).len(), 1, "and again in the next");
}

#[test]
fn a_stream_is_stretched_to_the_last_free_money_and_then_cut() {
    let key = account(Level::Key, &budgets(&[(10, Period::Day, Mode::Learned)]));
    let team = account(Level::Team, &budgets(&[(100, Period::Day, Mode::Learned)]));
    let other = reserve([&key], at(0), &costing(2, 50)).unwrap();
    let mut receipt = reserve([&key, &team], at(0), &costing(2, 50)).unwrap();
    assert_eq!(receipt.extend(dollars(1)), Stretch::Until(dollars(2)));
    let mut seen = dollars(2);
    while let Stretch::Until(reach) = receipt.extend(seen) {
        assert!(reach > seen && reach <= dollars(8), "{reach:?}");
        seen = reach;
    }
    assert_eq!(seen, dollars(8), "10, and 2 held for the other");
    stands(&key, at(0), 0, 10);
    stands(&team, at(0), 0, 8);
    drop(receipt);
    stands(&key, at(0), 8, 2);
    stands(&team, at(0), 8, 0);
    drop(other);
}

#[test]
fn what_passes_its_ceiling_is_seen_in_a_strict_budget_too() {
    let a = account(Level::Key, &budgets(&[(10, Period::Day, Mode::Strict)]));
    let mut receipt = reserve([&a], at(0), &costing(2, 6)).unwrap();
    assert!(matches!(receipt.extend(dollars(5)), Stretch::Until(_)));
    assert!(matches!(receipt.extend(dollars(8)), Stretch::Until(_)), "more than there should be");
    assert_eq!(receipt.extend(dollars(11)), Stretch::Cut);
    assert!(reserve([&a], at(0), &costing(2, 2)).is_err());
    assert_eq!(settle(receipt, 11).overshoot, dollars(1));
}

#[test]
fn clocks_step() {
    let a = account(Level::Team, &budgets(&[(10, Period::Day, Mode::Strict)]));
    settle(reserve([&a], at(DAY), &costing(1, 4)).unwrap(), 4);
    // Back by an hour, behind midnight: today goes on, and yesterday does not begin again.
    let midnight = at(DAY / 2);
    settle(reserve([&a], Now { unix: midnight.unix, ..at(DAY) }, &costing(1, 4)).unwrap(), 4);
    settle(reserve([&a], Now { unix: midnight.unix - 1_800, ..at(DAY) }, &costing(1, 2)).unwrap(), 2);
    stands(&a, Now { unix: midnight.unix - 1_800, ..at(DAY) }, 10, 0);
    // A year ahead by mistake: a new day. Back again: what was spent in it is not given twice.
    settle(reserve([&a], Now { unix: NOON + 366 * DAY, ..at(DAY) }, &costing(1, 7)).unwrap(), 7);
    let back = Now { unix: NOON + DAY + 5, ..at(DAY) };
    stands(&a, back, 7, 0);
    assert_eq!(a.budgets(back)[0].end, Some(NOON + DAY + DAY / 2), "today ends today");
}

#[test]
fn windows_say_when_there_will_be_room() {
    let a = account(Level::Model, &window(Measure::Tokens, 100, 60));
    reserve([&a], at(0), &using(60)).unwrap().settle(Pico::ZERO, Tokens { input: 50, output: 20 });
    let Err(LimitError::Full(full)) = reserve([&a], at(10), &using(40)).map(drop) else { panic!() };
    assert_eq!((full.left, full.wanted, full.retry_after), (30, 40, Some(Duration::from_secs(51))));
    assert_eq!(full.resets_at, Some((NOON + 61) as u64));
    assert!(reserve([&a], at(61), &using(40)).is_ok());
    let some = reserve([&a], at(200), &using(1)).unwrap();
    let Err(LimitError::Full(full)) = reserve([&a], at(200), &using(101)).map(drop) else { panic!() };
    assert_eq!(full.retry_after, Some(Duration::from_secs(61)), "more than the whole passes alone");
    drop(some);
    assert!(reserve([&a], at(200), &using(101)).is_ok());
}

#[test]
fn a_strict_account_holds_ceilings_of_tokens_too() {
    let rules =
        Rules { windows: window(Measure::OutputTokens, 100, 60).windows, ..budgets(&[(9, Period::Day, Mode::Strict)]) };
    let a = account(Level::Model, &rules);
    let wanted = |ceiling| Wanted { output: Bound::guess(10, ceiling), ..using(0) };
    let Err(LimitError::Full(full)) = reserve([&a], at(0), &wanted(101)).map(drop) else { panic!() };
    assert_eq!((full.wanted, full.retry_after), (101, None), "never");
    let _first = reserve([&a], at(0), &wanted(60)).unwrap();
    assert!(reserve([&a], at(0), &wanted(60)).is_err());
    assert!(reserve([&a], at(0), &wanted(40)).is_ok());
}

#[test]
fn a_call_of_before_a_new_limit_does_not_disturb_it() {
    let a = account(Level::Model, &Rules::default());
    let old = reserve([&a], at(0), &using(60)).unwrap();
    a.configure(at(1), &window(Measure::Tokens, 100, 60));
    let new = reserve([&a], at(1), &using(60)).unwrap();
    drop(old);
    a.limits(at(1), |limit| assert_eq!(limit.left, 40));
    drop(new);
    a.limits(at(1), |limit| assert_eq!(limit.left, 100));
}

#[test]
fn so_many_at_one_time() {
    let a = account(Level::Key, &Rules { concurrent: Some(2), ..Rules::default() });
    let held: Vec<_> = std::iter::from_fn(|| reserve([&a], at(0), &using(1)).ok()).collect();
    assert_eq!((held.len(), a.under_way()), (2, 2));
    let Err(LimitError::Full(full)) = reserve([&a], at(0), &using(1)).map(drop) else { panic!() };
    assert_eq!((full.measure, full.limit, full.left), (Measure::Concurrent, 2, 0));
}

#[test]
fn accounts_are_found_again_until_nobody_names_them() {
    let accounts = Accounts::default();
    let name: Arc<str> = "a".into();
    let key = accounts.account(Level::Key, &name);
    assert!(Arc::ptr_eq(&key, &accounts.account(Level::Key, &name)));
    assert!(!Arc::ptr_eq(&key, &accounts.account(Level::Owner, &name)));
    assert_eq!(accounts.list().len(), 2);
    accounts.sweep();
    assert_eq!(accounts.list().len(), 1);
}

/// Something that happens to a call under way.
#[derive(Debug, Clone)]
enum Step {
    Begin { ceiling: u64 },
    Extend { which: usize, cost: u64 },
    Settle { which: usize, part: u64 },
    Drop { which: usize },
    Wait { seconds: i64 },
    Configure { cap: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (1_u64..8).prop_map(|ceiling| Step::Begin { ceiling }),
        2 => (any::<usize>(), 0_u64..8).prop_map(|(which, cost)| Step::Extend { which, cost }),
        3 => (any::<usize>(), 0_u64..=100).prop_map(|(which, part)| Step::Settle { which, part }),
        1 => any::<usize>().prop_map(|which| Step::Drop { which }),
        2 => prop_oneof![-4_000_i64..4_000, -10 * DAY..10 * DAY].prop_map(|seconds| Step::Wait { seconds }),
        1 => (20_u64..40).prop_map(|cap| Step::Configure { cap }),
    ]
}

proptest! {
    /// In any order, with any clock: strict is never passed, every pico-dollar is spent once, and nothing stays held.
    #[test]
    fn strict_is_never_passed_and_holds_end(steps in proptest::collection::vec(step(), 1..120)) {
        let rules = |cap| budgets(&[(cap, Period::Total, Mode::Strict), (cap, Period::Day, Mode::Strict), (cap, Period::Rolling(7_200), Mode::Learned)]);
        let accounts = [account(Level::Key, &rules(20)), account(Level::Team, &rules(20))];
        let (mut open, mut spent, mut now) = (Vec::new(), Pico::ZERO, at(0));
        for step in steps {
            let pick = |which: usize, open: &Vec<(Receipt, u64)>| (!open.is_empty()).then(|| which % open.len());
            match step {
                Step::Begin { ceiling } => {
                    if let Ok(receipt) = reserve(&accounts, now, &costing(1, ceiling)) {
                        open.push((receipt, ceiling));
                    }
                }
                Step::Extend { which, cost } => {
                    if let Some(n) = pick(which, &open) {
                        let (receipt, ceiling) = &mut open[n];
                        receipt.extend(dollars(cost.min(*ceiling)));
                    }
                }
                Step::Settle { which, part } => {
                    if let Some(n) = pick(which, &open) {
                        let (receipt, ceiling) = open.swap_remove(n);
                        let cost = dollars(ceiling).share(part, 100);
                        spent = spent.saturating_add(cost);
                        let settled = receipt.settle(cost, Tokens::default());
                        let over = accounts[0].budgets(now).iter().take(2).any(|b| b.spent > b.cap);
                        prop_assert!(!over, "{settled:?}");
                    }
                }
                Step::Drop { which } => {
                    if let Some(n) = pick(which, &open) {
                        let (mut receipt, _) = open.swap_remove(n);
                        receipt.note(Pico::MICRO, Tokens::default());
                        spent = spent.saturating_add(Pico::MICRO);
                    }
                }
                Step::Wait { seconds } => {
                    now.unix += seconds;
                    now.mono += seconds.unsigned_abs() * 1_000;
                }
                Step::Configure { cap } => accounts.iter().for_each(|a| {
                    // Never below what is promised already: that would be the operator's overshoot.
                    let used = a.budgets(now).iter().map(|b| b.spent.saturating_add(b.held)).max().unwrap_or_default();
                    let cap = cap.max(used.micro().div_ceil(1_000_000) + 1);
                    a.configure(now, &rules(cap));
                }),
            }
            for budget in accounts[1].budgets(now).iter().take(2) {
                prop_assert!(budget.spent.saturating_add(budget.held) <= budget.cap, "{budget:?}");
            }
        }
        drop(open.into_iter().map(|(mut receipt, _)| receipt.note(Pico::ZERO, Tokens::default())).collect::<Vec<_>>());
        for account in &accounts {
            let state = account.budgets(now);
            prop_assert!(state.iter().all(|budget| budget.held.is_zero()));
            prop_assert_eq!(account.under_way(), 0);
            prop_assert_eq!(state[0].spent, spent, "the total is the sum of what was settled");
        }
    }
}

/// Threads that hammer the same accounts: the sums are those of one after the other.
#[test]
fn many_threads_pass_no_cap_and_lose_nothing() {
    let rules = |cap| Rules { concurrent: Some(7), ..budgets(&[(cap, Period::Total, Mode::Strict)]) };
    let accounts =
        [account(Level::Key, &rules(300)), account(Level::Team, &rules(200)), account(Level::Model, &rules(250))];
    let spent: u64 = std::thread::scope(|scope| {
        let hammer = |thread: u64| {
            let accounts = &accounts;
            move || {
                let mut spent = 0;
                for n in 0..2_000_u64 {
                    // Every thread takes the accounts in another order.
                    let order = (0..3).map(|i| &accounts[((i + thread) % 3) as usize]);
                    let Ok(mut receipt) = reserve(order, at(0), &costing(1, 3)) else { continue };
                    let budget = &accounts[1].budgets(at(0))[0];
                    assert!(budget.spent.saturating_add(budget.held) <= budget.cap, "{budget:?}");
                    if n % 3 == 0 {
                        receipt.extend(dollars(2));
                    }
                    let cost = (n + thread) % 4;
                    spent += cost;
                    settle(receipt, cost);
                }
                spent
            }
        };
        let threads: Vec<_> = (0..4).map(|thread| scope.spawn(hammer(thread))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert!((195..=200).contains(&spent), "{spent}: the smallest is used up");
    for account in &accounts {
        stands(account, at(0), spent, 0);
        assert_eq!(account.under_way(), 0);
    }
}
