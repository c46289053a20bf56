//! What files say, and what a plan makes of it, without a service.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use super::export_config::written;
use super::model::{Connection, Export};
use super::plan::{Action, Plan, State, plan};
use super::read::{Declared, Source, read};
use super::show;
use super::yaml::{self, Fault, Value, Yaml};
use ferry_proto::v1 as pb;
use proptest::prelude::*;
use std::collections::BTreeMap;

const FILE: &str = "\
version: 1
tenant: acme
connections:
  newsletter:
    display_name: Newsletter
    activecampaign: {host: Demo.Example.COM, api_key_env: KEY}
    access: administrators_and_contributors
    consent: 2026-11-01
exports:
  weekly:
    display_name: Weekly
    connection: newsletter
    segments: [people, others]
    activecampaign: {list_id: 03}
    field_mappings:
      '007': Shoe
      first_name: First
      email: Email
    schedule: {cron: 0 6 * * 1, time_zone: Europe/Berlin}
refresh_schedule:
  active: true
  days: [friday, tuesday]
  times: ['20:00', 08:30]
";

fn declared(text: &str) -> Result<Declared, Vec<Fault>> {
    read(&[Source { name: "file".to_owned(), text: text.to_owned() }])
}

/// Line and column of each fault, with its text.
fn faults(text: &str) -> Vec<String> {
    let told = |fault: Fault| {
        let place = fault.place.unwrap();
        format!("{}:{}: {}", place.line, place.column, fault.text)
    };
    declared(text).unwrap_err().into_iter().map(told).collect()
}

/// What would be there once all of it was applied.
fn there(declared: &Declared) -> State {
    let connection = |item: &super::read::Item<Connection>| {
        let message = item.wanted.message("key");
        (item.id.clone(), pb::Connection { etag: "\"1\"".to_owned(), ..message })
    };
    let permissions = pb::ExportPermissions { can_update: true, can_delete: true, ..pb::ExportPermissions::default() };
    let export = |item: &super::read::Item<Export>| {
        let message = item.wanted.message("acme");
        (item.id.clone(), pb::Export { etag: "\"1\"".to_owned(), permissions: Some(permissions), ..message })
    };
    State {
        connections: Some(declared.connections.iter().map(connection).collect()),
        exports: declared.exports.iter().map(export).collect(),
        refresh: declared.refresh.as_ref().map(|item| item.wanted.message("acme")),
    }
}

fn planned(text: &str, state: &State) -> Plan {
    plan(&declared(text).unwrap(), state, false).unwrap()
}

/// Each step as its title and mask.
fn steps(plan: &Plan) -> Vec<String> {
    plan.steps.iter().map(|step| format!("{:?} {} {}", step.action, step.title(), step.mask.join(","))).collect()
}

#[test]
fn what_the_service_keeps_in_another_form_is_no_difference() {
    let found = declared(FILE).unwrap();
    let export = &found.exports[0].wanted;
    assert_eq!((found.connections[0].wanted.host.as_str(), export.list_id.as_str()), ("demo.example.com", "3"));
    let fields: Vec<&str> = export.mappings.iter().map(|(field, _)| field.as_str()).collect();
    assert_eq!(fields, ["email", "first_name", "7"]);
    let mut state = there(&found);
    let plan = planned(FILE, &state);
    assert!(plan.steps.is_empty() && plan.unchanged == 3, "{plan:?}");
    state.exports.get_mut("weekly").unwrap().field_mappings.reverse();
    assert!(planned(FILE, &state).steps.is_empty(), "the order of the fields means nothing");
    state.exports.get_mut("weekly").unwrap().segments.reverse();
    assert_eq!(steps(&planned(FILE, &state)), ["Update export weekly segments"], "that of the segments does");
}

