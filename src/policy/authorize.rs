//! May this key use this model? Refused here: 403.
//!
//! Asked before the model is looked up, so a key learns nothing about models that are not its own.

use super::gate::Decide;
use crate::call::Admitted;
use crate::error::{Error, ModelError};

/// See the module.
#[derive(Debug, Clone, Copy)]
pub struct Authorize;

impl Decide<Admitted> for Authorize {
    type Out = Admitted;

    fn decide(&self, admitted: Admitted) -> Result<Admitted, Error> {
        let call = &admitted.call;
        let key = call.key();
        // What is stored was allowed when it was made; whose it is, the plan asks. What is unmetered has no model that we know.
        if !call.endpoint.is_metered() || key.may_use(&call.model) {
            return Ok(admitted);
        }
        Err(ModelError::NotAllowed { model: call.model.clone(), key: key.name.as_ref().into() }.into())
    }
}
