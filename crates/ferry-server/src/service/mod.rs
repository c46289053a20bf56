//! One thin service each. An RPC that is not built yet would answer UNIMPLEMENTED and stand on [`UNIMPLEMENTED`].

mod addressed;
mod audit;
mod connection;
mod export;
mod notification;
mod refresh;
mod run;
mod segment;
mod tenant;

pub(crate) use audit::AuditApi;
pub(crate) use connection::ConnectionApi;
pub(crate) use export::ExportApi;
pub(crate) use notification::NotificationApi;
pub(crate) use refresh::RefreshApi;
pub(crate) use run::RunApi;
pub(crate) use segment::SegmentApi;
pub(crate) use tenant::TenantApi;

use crate::limits::rate::Rates;
use crate::status::{Asked, status};
use addressed::Addressed;
use ferry_control::PageRequest;
use ferry_domain::Error;
use ferry_domain::authz::Actor;
use std::sync::Arc;
use tonic::{Request, Response, Status};

/// RPCs of the API that are not built yet. A test lets the list only shrink.
pub const UNIMPLEMENTED: &[&str] = &[];

// An RPC without a line in the policy table does not compile.
const _: () = ferry_domain::authz::policy::covers(ferry_proto::METHODS);

/// A request taken apart: who calls, what they ask, and how to answer an error.
pub(crate) struct Call<T> {
    pub(crate) actor: Actor,
    pub(crate) message: T,
    asked: Asked,
}

impl<T: Addressed> Call<T> {
    /// The edge has put the actor in; without one there is no call. The request is paid for here, since every handler
    /// begins here and a request that says nothing of its tenant does not compile.
    pub(crate) fn new(request: Request<T>) -> Result<Self, Status> {
        let asked = request.extensions().get::<Asked>().cloned().unwrap_or(Asked::new(String::new()));
        let (Some(actor), Some(rates)) =
            (request.extensions().get::<Actor>().cloned(), request.extensions().get::<Arc<Rates>>().cloned())
        else {
            return Err(status(Error::Unauthenticated, &asked));
        };
        let message = request.into_inner();
        asked.about(message.resource());
        rates.charge(&actor, message.resource()).map_err(|error| status(error, &asked))?;
        Ok(Self { actor, message, asked })
    }

    /// What the use case needs, apart from how to answer.
    pub(crate) fn parts(self) -> (Actor, T, Answer) {
        (self.actor, self.message, Answer(self.asked))
    }
}

/// Turns a result into an answer.
#[derive(Clone)]
pub(crate) struct Answer(Asked);

impl Answer {
    pub(crate) fn with<T, R>(
        &self,
        result: ferry_domain::Result<T>,
        wrap: impl FnOnce(T) -> R,
    ) -> Result<Response<R>, Status> {
        result.map(|value| Response::new(wrap(value))).map_err(|error| self.refuse(error))
    }

    /// An error as its caller gets it.
    pub(crate) fn refuse(&self, error: Error) -> Status {
        status(error, &self.0)
    }
}

pub(crate) fn page(size: i32, token: String) -> PageRequest {
    PageRequest { size, token }
}