#[test]
fn what_is_not_there_is_made_connections_first_and_the_refresh_last() {
    let state = State { connections: Some(BTreeMap::new()), refresh: Some(at_first()), ..State::default() };
    let plan = planned(FILE, &state);
    let expected =
        ["Create connection newsletter ", "Create export weekly ", "Update refresh_schedule active,days,times"];
    assert_eq!(steps(&plan), expected);
}

/// The schedule of a new tenant.
fn at_first() -> pb::RefreshSchedule {
    let cadence = pb::refresh_schedule::Cadence::Weekly.into();
    pb::RefreshSchedule { cadence, time_zone: "UTC".to_owned(), etag: "\"0\"".to_owned(), ..Default::default() }
}

#[test]
fn a_mask_names_what_differs_and_the_difference_is_shown_in_lines() {
    let state = there(&declared(FILE).unwrap());
    let text = FILE.replace("email: Email", "email: e_mail").replace("0 6 * * 1", "0 7 * * 1");
    let plan = planned(&text, &state);
    assert_eq!(steps(&plan), ["Update export weekly field_mappings,schedule"]);
    let lines = show::lines(&plan).join("\n");
    for line in ["~ export weekly", "-     email: Email", "+     email: e_mail", "      first_name: First"] {
        assert!(lines.contains(line), "{lines}");
    }
    assert!(
        lines.contains("-     cron: \"0 6 * * 1\"\n+     cron: \"0 7 * * 1\"\n      time_zone: Europe/Berlin"),
        "{lines}"
    );
}

#[test]
fn what_is_left_out_of_an_export_has_its_default() {
    let text = FILE.replace("    schedule:", "    leave_policy: {set_field: {field: 5, member_value: in, left_value: out}}\n    removal_guard: {max_number: 5}\n    schedule:");
    let state = there(&declared(&text).unwrap());
    let plan = planned(FILE, &state);
    assert_eq!(steps(&plan), ["Update export weekly leave_policy,removal_guard"]);
    assert!(plan.steps[0].changes.iter().all(|change| change.after.is_none()));
}

#[test]
fn a_key_that_is_there_stays_and_a_new_host_needs_it_anew() {
    let state = there(&declared(FILE).unwrap());
    let unsaid = FILE.replace(", api_key_env: KEY", "").replace("    consent: 2026-11-01\n", "");
    assert!(planned(&unsaid, &state).steps.is_empty(), "it is there");
    let other = FILE.replace("Demo.Example.COM", "other.example.com");
    let moved = planned(&other, &state);
    let mask = "settings.activecampaign.host,settings.activecampaign.api_key";
    assert_eq!(steps(&moved), [format!("Update connection newsletter {mask}")]);
    let unsaid = unsaid.replace("Demo.Example.COM", "other.example.com");
    let refused = plan(&declared(&unsaid).unwrap(), &state, false).unwrap_err();
    assert!(refused[0].text.contains("needs the API key anew"), "{refused:?}");
    let empty = State { connections: Some(BTreeMap::new()), ..State::default() };
    let refused = plan(&declared(&unsaid).unwrap(), &empty, false).unwrap_err();
    assert!(refused[0].text.contains("its API key is not named"), "{refused:?}");
    let named = FILE.replace("api_key_env: KEY", "secret_reference: env:KEY");
    let to_named = planned(&named, &state);
    assert_eq!(steps(&to_named), ["Update connection newsletter settings.activecampaign.secret_reference"]);
    let state = there(&declared(&named).unwrap());
    let refused = plan(&declared(FILE).unwrap(), &state, false).unwrap_err();
    assert!(refused[0].text.contains("never takes a typed one"), "{refused:?}");
}

#[test]
fn what_a_caller_may_not_do_is_told_before_anything_is_asked() {
    let mut state = there(&declared(FILE).unwrap());
    let found = state.connections.as_mut().unwrap().get_mut("newsletter").unwrap();
    *found = pb::Connection { display_name: found.display_name.clone(), ..pb::Connection::default() };
    state.exports.get_mut("weekly").unwrap().permissions = None;
    let text = FILE.replace("display_name: Weekly", "display_name: Other");
    let refused = plan(&declared(&text).unwrap(), &state, false).unwrap_err();
    assert!(refused[0].text.contains("an administrator's to see"), "{refused:?}");
    assert!(refused[1].text.contains("export `weekly` differs, and you may not change it"), "{refused:?}");
}

