//! Reserve what the call may cost at its plan's dearest target. (Nothing has a price yet: the receipt is free.)

use std::sync::Arc;

use super::Core;
use super::gate::Decide;
use crate::call::{Funded, Planned};
use crate::error::Error;

/// See the module.
#[derive(Debug, Clone)]
pub struct Fund(pub Arc<Core>);

impl Decide<Planned> for Fund {
    type Out = Funded;

    fn decide(&self, planned: Planned) -> Result<Funded, Error> {
        let Planned { trail, call, held, plan } = planned;
        Ok(Funded { trail, call, held, plan, receipt: self.0.ledger.reserve() })
    }
}
