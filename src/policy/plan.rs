//! Which targets, in which order. Refused here: 404.

use smallvec::SmallVec;

use super::gate::Decide;
use crate::call::{Admitted, Call, Plan, Planned};
use crate::error::{Error, ModelError};
use crate::protocol::Dialect;
use crate::snapshot::routes::UpstreamModel;

/// See the module.
#[derive(Debug, Clone, Copy)]
pub struct MakePlan;

impl Decide<Admitted> for MakePlan {
    type Out = Planned;

    fn decide(&self, admitted: Admitted) -> Result<Planned, Error> {
        let Admitted { trail, call, held } = admitted;
        let plan = plan(&call)?;
        Ok(Planned { trail, call, held, plan })
    }
}

fn plan(call: &Call) -> Result<Plan, ModelError> {
    let Some((index, captured)) = call.rules.routes.index(call.dialect, &call.model) else {
        return Err(unserved(call));
    };
    let route = &call.rules.routes.routes[index as usize];
    let needed = route.targets.iter().any(|target| matches!(target.model, UpstreamModel::Captured { .. }));
    let order = (0..route.targets.len()).filter_map(|i| u16::try_from(i).ok()).collect::<SmallVec<_>>();
    Ok(Plan { route: index, order, captured: needed.then(|| captured.into()) })
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