#[test]
fn exports_that_nobody_declares_stay_unless_they_are_to_go() {
    let mut state = there(&declared(FILE).unwrap());
    let other = pb::Export { display_name: "Old".to_owned(), ..state.exports["weekly"].clone() };
    state.exports.insert("older".to_owned(), other);
    let found = declared(FILE).unwrap();
    let kept = plan(&found, &state, false).unwrap();
    assert!(kept.steps.is_empty() && kept.left_alone == ["export older"]);
    let pruned = plan(&found, &state, true).unwrap();
    assert_eq!((pruned.steps.len(), pruned.steps[0].action, pruned.steps[0].id.as_str()), (1, Action::Remove, "older"));
    state.exports.get_mut("older").unwrap().permissions = None;
    assert!(plan(&found, &state, true).unwrap_err()[0].text.contains("--prune would remove export `older`"));
}

#[test]
fn what_only_a_newer_version_knows_is_neither_changed_nor_written() {
    let mut state = there(&declared(FILE).unwrap());
    state.exports.get_mut("weekly").unwrap().leave_policy = Some(pb::LeavePolicy { policy: None });
    let refused = plan(&declared(FILE).unwrap(), &state, false).unwrap_err();
    assert!(refused[0].text.contains("leave_policy is of a kind"), "{refused:?}");
    assert!(written("acme", &BTreeMap::new(), &state.exports, &at_first()).is_err());
}

#[test]
fn every_mistake_is_told_with_its_place() {
    let text = FILE
        .replace("display_name: Weekly", "dispaly_name: Weekly")
        .replace("[people, others]", "people")
        .replace("active: true", "active: yes")
        .replace("friday", "fryday");
    let found = faults(&text);
    assert_eq!(
        found,
        [
            "11:5: `dispaly_name` is no key of export `weekly`; is `display_name` meant?",
            "11:5: export `weekly` has no `display_name`, which is required",
            "13:15: `segments` takes a list, and no single value",
            "21:11: `active` takes true or false, and no `yes`",
            "22:10: `days` takes one of: monday, tuesday, wednesday, thursday, friday, saturday, sunday; and no \
             `fryday`; is `friday` meant?",
        ]
    );
    for (text, fault) in [
        ("", "1:1: it says nothing"),
        ("version: 2", "1:1: version 2 is not known"),
        ("exports: {}", "1:1: the file has no `version`"),
        ("version: 1\nversion: 1", "2:1: `version` stands in line 1 already"),
        ("version: 1\nexports: {a: {", "this is no YAML"),
        ("version: 1\nexports: !tag {}", "2:"),
        ("version: 1\nexports:\n  weekly: 3", "3:11: export `weekly` takes a mapping of keys to values"),
        ("version: 1\n---\nversion: 1\ntenant: ", "4:"),
        ("version: 1\nexports: &a\n  x: *a", "stands within what it names"),
    ] {
        let found = faults(text);
        assert!(found.iter().any(|found| found.contains(fault)), "{text:?}: {found:?}");
    }
    for (from, to, fault) in [
        (
            "schedule: {cron: 0 6 * * 1, time_zone: Europe/Berlin}",
            "schedule: nightly",
            "takes one of: with_refresh, off",
        ),
        (
            "schedule: {cron: 0 6 * * 1, time_zone: Europe/Berlin}",
            "schedule: {cron: '* * * * *'}",
            "has no `time_zone`",
        ),
        ("    schedule:", "    leave_policy:\n    schedule:", "`leave_policy` takes one of: keep; and no nothing"),
        ("    schedule:", "    removal_guard: {max_percent: ten}\n    schedule:", "takes a number, and no `ten`"),
        ("api_key_env: KEY", "api_key_env: KEY, secret_reference: env:K", "give one of: secret_reference"),
        ("connection: newsletter", "conection: newsletter", "is `connection` meant?"),
    ] {
        let found = faults(&FILE.replace(from, to));
        assert!(found.iter().any(|found| found.contains(fault)), "{to:?}: {found:?}");
    }
}

