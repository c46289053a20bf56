//! Asks the service whether each step can be done, and does them one after the other.

use super::model::Secret;
use super::plan::{Action, Plan, Step, Target};
use super::read::{Declared, Item};
use super::service::{Service, call};
use super::yaml::{Fault, Place};
use crate::client::{Problem, reason};
use ferry_proto::v1 as pb;
use prost_types::FieldMask;
use std::collections::BTreeMap;
use std::path::Path;
use tonic::{Code, Status};
use tonic_types::StatusExt;
use uuid::Uuid;
use zeroize::Zeroizing;

/// Keys that were read here, by connection. They go into requests and nowhere else.
pub(super) type Keys = BTreeMap<String, Zeroizing<String>>;

pub(super) struct Carrier<'a> {
    pub(super) service: Service<'a>,
    pub(super) declared: &'a Declared,
    pub(super) plan: &'a Plan,
    pub(super) keys: Keys,
    /// New connections are stored without asking the destination.
    pub(super) skip_verification: bool,
}

/// Why something cannot be done.
pub(super) enum Refused {
    /// The files are at fault.
    Faults(Vec<Fault>),
    /// Everything else.
    Problem(Problem),
}

/// How far it came.
pub(super) struct Carried {
    pub(super) done: usize,
    pub(super) stopped: Option<Refused>,
}

/// Reads the keys that the steps need. `folders` are those of the files, which the paths in them begin at.
pub(super) fn keys(plan: &Plan, declared: &Declared, folders: &[&Path]) -> Result<Keys, Vec<Fault>> {
    let (mut keys, mut faults) = (Keys::new(), Vec::new());
    for step in &plan.steps {
        let Target::Connection(at) = step.target else { continue };
        let sends_key = step.mask.contains(&"settings.activecampaign.api_key");
        if step.action != Action::Create && !sends_key {
            continue;
        }
        let item = &declared.connections[at];
        let read = match &item.wanted.secret {
            Secret::Unsaid | Secret::Reference(_) => continue,
            Secret::Variable(name) => std::env::var(name).map_err(|_| format!("the variable {name} is not set here")),
            Secret::File(path) => {
                let path = folders[item.place.file].join(path);
                std::fs::read_to_string(&path).map_err(|error| format!("{} cannot be read: {error}", path.display()))
            }
        };
        // What is at fault is told without what was read.
        match read.map(Zeroizing::new) {
            Ok(text) if text.trim().is_empty() => {
                faults.push(Fault::at(key_place(item), format!("the API key of connection `{}` is empty", item.id)));
            }
            Ok(text) => drop(keys.insert(item.id.clone(), Zeroizing::new(text.trim().to_owned()))),
            Err(why) => faults.push(Fault::at(key_place(item), why)),
        }
    }
    if faults.is_empty() { Ok(keys) } else { Err(faults) }
}

fn key_place<T>(item: &Item<T>) -> Place {
    item.place_of("connection.settings.activecampaign.api_key")
}

fn mask(paths: &[&'static str]) -> Option<FieldMask> {
    Some(FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() })
}

