//! Which targets, in which order. Refused here: 404.
//!
//! Invariant: a call that names something stored goes to the provider that made it, and only for whom it was made. Whoever
//! has no right to an id hears what he would hear if there were none.

use std::sync::Arc;

use smallvec::SmallVec;

use super::Core;
use super::gate::Decide;
use crate::call::{Admitted, Call, Plan, Planned, Reference};
use crate::error::{BodyError, Error, ModelError, RequestError};
use crate::owned::Owned;
use crate::protocol::unmetered::Operation;
use crate::protocol::{Dialect, Endpoint};
use crate::snapshot::routes::{Target, UpstreamModel};

/// See the module.
#[derive(Debug, Clone)]
pub struct MakePlan(pub Arc<Core>);

impl Decide<Admitted> for MakePlan {
    type Out = Planned;

    fn decide(&self, admitted: Admitted) -> Result<Planned, Error> {
        let Admitted { trail, call, held } = admitted;
        let plan = match &call.refers[..] {
            [] => match call.endpoint {
                Endpoint::Unmetered(operation) => unmetered(&call, operation)?,
                _ => plan(&call)?,
            },
            [first, rest @ ..] => bound(&self.0.owned, &call, first, rest)?,
        };
        Ok(Planned { trail, call, held, plan })
    }
}

fn plan(call: &Call) -> Result<Plan, Error> {
    let Some((index, captured)) = call.rules.routes.index(call.dialect, &call.model) else {
        return Err(unserved(call).into());
    };
    let route = &call.rules.routes.routes[index as usize];
    // Each of its requests repeats the model's name, and the provider wants them all alike: only the one in the path is ours
    // to change.
    if call.endpoint == Endpoint::BatchEmbedContents && route.targets.iter().any(|t| t.renames(&call.model, captured)) {
        let want = "the provider's own name of the model, which has another one here: use embedContent";
        return Err(BodyError::FieldInvalid { field: "requests[].model", want }.into());
    }
    let needed = route.targets.iter().any(|target| matches!(target.model, UpstreamModel::Captured { .. }));
    let order = (0..route.targets.len()).filter_map(|i| u16::try_from(i).ok()).collect::<SmallVec<_>>();
    Ok(Plan { route: index, order, captured: needed.then(|| captured.into()) })
}

/// The plan of a call that cannot be counted and names nothing: the provider that gets those of its API.
fn unmetered(call: &Call, operation: Operation) -> Result<Plan, RequestError> {
    let vendor = operation.vendor();
    let unmetered = call.rules.routes.unmetered;
    let chosen = unmetered.and_then(|unmetered| Some((unmetered.route, unmetered.places[vendor as usize]?)));
    let (route, place) = chosen.ok_or(RequestError::UnmeteredUnserved { vendor: vendor.name() })?;
    Ok(Plan { route, order: SmallVec::from_slice(&[place]), captured: None })
}

/// The plan of a call that names stored things: only the provider that has them all.
fn bound(owned: &Owned, call: &Call, first: &Reference, rest: &[Reference]) -> Result<Plan, Error> {
    let holder = call.holder();
    let maker = |named: &Reference| owned.maker(named.object, &named.id, &holder).ok_or_else(|| unknown(named));
    let provider = maker(first)?;
    for named in rest {
        if maker(named)? != provider {
            return Err(unknown(named).into());
        }
    }
    let is_there = |target: &Arc<Target>| *target.provider.name == *provider;
    if !call.endpoint.is_metered() {
        let routes = &call.rules.routes;
        let index = if call.endpoint.is_stored() { routes.keepers } else { routes.unmetered.map(|u| u.route) };
        let index = index.ok_or_else(|| unknown(first))?;
        let keepers = &routes.routes[index as usize].targets;
        let place = keepers.iter().position(is_there).and_then(|place| u16::try_from(place).ok());
        let place = place.ok_or_else(|| unknown(first))?;
        return Ok(Plan { route: index, order: SmallVec::from_slice(&[place]), captured: None });
    }
    let mut plan = plan(call)?;
    let targets = &plan.route(call).targets;
    let order = plan.order.iter().copied().filter(|n| targets.get(usize::from(*n)).is_some_and(is_there)).collect();
    plan.order = order;
    if plan.order.is_empty() {
        // This model is asked for elsewhere, where nobody knows the id.
        return Err(unknown(first).into());
    }
    Ok(plan)
}

fn unknown(named: &Reference) -> RequestError {
    RequestError::ObjectUnknown { field: named.field, id: named.id.clone() }
}

/// A model that another dialect reaches is a different mistake than one that nobody knows.
fn unserved(call: &Call) -> ModelError {
    let elsewhere = Dialect::ALL.iter().filter_map(|d| call.rules.routes.find(*d, &call.model)).next();
    let provider = elsewhere.and_then(|found| found.route.targets.first());
    match provider {
        None => ModelError::Unknown { model: call.model.clone() },
        Some(target) => ModelError::DialectUnserved {
            model: call.model.clone(),
            provider: target.provider.name.as_ref().into(),
            dialect: call.dialect.name(),
        },
    }
}