#[test]
fn several_files_are_one_and_nothing_stands_twice() {
    let source = |text: &str| Source { name: "f".to_owned(), text: text.to_owned() };
    let (connections, exports) = FILE.split_once("exports:").unwrap();
    let exports = format!("version: 1\nexports:{exports}");
    let both = read(&[source(connections), source(&exports)]).unwrap();
    assert_eq!((both.connections.len(), both.exports.len(), both.exports[0].place.file), (1, 1, 1));
    let twice = read(&[source(FILE), source(&exports)]).unwrap_err();
    assert_eq!(twice.len(), 2, "{twice:?}");
    assert!(twice.iter().all(|fault| fault.text.contains("in another file or document already")));
    let other = read(&[source("version: 1\ntenant: a"), source("version: 1\ntenant: b")]).unwrap_err();
    assert!(other[0].text.contains("another tenant"), "{other:?}");
}

#[test]
fn an_alias_repeats_a_value_and_many_of_them_do_not_grow_without_end() {
    let text = FILE.replace("field_mappings:\n", "field_mappings: &common\n")
        + "---\nversion: 1\nexports:\n  x: &a {display_name: X, connection: null, segments: [people], activecampaign: {list_id: 3}, field_mappings: {email: e}}\n  y: *a\n";
    assert_eq!(declared(&text).unwrap().exports.len(), 3);
    let mut bomb = String::from("a: &a0 [x]\n");
    for level in 1..30 {
        let before = level - 1;
        bomb += &format!("b{level}: &a{level} [*a{before}, *a{before}, *a{before}, *a{before}]\n");
    }
    assert!(faults(&bomb)[0].contains("more than 200000 values"));
}

#[test]
fn a_place_is_that_of_the_field_that_the_service_names() {
    let found = declared(FILE).unwrap();
    let at = |field: &str| {
        let place = found.exports[0].place_of(field);
        (place.line, place.column)
    };
    assert_eq!(at("export.segments[1]"), (13, 24));
    assert_eq!(at("export.settings.activecampaign.list_id"), (14, 22));
    assert_eq!(at("export.field_mappings[2].destination_field"), (16, 7));
    assert_eq!(at("export.field_mappings[0].profile_column"), (18, 14));
    assert_eq!(at("export.schedule.recurrence.cron"), (19, 16));
    assert_eq!(at("export.no_such"), (10, 3));
    assert_eq!(at("export_id"), (10, 3));
    assert_eq!(found.connections[0].place_of("connection.consent.text_version").line, 8);
    assert_eq!(found.refresh.as_ref().unwrap().place_of("refresh_schedule.times[0]").line, 23);
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[ -~]{0,12}",
        Just("null".to_owned()),
        Just("off".to_owned()),
        Just("08:30".to_owned()),
        Just("1e3".to_owned()),
        Just("\u{85}\u{2028}\u{feff}\u{1f600}\r\n\t".to_owned()),
    ]
}

