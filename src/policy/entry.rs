//! What every entry in the usage journal says alike: whose the call is, who served it as what, with whose credential,
//! and at what price.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use crate::call::{Call, Trail};
use crate::ledger::name::Name;
use crate::ledger::record::{Intent, Said};
use crate::money::Pico;
use crate::price::{Gaps, Priced, Rates};
use crate::protocol::usage::Usage;
use crate::snapshot::routes::{Target, UpstreamModel};

/// The client's own credential, in records.
static CLIENTS: LazyLock<Name> = LazyLock::new(|| Name::of("(client)"));

/// Whose a call is, that was admitted `at` (milliseconds since 1970) and holds so much.
pub(super) fn intent<'c>(call: &'c Call, trail: &'c Trail, at: u64, hold: Pico) -> Intent<'c> {
    let payers = call.rules.payers(call.key);
    Intent {
        call: trail.id.number(),
        at,
        key: payers.key,
        owner: payers.owner,
        team: payers.team,
        organisation: payers.organisation,
        agent: Said::Here(call.agent),
        dialect: Said::Here(call.dialect),
        session: trail.session.get().map_or("", |session| session),
        user: trail.user.as_deref().unwrap_or_default(),
        asked: &call.model,
        hold,
        known: Pico::ZERO,
    }
}

/// A target of the call's route: the provider's name, and the credential's. A provider has one, named like it, beside those
/// that clients bring.
pub(super) fn who(call: &Call, route: u32, target: &Arc<Target>) -> (Name, Name) {
    let place = call.rules.routes.routes[route as usize].targets.iter().position(|one| Arc::ptr_eq(one, target));
    let provider = place.and_then(|place| call.rules.fare(route).providers.get(place)).copied().unwrap_or_default();
    let credential = if call.own_credential(&target.provider).is_some() { *CLIENTS } else { provider };
    (provider, credential)
}

/// What the target was asked for.
pub(super) fn asked_for<'c>(call: &'c Call, target: &'c Target) -> Cow<'c, str> {
    match &target.model {
        UpstreamModel::Same => Cow::Borrowed(&call.model),
        UpstreamModel::Named(name) => Cow::Borrowed(name),
        UpstreamModel::Captured { prefix, suffix } => {
            let captured = call.rules.routes.index(call.dialect, &call.model).map_or("", |(_, captured)| captured);
            Cow::Owned(format!("{prefix}{captured}{suffix}"))
        }
    }
}

/// Which prices a call was charged by.
pub(super) fn prices(rates: &Rates) -> Name {
    Name::numbered(*rates.number.get_or_init(|| Name::of(&rates.version).number()))
}

/// What was used costs so much at a moment (seconds since 1970), where anything is charged.
pub(super) fn priced(rates: Option<&Rates>, usage: &Usage, at: u64, charged: bool) -> Priced {
    match rates {
        _ if !charged => Priced { cost: Pico::ZERO, gaps: Gaps::NONE },
        Some(rates) => rates.cost(usage, at),
        None => Priced::UNKNOWN,
    }
}