impl Carrier<'_> {
    /// Asks of each step whether it can be done. What stands on a connection that is yet to be made is asked later.
    pub(super) async fn check(&self) -> Result<(), Refused> {
        let now: Vec<&Step> = self.plan.steps.iter().filter(|step| !self.waits(step)).collect();
        self.check_all(&now).await
    }

    /// Does all steps, and stops at the first that fails.
    pub(super) async fn carry(&self) -> Carried {
        let is_connection = |step: &&Step| matches!(step.target, Target::Connection(_));
        let connections: Vec<&Step> = self.plan.steps.iter().filter(is_connection).collect();
        let others: Vec<&Step> = self.plan.steps.iter().filter(|step| !is_connection(step)).collect();
        let mut done = 0;
        if let Err(stopped) = self.carry_all(&connections, &mut done).await {
            return Carried { done, stopped: Some(stopped) };
        }
        let waiting: Vec<&Step> = others.iter().copied().filter(|step| self.waits(step)).collect();
        let checked = self.check_all(&waiting).await;
        let carried = match checked {
            Ok(()) => self.carry_all(&others, &mut done).await,
            Err(refused) => Err(refused),
        };
        Carried { done, stopped: carried.err() }
    }

    /// Whether a step stands on a connection that is not there before.
    fn waits(&self, step: &Step) -> bool {
        let Target::Export(at) = step.target else { return false };
        let on = self.declared.exports[at].wanted.connection.as_deref();
        step.action == Action::Create
            && self.plan.steps.iter().any(|other| {
                matches!(other.target, Target::Connection(_))
                    && other.action == Action::Create
                    && Some(other.id.as_str()) == on
            })
    }

    async fn check_all(&self, steps: &[&Step]) -> Result<(), Refused> {
        let mut faults = Vec::new();
        for step in steps {
            match self.ask(step, true).await {
                Ok(()) => {}
                Err(status) => match self.refused(step, &status) {
                    Refused::Faults(more) => faults.extend(more),
                    // All others would fail in the same way.
                    refused if reason(&status).is_empty() => return Err(refused),
                    Refused::Problem(problem) => {
                        let text = problem.to_string().replace("\n  ", "; ");
                        faults.push(Fault { place: self.place(step), text });
                    }
                },
            }
        }
        faults.sort_by_key(|fault| fault.place);
        if faults.is_empty() { Ok(()) } else { Err(Refused::Faults(faults)) }
    }

    async fn carry_all(&self, steps: &[&Step], done: &mut usize) -> Result<(), Refused> {
        for step in steps {
            self.ask(step, false).await.map_err(|status| self.refused(step, &status))?;
            *done += 1;
        }
        Ok(())
    }

    fn place(&self, step: &Step) -> Option<Place> {
        match step.target {
            Target::Connection(at) => Some(self.declared.connections[at].place),
            Target::Export(at) => Some(self.declared.exports[at].place),
            Target::Refresh => self.declared.refresh.as_ref().map(|item| item.place),
            Target::Undeclared => None,
        }
    }

    /// What a status says of a step, with the place in the file where there is one.
    fn refused(&self, step: &Step, status: &Status) -> Refused {
        let bad = status.get_details_bad_request().map(|found| found.field_violations).unwrap_or_default();
        if !bad.is_empty() {
            let fault = |violation: tonic_types::FieldViolation| {
                let place = match step.target {
                    Target::Connection(at) => Some(self.declared.connections[at].place_of(&violation.field)),
                    Target::Export(at) => Some(self.declared.exports[at].place_of(&violation.field)),
                    Target::Refresh => self.declared.refresh.as_ref().map(|item| item.place_of(&violation.field)),
                    Target::Undeclared => None,
                };
                let field = violation.field.split_once('.').map_or("id", |(_, field)| field);
                Fault { place, text: format!("{}: {field}: {}", step.title(), violation.description) }
            };
            return Refused::Faults(bad.into_iter().map(fault).collect());
        }
        let problem = self.service.explain(status).about(&step.title());
        Refused::Problem(match status.code() {
            Code::Aborted if !reason(status).is_empty() => {
                problem.todo("it was changed meanwhile; run `ferry apply` again")
            }
            // The id of a removed export is not given again.
            Code::AlreadyExists if !reason(status).is_empty() => {
                problem.todo("somebody has just made one, or had one and removed it; then take another id")
            }
            _ => problem,
        })
    }

    /// Does a step, or asks whether it could be done.
    async fn ask(&self, step: &Step, validate_only: bool) -> Result<(), Status> {
        match step.target {
            Target::Connection(at) => self.connection(step, at, validate_only).await,
            Target::Export(at) if step.action == Action::Create => self.create_export(step, at, validate_only).await,
            Target::Export(at) => self.update_export(step, at, validate_only).await,
            // The service has no check for these alone; the plan has looked at what can be seen.
            Target::Refresh | Target::Undeclared if validate_only => Ok(()),
            Target::Refresh => self.update_refresh(step).await,
            Target::Undeclared => self.delete_export(step).await,
        }
    }

    async fn connection(&self, step: &Step, at: usize, validate_only: bool) -> Result<(), Status> {
        let item = &self.declared.connections[at];
        let key = self.keys.get(&item.id).map_or("", |key| key.as_str());
        let message = item.wanted.message(key);
        let request_id = Uuid::new_v4().to_string();
        let client = &self.service.client.connections;
        if step.action == Action::Create {
            let request = pb::CreateConnectionRequest {
                parent: self.service.parent(),
                connection_id: item.id.clone(),
                connection: Some(message),
                skip_verification: self.skip_verification,
                request_id,
                validate_only,
            };
            let created = call(|| {
                let (mut client, request) = (client.clone(), request.clone());
                async move { client.create_connection(request).await }
            });
            return created.await.map(|_| ());
        }
        let message = pb::Connection { name: step.name(self.service.tenant), etag: step.etag.clone(), ..message };
        let request = pb::UpdateConnectionRequest {
            connection: Some(message),
            update_mask: mask(&step.mask),
            request_id,
            validate_only,
        };
        let updated = call(|| {
            let (mut client, request) = (client.clone(), request.clone());
            async move { client.update_connection(request).await }
        });
        updated.await.map(|_| ())
    }

    async fn create_export(&self, step: &Step, at: usize, validate_only: bool) -> Result<(), Status> {
        let request = pb::CreateExportRequest {
            parent: self.service.parent(),
            export_id: step.id.clone(),
            export: Some(self.declared.exports[at].wanted.message(self.service.tenant)),
            request_id: Uuid::new_v4().to_string(),
            validate_only,
        };
        let created = call(|| {
            let (mut client, request) = (self.service.client.exports.clone(), request.clone());
            async move { client.create_export(request).await }
        });
        created.await.map(|_| ())
    }

    /// The connection of an export has calls of its own. Between two connections it has none while its settings change:
    /// the number of a list is one account's own, and nothing may run with the number of the other.
    async fn update_export(&self, step: &Step, at: usize, validate_only: bool) -> Result<(), Status> {
        let name = step.name(self.service.tenant);
        let message = self.declared.exports[at].wanted.message(self.service.tenant);
        let connection = message.connection.clone();
        let moves = step.mask.contains(&"connection") && !validate_only;
        let paths: Vec<&'static str> = step.mask.iter().copied().filter(|path| *path != "connection").collect();
        let mut etag = step.etag.clone();
        if !paths.is_empty() {
            if moves && !connection.is_empty() {
                etag = self.move_export(&name, "", etag).await?;
            }
            let message = pb::Export { name: name.clone(), etag, ..message };
            etag = self.change_export(message, paths, validate_only).await?;
        }
        if moves {
            self.move_export(&name, &connection, etag).await?;
        }
        Ok(())
    }

    /// Changes everything but the connection. The new etag comes back.
    async fn change_export(
        &self,
        message: pb::Export,
        mut paths: Vec<&'static str>,
        validate_only: bool,
    ) -> Result<String, Status> {
        // Whether the columns are there is only asked of both together.
        let pair = ["segments", "field_mappings"];
        if validate_only && pair.iter().any(|path| paths.contains(path)) {
            let missing: Vec<_> = pair.into_iter().filter(|path| !paths.contains(path)).collect();
            paths.extend(missing);
        }
        let request = pb::UpdateExportRequest {
            export: Some(message),
            update_mask: mask(&paths),
            request_id: Uuid::new_v4().to_string(),
            validate_only,
        };
        let updated = call(|| {
            let (mut client, request) = (self.service.client.exports.clone(), request.clone());
            async move { client.update_export(request).await }
        });
        Ok(updated.await?.export.unwrap_or_default().etag)
    }

    /// Attaches an export, or detaches it. Its new etag comes back.
    async fn move_export(&self, name: &str, connection: &str, etag: String) -> Result<String, Status> {
        let (name, request_id) = (name.to_owned(), Uuid::new_v4().to_string());
        let client = &self.service.client.exports;
        let moved = if connection.is_empty() {
            let request = pb::DetachExportRequest { name, etag, request_id };
            let detached = call(|| {
                let (mut client, request) = (client.clone(), request.clone());
                async move { client.detach_export(request).await }
            });
            detached.await?.export
        } else {
            let request = pb::AttachExportRequest { name, connection: connection.to_owned(), etag, request_id };
            let attached = call(|| {
                let (mut client, request) = (client.clone(), request.clone());
                async move { client.attach_export(request).await }
            });
            attached.await?.export
        };
        Ok(moved.unwrap_or_default().etag)
    }

    async fn update_refresh(&self, step: &Step) -> Result<(), Status> {
        let message = self.declared.refresh.as_ref().map(|item| item.wanted.message(self.service.tenant));
        let request = pb::UpdateRefreshScheduleRequest {
            refresh_schedule: message.map(|message| pb::RefreshSchedule { etag: step.etag.clone(), ..message }),
            update_mask: mask(&step.mask),
            request_id: Uuid::new_v4().to_string(),
        };
        let updated = call(|| {
            let (mut client, request) = (self.service.client.refresh.clone(), request.clone());
            async move { client.update_refresh_schedule(request).await }
        });
        updated.await.map(|_| ())
    }

    async fn delete_export(&self, step: &Step) -> Result<(), Status> {
        let request = pb::DeleteExportRequest {
            name: step.name(self.service.tenant),
            etag: step.etag.clone(),
            request_id: Uuid::new_v4().to_string(),
        };
        let deleted = call(|| {
            let (mut client, request) = (self.service.client.exports.clone(), request.clone());
            async move { client.delete_export(request).await }
        });
        deleted.await.map(|_| ())
    }
}