fn export() -> impl Strategy<Value = pb::Export> {
    use pb::{export_schedule as schedules, leave_policy as policies};
    let leave = prop_oneof![
        Just(policies::Policy::Keep(policies::Keep {})),
        Just(policies::Policy::Unsubscribe(policies::Unsubscribe { acknowledge_irreversible: true })),
        (any::<i32>(), text(), text()).prop_map(|(field, member_value, left_value)| {
            policies::Policy::SetField(policies::SetField { field, member_value, left_value })
        }),
    ];
    let schedule = prop_oneof![
        Just(schedules::Schedule::WithRefresh(schedules::WithRefresh {})),
        Just(schedules::Schedule::Off(schedules::Off {})),
        (text(), text()).prop_map(|(cron, time_zone)| {
            schedules::Schedule::Recurrence(schedules::Recurrence { cron, time_zone })
        }),
    ];
    let mapping = ("email|phone|first_name|[1-9][0-9]{0,5}", text());
    let mappings = prop::collection::btree_map(mapping.0, mapping.1, 1..6);
    let segments = prop::collection::vec("[a-z0-9]{1,5}", 0..4);
    let guard = (any::<i32>(), any::<i64>());
    let parts = (text(), any::<bool>(), segments, any::<u32>(), any::<bool>(), mappings, leave, guard, schedule);
    parts.prop_map(|(display_name, attached, segments, list, exclude, mappings, leave, guard, schedule)| pb::Export {
        display_name,
        connection: if attached { "tenants/acme/connections/null".to_owned() } else { String::new() },
        segments: segments.iter().map(|id| format!("tenants/acme/segments/{id}")).collect(),
        settings: Some(pb::ExportSettings {
            settings: Some(pb::export_settings::Settings::Activecampaign(pb::ActiveCampaignExport {
                list_id: list.to_string(),
                exclude_automations: Some(exclude),
            })),
        }),
        field_mappings: mappings
            .into_iter()
            .map(|(destination_field, profile_column)| pb::FieldMapping { destination_field, profile_column })
            .collect(),
        leave_policy: Some(pb::LeavePolicy { policy: Some(leave) }),
        removal_guard: Some(pb::RemovalGuard { max_percent: Some(guard.0), max_number: Some(guard.1) }),
        schedule: Some(pb::ExportSchedule { schedule: Some(schedule) }),
        ..pb::Export::default()
    })
}

proptest! {
    #[test]
    fn a_text_is_read_as_it_was_written(text in text(), key in text()) {
        let written = yaml::lines(&key, &Yaml::List(vec![Yaml::text(&text)]), 0).join("\n");
        let read = yaml::documents(&written, 0).unwrap();
        let Value::Map(entries) = &read[0].value else { panic!("{written}") };
        prop_assert_eq!(&entries[0].0.name, &key);
        let Value::List(items) = &entries[0].1.value else { panic!("{written}") };
        let Value::Scalar(found, _) = &items[0].value else { panic!("{written}") };
        prop_assert!(!items[0].is_nothing());
        prop_assert_eq!(found, &text);
    }

    #[test]
    fn what_was_written_of_a_tenant_is_no_difference(
        exports in prop::collection::btree_map("[a-z0-9]{4,8}", export(), 0..5),
        host in "[a-zA-Z]{1,9}\\.example\\.com",
        name in text(),
    ) {
        let settings = pb::ActiveCampaignConnection {
            host: host.to_ascii_lowercase(),
            secret_reference: "vault:a/b#c".to_owned(),
            ..pb::ActiveCampaignConnection::default()
        };
        let connection = pb::Connection {
            display_name: name,
            settings: Some(pb::ConnectionSettings {
                settings: Some(pb::connection_settings::Settings::Activecampaign(settings)),
            }),
            access: pb::connection::Access::Administrators.into(),
            etag: "\"1\"".to_owned(),
            ..pb::Connection::default()
        };
        let count = exports.len();
        let connections = BTreeMap::from([("null".to_owned(), connection)]);
        let file = written("acme", &connections, &exports, &at_first()).unwrap();
        let state = State { connections: Some(connections), exports, refresh: Some(at_first()) };
        let plan = plan(&declared(&file).unwrap(), &state, true).unwrap();
        prop_assert!(plan.steps.is_empty(), "{}\n{:?}", file, plan);
        prop_assert_eq!(plan.unchanged, count + 2);
    }
}
