//! What has to be done so that a tenant is as the files say. It looks at both and asks nobody.

use super::fields::meant;
use super::model::{Connection, Export, Field, Refresh, Secret, last};
use super::read::{Declared, Item};
use super::yaml::{Fault, Place, Yaml};
use ferry_proto::v1 as pb;
use std::collections::BTreeMap;

/// What is there.
#[derive(Debug, Default)]
pub(super) struct State {
    /// By id; None where nobody has looked.
    pub(super) connections: Option<BTreeMap<String, pb::Connection>>,
    /// By id.
    pub(super) exports: BTreeMap<String, pb::Export>,
    pub(super) refresh: Option<pb::RefreshSchedule>,
}

/// What a step is about. The numbers are places in what is declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    Connection(usize),
    Export(usize),
    Refresh,
    /// An export that no file declares.
    Undeclared,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Create,
    Update,
    Remove,
}

/// A field that differs: what is there, and what shall be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) field: &'static str,
    pub(super) before: Option<Yaml>,
    pub(super) after: Option<Yaml>,
}

/// One resource that is not as it shall be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) target: Target,
    pub(super) id: String,
    pub(super) action: Action,
    pub(super) changes: Vec<Change>,
    /// The paths of the API that change; empty for what is made or removed.
    pub(super) mask: Vec<&'static str>,
    /// What was seen.
    pub(super) etag: String,
}

impl Step {
    /// For people, and unique within a tenant.
    pub(super) fn title(&self) -> String {
        match self.target {
            Target::Connection(_) => format!("connection {}", self.id),
            Target::Export(_) | Target::Undeclared => format!("export {}", self.id),
            Target::Refresh => "refresh_schedule".to_owned(),
        }
    }

