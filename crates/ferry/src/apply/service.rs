//! Calls of the service, each as long as its budget lets it wait.

use super::plan::State;
use super::read::Declared;
use crate::client::{ANSWER, Client, ConnectArgs, Problem};
use ferry_proto::v1 as pb;
use std::collections::BTreeMap;
use std::time::Duration;
use tonic::{Code, Response, Status};
use tonic_types::StatusExt;

/// The largest page.
const PAGE: i32 = 500;
/// A hundred resources ask more often than a tenant may without a pause; whoever has to wait longer is told.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) struct Service<'a> {
    pub(super) client: Client,
    pub(super) args: &'a ConnectArgs,
    pub(super) tenant: &'a str,
}

/// What a call answers. Where the tenant's budget is used up it is asked again as the service says; nothing was done
/// then, and the request id is the same.
pub(super) async fn call<T, F>(ask: impl Fn() -> F) -> Result<T, Status>
where
    F: Future<Output = Result<Response<T>, Status>>,
{
    let mut waited = Duration::ZERO;
    loop {
        let status = match tokio::time::timeout(ANSWER, ask()).await {
            Ok(Ok(answer)) => return Ok(answer.into_inner()),
            Ok(Err(status)) => status,
            Err(_) => return Err(Status::deadline_exceeded("there was no answer")),
        };
        let wait = match (status.code(), status.get_details_retry_info()) {
            (Code::ResourceExhausted, Some(info)) => info.retry_delay,
            _ => None,
        };
        let wait = wait.map(|wait| wait.max(Duration::from_millis(50))).filter(|wait| waited + *wait <= PATIENCE);
        let Some(wait) = wait else { return Err(status) };
        tokio::time::sleep(wait).await;
        waited += wait;
    }
}

impl Service<'_> {
    pub(super) fn parent(&self) -> String {
        format!("tenants/{}", self.tenant)
    }

    pub(super) fn explain(&self, status: &Status) -> Problem {
        self.args.explain(status)
    }

    /// What is there, as far as it has to be known.
    pub(super) async fn state(&self, declared: &Declared) -> Result<State, Problem> {
        let exports = self.exports().await?;
        // Only then is it asked who may see connections: a viewer looks at exports too.
        let differs = |item: &super::read::Item<super::model::Export>| {
            let found = exports.get(&item.id).map(|found| super::model::last(&found.connection));
            found.is_none() || found != Some(item.wanted.connection.clone().unwrap_or_default())
        };
        let looks = !declared.connections.is_empty() || declared.exports.iter().any(differs);
        let connections =
            if looks { Some(self.connections().await.map_err(|status| self.explain(&status))?) } else { None };
        let refresh = if declared.refresh.is_some() { Some(self.refresh().await?) } else { None };
        Ok(State { connections, exports, refresh })
    }

    pub(super) async fn exports(&self) -> Result<BTreeMap<String, pb::Export>, Problem> {
        let mut found = BTreeMap::new();
        let mut request =
            pb::ListExportsRequest { parent: self.parent(), page_size: PAGE, ..pb::ListExportsRequest::default() };
        loop {
            let page = call(|| {
                let (mut exports, request) = (self.client.exports.clone(), request.clone());
                async move { exports.list_exports(request).await }
            });
            let page = page.await.map_err(|status| self.explain(&status))?;
            found.extend(page.exports.into_iter().map(|export| (super::model::last(&export.name), export)));
            if page.next_page_token.is_empty() {
                return Ok(found);
            }
            request.page_token = page.next_page_token;
        }
    }

    pub(super) async fn connections(&self) -> Result<BTreeMap<String, pb::Connection>, Status> {
        let mut found = BTreeMap::new();
        let mut request =
            pb::ListConnectionsRequest { parent: self.parent(), page_size: PAGE, page_token: String::new() };
        loop {
            let page = call(|| {
                let (mut connections, request) = (self.client.connections.clone(), request.clone());
                async move { connections.list_connections(request).await }
            });
            let page = page.await?;
            let named = |connection: pb::Connection| (super::model::last(&connection.name), connection);
            found.extend(page.connections.into_iter().map(named));
            if page.next_page_token.is_empty() {
                return Ok(found);
            }
            request.page_token = page.next_page_token;
        }
    }

    pub(super) async fn refresh(&self) -> Result<pb::RefreshSchedule, Problem> {
        let request = pb::GetRefreshScheduleRequest { name: format!("{}/refreshSchedule", self.parent()) };
        let found = call(|| {
            let (mut refresh, request) = (self.client.refresh.clone(), request.clone());
            async move { refresh.get_refresh_schedule(request).await }
        });
        let found = found.await.map_err(|status| self.explain(&status))?;
        Ok(found.refresh_schedule.unwrap_or_default())
    }
}
