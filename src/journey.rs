//! The whole way of a request, outermost first.
//!
//! Each line says what it turns into what, and how it refuses. Cheap refusals come first: nothing that costs (a body, a
//! connection) happens before the caller is known. A wrong order does not compile, because every stage has a type of its
//! own; here `authorize` stands before the body is read:
//!
//! ```compile_fail,E0277
//! use std::sync::Arc;
//! use tollgate::policy::{Core, admit, authenticate, authorize, gate};
//! use tower::ServiceBuilder;
//!
//! fn swapped<S>(core: &Arc<Core>, end: S)
//! where
//!     S: tower::Service<tollgate::call::Admitted, Response = (), Error = tollgate::error::Error>
//!         + Clone + Send + 'static,
//!     S::Future: Send,
//! {
//!     fn takes_arrivals<S: tower::Service<tollgate::call::Arrival<http_body_util::Empty<bytes::Bytes>>>>(_: S) {}
//!     takes_arrivals(
//!         ServiceBuilder::new()
//!             .layer(gate::gate(authenticate::Authenticate(Arc::clone(core))))
//!             .layer(gate::gate(authorize::Authorize)) // needs the call's model, which only `admit` knows
//!             .layer(admit::admit(core))
//!             .service(end),
//!     );
//! }
//! ```

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http_body::Body;
use tower::{Service, ServiceBuilder};

use crate::call::Attempt;
use crate::error::Error;
use crate::listen::Inbound;
use crate::message::Response;
use crate::policy::Core;
use crate::policy::admit::admit;
use crate::policy::authenticate::Authenticate;
use crate::policy::authorize::Authorize;
use crate::policy::catalog::catalog;
use crate::policy::failover::failover;
use crate::policy::fund::Fund;
use crate::policy::gate::gate;
use crate::policy::identify::identify;
use crate::policy::observe::{Observed, observe};
use crate::policy::plan::MakePlan;
use crate::policy::reply::ReplyBody;
use crate::policy::rescue::rescue;
use crate::policy::settle::{Settling, settle};
use crate::upstream::body::Answer;

/// The body that a journey answers with, over an upstream's.
pub type AnswerBody<A> = Observed<ReplyBody<Settling<A>>>;

/// The stack of one core, from a client's request to an upstream's answer and back.
pub fn journey<B, A, U>(
    core: &Arc<Core>,
    upstream: U,
) -> impl Service<Inbound<B>, Response = Response<AnswerBody<A>>, Error = Infallible, Future: Send>
+ Clone
+ Send
+ Sync
+ use<B, A, U>
where
    B: Body<Data = Bytes> + Unpin + Send + 'static,
    A: Answer + Send + 'static,
    U: Service<Attempt, Response = Response<A>, Error = Error, Future: Send> + Clone + Send + Sync + 'static,
{
    ServiceBuilder::new()
        .layer(identify(core)) //                           Inbound -> Arrival: an id, the rules, the door, the agent
        .layer(observe(core)) //                            one access record, whatever happens
        .layer(rescue()) //                                 below: errors. above: only responses
        .layer(gate(Authenticate(Arc::clone(core)))) //     -> Identified                401, the body still unread
        .layer(catalog(core)) //                            the listings, and what a key asks of itself, end here
        .layer(admit(core)) //                              -> Admitted: body, model     400 413 503
        .layer(gate(Authorize)) //                          may this key use this model  403
        // limit, guard, cache
        .layer(gate(MakePlan(Arc::clone(core)))) //         -> Planned: targets          404
        .layer(gate(Fund(Arc::clone(core)))) //             -> Funded: a receipt
        .layer(settle(core)) //                             once per call: tokens, the receipt
        .layer(failover(core)) //                           Attempt by Attempt           424 503
        .service(upstream)
}