    /// Its full name.
    pub(super) fn name(&self, tenant: &str) -> String {
        match self.target {
            Target::Connection(_) => format!("tenants/{tenant}/connections/{}", self.id),
            Target::Export(_) | Target::Undeclared => format!("tenants/{tenant}/exports/{}", self.id),
            Target::Refresh => format!("tenants/{tenant}/refreshSchedule"),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Plan {
    /// In the order in which they are done.
    pub(super) steps: Vec<Step>,
    /// How many are as they shall be.
    pub(super) unchanged: usize,
    /// What is there and not declared, and stays.
    pub(super) left_alone: Vec<String>,
}

/// Compares. With `prune`, exports that no file declares are removed.
pub(super) fn plan(declared: &Declared, state: &State, prune: bool) -> Result<Plan, Vec<Fault>> {
    let mut planning = Planning { declared, state, plan: Plan::default(), faults: Vec::new() };
    for (at, item) in declared.connections.iter().enumerate() {
        planning.connection(at, item);
    }
    for (at, item) in declared.exports.iter().enumerate() {
        planning.export(at, item);
    }
    if let Some(item) = &declared.refresh {
        planning.refresh(item);
    }
    planning.others(prune);
    let Planning { plan, mut faults, .. } = planning;
    faults.sort_by_key(|fault| fault.place);
    if faults.is_empty() { Ok(plan) } else { Err(faults) }
}

struct Planning<'a> {
    declared: &'a Declared,
    state: &'a State,
    plan: Plan,
    faults: Vec<Fault>,
}

impl Planning<'_> {
    fn fault(&mut self, place: Place, text: impl Into<String>) {
        self.faults.push(Fault::at(place, text));
    }

    fn step(&mut self, step: Step) {
        if step.changes.is_empty() {
            self.plan.unchanged += 1;
        } else {
            self.plan.steps.push(step);
        }
    }

    fn connection(&mut self, at: usize, item: &Item<Connection>) {
        let (target, id, wanted) = (Target::Connection(at), item.id.clone(), &item.wanted);
        let Some(found) = self.state.connections.as_ref().and_then(|all| all.get(&item.id)) else {
            if wanted.secret == Secret::Unsaid {
                let text = format!(
                    "connection `{id}` is not there yet, and its API key is not named: give one of secret_reference, \
                     api_key_env, api_key_file"
                );
                self.fault(item.place, text);
            }
            let changes = made(wanted.fields());
            return self.step(Step {
                target,
                id,
                action: Action::Create,
                changes,
                mask: Vec::new(),
                etag: String::new(),
            });
        };
        if found.etag.is_empty() {
            let text =
                format!("connection `{id}` is an administrator's to see and to change; leave it out, or ask one");
            return self.fault(item.place, text);
        }
        let found_as = match Connection::of(found) {
            Ok(connection) => connection,
            Err(why) => return self.fault(item.place, format!("connection `{id}` cannot be compared: {why}")),
        };
        let moves = found_as.host != wanted.host;
        let named = matches!(found_as.secret, Secret::Reference(_));
        let mut wanted_as = wanted.clone();
        // The key cannot be compared: it is read anew where the service wants it anew.
        match &wanted.secret {
            Secret::Reference(_) => {}
            Secret::Unsaid if moves => {
                let text = "a new host needs the API key anew: give one of secret_reference, api_key_env, api_key_file";
                self.fault(item.place_of("connection.settings.activecampaign.host"), text);
            }
            Secret::Variable(_) | Secret::File(_) if named => {
                let text = "this connection names its key in a store of the service and never takes a typed one; give \
                            secret_reference, or declare another connection";
                self.fault(item.place_of("connection.settings.activecampaign.api_key"), text);
            }
            Secret::Variable(_) | Secret::File(_) if moves => {}
            Secret::Unsaid | Secret::Variable(_) | Secret::File(_) => wanted_as.secret = found_as.secret.clone(),
        }
        if wanted.consent.is_none() {
            wanted_as.consent.clone_from(&found_as.consent);
        }
        let changes = compared(found_as.fields(), wanted_as.fields());
        let mut mask = Vec::new();
        for (path, differs) in [
            ("display_name", found_as.display_name != wanted_as.display_name),
            ("settings.activecampaign.host", moves),
            ("access", found_as.access != wanted_as.access),
            ("consent", found_as.consent != wanted_as.consent),
        ] {
            mask.extend(differs.then_some(path));
        }
        if moves || found_as.secret != wanted_as.secret {
            mask.push(match wanted_as.secret {
                Secret::Reference(_) => "settings.activecampaign.secret_reference",
                Secret::Unsaid | Secret::Variable(_) | Secret::File(_) => "settings.activecampaign.api_key",
            });
        }
        self.step(Step { target, id, action: Action::Update, changes, mask, etag: found.etag.clone() });
    }

    fn export(&mut self, at: usize, item: &Item<Export>) {
        let (target, id, wanted) = (Target::Export(at), item.id.clone(), &item.wanted);
        if let Some(connection) = &wanted.connection {
            self.connection_of(connection, item);
        }
        let Some(found) = self.state.exports.get(&item.id) else {
            if wanted.connection.is_none() {
                let place = item.place_of("export.connection");
                self.fault(place, format!("export `{id}` is not there yet, and none is made without a connection"));
            }
            let changes = made(wanted.fields());
            return self.step(Step {
                target,
                id,
                action: Action::Create,
                changes,
                mask: Vec::new(),
                etag: String::new(),
            });
        };
        let found_as = match Export::of(found) {
            Ok(export) => export,
            Err(why) => return self.fault(item.place, format!("export `{id}` cannot be compared: {why}")),
        };
        let changes = compared(found_as.fields(), wanted.fields());
        if !changes.is_empty() && !found.permissions.is_some_and(|may| may.can_update) {
            let text = format!("export `{id}` differs, and you may not change it; ask an administrator");
            self.fault(item.place, text);
        }
        let mut mask = Vec::new();
        for (path, differs) in [
            ("connection", found_as.connection != wanted.connection),
            ("display_name", found_as.display_name != wanted.display_name),
            ("segments", found_as.segments != wanted.segments),
            (
                "settings",
                (&found_as.list_id, found_as.exclude_automations) != (&wanted.list_id, wanted.exclude_automations),
            ),
            ("field_mappings", found_as.mappings != wanted.mappings),
            ("leave_policy", found_as.leave != wanted.leave),
            ("removal_guard", (found_as.max_percent, found_as.max_number) != (wanted.max_percent, wanted.max_number)),
            ("schedule", found_as.schedule != wanted.schedule),
        ] {
            mask.extend(differs.then_some(path));
        }
        self.step(Step { target, id, action: Action::Update, changes, mask, etag: found.etag.clone() });
    }

    /// A connection that is neither declared nor there.
    fn connection_of(&mut self, connection: &str, item: &Item<Export>) {
        let Some(there) = &self.state.connections else { return };
        let declared = self.declared.connections.iter().map(|item| item.id.as_str());
        let known: Vec<&str> = declared.chain(there.keys().map(String::as_str)).collect();
        // What a caller may not see may still be where the export is.
        let stays = self.state.exports.get(&item.id).is_some_and(|found| last(&found.connection) == connection);
        if !known.contains(&connection) && !stays {
            let text = format!("there is no connection `{connection}`{}", meant(connection, &known));
            self.fault(item.place_of("export.connection"), text);
        }
    }

    fn refresh(&mut self, item: &Item<Refresh>) {
        let found = self.state.refresh.clone().unwrap_or_default();
        let found_as = match Refresh::of(&found) {
            Ok(refresh) => refresh,
            Err(why) => return self.fault(item.place, format!("the refresh cannot be compared: {why}")),
        };
        let wanted = &item.wanted;
        let changes = compared(found_as.fields(), wanted.fields());
        // The names of a file are those of the API.
        let mask = changes.iter().map(|change| change.field).collect();
        let (target, id) = (Target::Refresh, item.id.clone());
        self.step(Step { target, id, action: Action::Update, changes, mask, etag: found.etag });
    }

    fn others(&mut self, prune: bool) {
        let connections = self.state.connections.iter().flat_map(BTreeMap::keys);
        let declared = |id: &String| self.declared.connections.iter().any(|item| item.id == *id);
        let left: Vec<String> = connections.filter(|id| !declared(id)).map(|id| format!("connection {id}")).collect();
        self.plan.left_alone.extend(left);
        let state = self.state;
        for (id, found) in &state.exports {
            if self.declared.exports.iter().any(|item| item.id == *id) {
                continue;
            }
            if !prune {
                self.plan.left_alone.push(format!("export {id}"));
                continue;
            }
            if !found.permissions.is_some_and(|may| may.can_delete) {
                let text = format!("--prune would remove export `{id}`, and you may not; ask an administrator");
                self.faults.push(Fault { place: None, text });
            }
            let fields = Export::of(found).map(|export| export.fields()).unwrap_or_default();
            let before = |(field, value)| Change { field, before: Some(value), after: None };
            let mut changes: Vec<Change> = fields.into_iter().map(before).collect();
            if changes.is_empty() {
                changes.push(before(("display_name", Yaml::text(&found.display_name))));
            }
            let (target, action, etag) = (Target::Undeclared, Action::Remove, found.etag.clone());
            self.step(Step { target, id: id.clone(), action, changes, mask: Vec::new(), etag });
        }
    }
}

fn made(fields: Vec<Field>) -> Vec<Change> {
    fields.into_iter().map(|(field, value)| Change { field, before: None, after: Some(value) }).collect()
}

/// The fields that differ, in the order in which a file has them.
fn compared(before: Vec<Field>, after: Vec<Field>) -> Vec<Change> {
    let value =
        |fields: &[Field], name: &str| fields.iter().find(|(field, _)| *field == name).map(|(_, value)| value.clone());
    let mut names: Vec<&'static str> = after.iter().map(|(field, _)| *field).collect();
    names.extend(before.iter().map(|(field, _)| *field).filter(|name| value(&after, name).is_none()));
    let change = |field| Change { field, before: value(&before, field), after: value(&after, field) };
    names.into_iter().map(change).filter(|change| change.before != change.after).collect()
}
