//! Two tenants and those who call.

use super::ask::{Ask, Names, Rpc};
use super::wire::{Answer, Wire};
use super::{calls, world};
use ferry_proto::v1::connection::Access;
use ferry_testkit::{Stage, TENANT, canary};
use std::collections::BTreeMap;

/// Names of one kind have one length, so that a placeholder can stand for any of them in encoded details.
pub(super) const OTHER: &str = "zeta";
pub(super) const NONE: &str = "none";

/// Stands in everything of the other tenant that can be read.
pub(super) const CANARY: &str = "canary-of-zeta";

/// Ourselves with a shared connection and one that is not, and another tenant with all that can be named.
pub(super) struct Scene {
    pub(super) stage: Stage,
    pub(super) wire: Wire,
    /// On a shared connection.
    pub(super) own: Names,
    /// On one that is not.
    pub(super) hidden: Names,
    pub(super) other: Names,
}

impl Scene {
    pub(super) async fn new() -> Self {
        let stage = Stage::new().await;
        let wire = Wire::connect(stage.addr()).await;
        stage.segment("people", "csv", canary::csv([canary::row("person")]).as_bytes());
        world::make_tenant(&stage, OTHER, &format!("{CANARY}@example.com,{CANARY}\n{CANARY},{CANARY}")).await;
        let mut made = Vec::new();
        let things = [(TENANT, "shared", "weekly"), (TENANT, "hidden", "secret"), (OTHER, "victim", "victim")];
        for (tenant, connection, export) in things {
            let mut client = world::administrator(&stage, world::SOMEBODY, tenant).await;
            let stored = world::make_connection(&stage, &mut client, tenant, connection).await.name;
            if tenant == OTHER {
                world::rename(&mut client, &stored, CANARY).await;
            }
            if connection != "hidden" {
                world::make_webhook(&mut client, tenant, if tenant == OTHER { CANARY } else { "Hook" }).await;
            }
            let exported = world::make_export(&mut client, tenant, export, &stored).await.name;
            let run = world::run_to_the_end(&mut client, &exported).await;
            if connection != "hidden" {
                world::share(&mut client, &stored, Access::AdministratorsAndContributors).await;
            }
            made.push(world::names(tenant, connection, export, run.rsplit('/').next().unwrap()));
        }
        let [own, hidden, other] = made.try_into().unwrap();
        Self { stage, wire, own, hidden, other }
    }

    /// Callers of our own tenant, and of none.
    pub(super) fn callers(&self) -> BTreeMap<&'static str, String> {
        let mut callers = BTreeMap::new();
        for role in ["viewer", "contributor", "administrator"] {
            callers.insert(role, world::token(&self.stage, world::CALLER, TENANT, role));
        }
        callers.insert("no role", self.stage.sign(world::CALLER, &[]));
        callers.insert("operator", self.stage.sign(world::CALLER, &[("operator", true.into())]));
        callers
    }

    /// Our own names but for one part.
    pub(super) fn with(&self, part: usize, value: &str) -> Names {
        let mut names = self.own.clone();
        value.clone_into(names.part(part));
        names
    }

    /// Changes nothing, whoever asks.
    pub(super) async fn gently(&self, rpc: &Rpc, token: &str, names: &Names) -> Answer {
        let body = calls::request(&rpc.name, &Ask::gently(names)).unwrap();
        self.wire.call(&rpc.name, rpc.is_stream, token, &body).await
    }

    /// Without an etag, so that what is named is looked at.
    pub(super) async fn ask(&self, rpc: &Rpc, token: &str, names: &Names) -> Answer {
        let body = calls::request(&rpc.name, &Ask { names, etag: "", validate_only: true }).unwrap();
        self.wire.call(&rpc.name, rpc.is_stream, token, &body).await
    }
}

/// A kind of name as `names` has it, optional ones too.
pub(super) fn part_of(names: &Names, part: usize) -> String {
    let mut names = names.clone();
    names.plan.clone_from(&names.run);
    names.watched.clone_from(&names.run);
    names.part(part).clone()
}
