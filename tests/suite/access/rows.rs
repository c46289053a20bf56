//! The rows C1 to C9, C13, C15 and C16 of the feature table: who makes, sees and shares connections.

use super::{
    bind, caller, change, create, ended, export, fields, journal, keys, list, make_export, must_not_run,
    needs_attention, people, read, reason, revoke, run, shared, start, to_host, verify, with,
};
use ferry_proto::v1 as pb;
use ferry_proto::v1::connection::{Access, State};
use ferry_proto::v1::connection_settings::Settings;
use ferry_testkit::{HOST, Stage, TENANT};
use prost::Message;
use tonic::Code;

const HOST_FIELD: &str = "connection.settings.activecampaign.host";

#[tokio::test]
async fn c1_an_administrator_adds_a_connection_and_gets_an_id() {
    let stage = Stage::new().await;
    let mut client = stage.client("administrator").await;
    let request = pb::CreateConnectionRequest {
        parent: format!("tenants/{TENANT}"),
        connection: Some(stage.connection()),
        ..Default::default()
    };
    let made = client.connections.create_connection(request).await.unwrap().into_inner().connection.unwrap();
    let id = made.name.strip_prefix(&format!("tenants/{TENANT}/connections/")).unwrap();
    assert!(!id.is_empty() && !made.uid.is_empty(), "{made:?}");
    assert_eq!(made.state(), State::Ready);
    assert_eq!(read(&mut client, &made.name).await, made);
}

#[tokio::test]
async fn c2_others_add_none_and_nothing_is_stored() {
    let stage = Stage::new().await;
    let before = keys(&stage);
    for role in ["contributor", "viewer"] {
        let refused = create(&mut stage.client(role).await, stage.connection()).await.unwrap_err();
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::PermissionDenied, "ROLE_TOO_LOW"), "{role}");
    }
    assert!(list(&mut stage.client("administrator").await).await.is_empty());
    assert_eq!(keys(&stage), before, "a key was made");
    assert_eq!(journal(&stage).len(), 0, "the destination was asked");
}

#[tokio::test]
async fn c3_a_display_name_is_required_and_a_rename_keeps_id_and_exports() {
    let stage = Stage::new().await;
    stage.segment("people", "csv", people(1, "example.com").as_bytes());
    let mut client = stage.client("administrator").await;
    let nameless = pb::Connection { display_name: String::new(), ..stage.connection() };
    assert_eq!(fields(&create(&mut client, nameless).await.unwrap_err()), ["connection.display_name"]);
    assert!(list(&mut client).await.is_empty());
    let made = create(&mut client, stage.connection()).await.unwrap();
    let uses = make_export(&stage, &mut client, TENANT).await;
    let emptied = pb::Connection { display_name: String::new(), ..made.clone() };
    let refused = change(&mut client, emptied, &["display_name"]).await.unwrap_err();
    assert_eq!(fields(&refused), ["connection.display_name"]);
    let other = pb::Connection { display_name: "Weekly letter".to_owned(), ..made.clone() };
    let renamed = change(&mut client, other, &["display_name"]).await.unwrap();
    assert_eq!((&renamed.name, &renamed.uid, renamed.display_name.as_str()), (&made.name, &made.uid, "Weekly letter"));
    assert_eq!(export(&mut client, &uses.name).await, uses);
}

#[tokio::test]
async fn c4_access_that_is_left_out_reads_back_as_administrators_only() {
    let stage = Stage::new().await;
    let mut client = stage.client("administrator").await;
    let left_out = pb::Connection { access: Access::Unspecified.into(), ..stage.connection() };
    let made = create(&mut client, left_out).await.unwrap();
    assert_eq!(read(&mut client, &made.name).await.access(), Access::Administrators);
    let mut contributor = stage.client("contributor").await;
    assert!(list(&mut contributor).await.is_empty());
    change(&mut client, shared(made.clone()), &["access"]).await.unwrap();
    assert_eq!(read(&mut client, &made.name).await.access(), Access::AdministratorsAndContributors);
    assert_eq!(list(&mut contributor).await.len(), 1);
}

/// A stage allows the simulator's hosts alone, so the forms are tried on one of those.
#[tokio::test]
async fn c5_a_host_is_a_bare_name() {
    let stage = Stage::new().await;
    let mut client = stage.client("administrator").await;
    let forms = ["https://HOST", "http://HOST", "HOST/api/3", "HOST/", "HOST:443", " HOST", "HOST ", "demo HOST", ""];
    for form in forms {
        let host = form.replace("HOST", HOST);
        let refused = create(&mut client, to_host(&stage, &host)).await.unwrap_err();
        assert_eq!(
            (refused.code(), fields(&refused)),
            (Code::InvalidArgument, vec![HOST_FIELD.to_owned()]),
            "`{host}`"
        );
        assert_eq!(reason(&refused), "INVALID_FIELDS", "`{host}`");
    }
    assert!(list(&mut client).await.is_empty() && journal(&stage).is_empty());
    let made = create(&mut client, to_host(&stage, &HOST.to_uppercase())).await.unwrap();
    let Some(Settings::Activecampaign(settings)) = made.settings.unwrap().settings else { unreachable!() };
    assert_eq!(settings.host, HOST);
}

#[tokio::test]
async fn c6_consent_is_required_and_kept_with_user_time_and_text() {
    let stage = Stage::new().await;
    let mut anna = caller(&stage, "anna", "administrator").await;
    let given = stage.connection().consent.unwrap();
    let cases = [
        (None, "CONSENT_REQUIRED"),
        (Some(pb::Consent { accepted: false, ..given.clone() }), "CONSENT_REQUIRED"),
        (Some(pb::Consent { text_version: "2021-10-08".to_owned(), ..given.clone() }), "CONSENT_TEXT_STALE"),
    ];
    for (consent, expected) in cases {
        let refused = create(&mut anna, pb::Connection { consent, ..stage.connection() }).await.unwrap_err();
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::InvalidArgument, expected));
    }
    assert!(list(&mut anna).await.is_empty() && journal(&stage).is_empty());
    // Who gave it and when is not the caller's to say.
    let forged = pb::Consent { accepted_by: "somebody".to_owned(), accept_time: None, ..given.clone() };
    let made = create(&mut anna, pb::Connection { consent: Some(forged), ..stage.connection() }).await.unwrap();
    let kept = read(&mut anna, &made.name).await.consent.unwrap();
    assert_eq!((kept.accepted_by.as_str(), &kept.text_version), ("anna", &given.text_version));
    assert!(kept.accepted && kept.accept_time.is_some() && kept.accept_time == made.create_time);
    let mut ben = caller(&stage, "ben", "administrator").await;
    let anew = change(&mut ben, pb::Connection { consent: Some(given), ..made }, &["consent"]).await.unwrap();
    assert_eq!(anew.consent.unwrap().accepted_by, "ben");
}

#[tokio::test]
async fn c7_a_refused_key_is_told_from_a_host_that_is_not_reached() {
    let mut stage = Stage::new().await;
    let mut client = stage.client("administrator").await;
    let wrong = with(stage.connection(), |settings| "wrong".clone_into(&mut settings.api_key));
    let refused = create(&mut client, wrong).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "CREDENTIALS_REFUSED"));
    stage.unplug().await;
    let mut client = stage.client("administrator").await;
    let unreachable = create(&mut client, stage.connection()).await.unwrap_err();
    assert_eq!((unreachable.code(), reason(&unreachable).as_str()), (Code::FailedPrecondition, "HOST_UNREACHABLE"));
    assert!(list(&mut client).await.is_empty());
    assert!(!keys(&stage).iter().any(|name| name.contains(".secret.")), "the key of nothing was kept");
}

/// Runs in the export user's name come with schedules; until then, what is seen is that they would not begin.
#[tokio::test]
async fn c8_an_export_user_is_bound_and_without_one_nothing_runs() {
    let stage = Stage::new().await;
    stage.segment("people", "csv", people(3, "example.com").as_bytes());
    let mut anna = caller(&stage, "anna", "administrator").await;
    let mut ben = caller(&stage, "ben", "administrator").await;
    let made = create(&mut anna, stage.connection()).await.unwrap();
    assert_eq!(made.run_as, "anna", "the creator is bound");
    let weekly = make_export(&stage, &mut anna, TENANT).await.name;
    let bound = bind(&mut ben, &made.name).await;
    assert_eq!((bound.run_as.as_str(), bound.state()), ("ben", State::Ready));
    revoke(&mut anna, "ben").await;
    let lost = read(&mut anna, &made.name).await;
    needs_attention(&lost, "EXPORT_USER_LOST");
    must_not_run(&stage, &mut anna, &weekly).await;
    let (outcome, after) = verify(&mut anna, &made.name).await;
    assert_eq!(outcome, "OK", "the key is good");
    needs_attention(&after, "EXPORT_USER_LOST");
    must_not_run(&stage, &mut anna, &weekly).await;
    let request = pb::BindExportUserRequest { name: made.name.clone(), ..Default::default() };
    let refused = ben.connections.bind_export_user(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied, "who was revoked binds nobody");
    let mended = bind(&mut anna, &made.name).await;
    assert_eq!((mended.run_as.as_str(), mended.state(), mended.state_reason.as_str()), ("anna", State::Ready, ""));
    assert_eq!(run(&mut anna, &weekly).await.state(), pb::run::State::Succeeded);
}

#[tokio::test]
async fn c9_no_answer_log_or_file_holds_the_key() {
    let stage = Stage::new().await;
    stage.segment("people", "csv", people(1, "example.com").as_bytes());
    let mut client = stage.client("administrator").await;
    let made = create(&mut client, stage.connection()).await.unwrap();
    let weekly = make_export(&stage, &mut client, TENANT).await;
    let ended = run(&mut client, &weekly.name).await;
    let renamed = pb::Connection { display_name: "Renamed".to_owned(), ..made.clone() };
    let updated = change(&mut client, renamed, &["display_name"]).await.unwrap();
    let at_fault = with(made.clone(), |settings| {
        settings.host = format!("https://{HOST}");
        settings.api_key.clone_from(&stage.api_key);
    });
    let paths = [&HOST_FIELD["connection.".len()..], "settings.activecampaign.api_key"];
    let refused = change(&mut client, at_fault, &paths).await.unwrap_err();
    assert_eq!(fields(&refused), [HOST_FIELD]);
    let mut places = vec![
        ("an error".to_owned(), [refused.message().as_bytes(), refused.details()].concat()),
        ("an export".to_owned(), weekly.encode_to_vec()),
        ("a run".to_owned(), ended.encode_to_vec()),
        ("the log".to_owned(), std::fs::read(stage.log()).unwrap()),
    ];
    let read_back = read(&mut client, &made.name).await;
    let verified = verify(&mut client, &made.name).await.1;
    let bound = bind(&mut client, &made.name).await;
    for answer in [made, updated, read_back, verified, bound].into_iter().chain(list(&mut client).await) {
        places.push(("a connection".to_owned(), answer.encode_to_vec()));
    }
    for folder in ["data", "keys/store"].map(|name| stage.path(name)) {
        for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file())
        {
            places.push((entry.display().to_string(), std::fs::read(entry).unwrap()));
        }
    }
    for (place, bytes) in places {
        let found = bytes.windows(stage.api_key.len()).any(|window| window == stage.api_key.as_bytes());
        assert!(!found, "{place} holds the key");
    }
}

#[tokio::test]
async fn c13_the_types_of_destinations_come_with_text_and_fields() {
    let stage = Stage::new().await;
    let mut viewer = stage.client("viewer").await;
    let request = pb::ListDestinationTypesRequest { parent: format!("tenants/{TENANT}") };
    let types = viewer.connections.list_destination_types(request).await.unwrap().into_inner().destination_types;
    let [kind] = types.as_slice() else { panic!("{types:?}") };
    assert_eq!((kind.id.as_str(), kind.display_name.as_str()), ("activecampaign", "ActiveCampaign"));
    assert!(kind.consent_text.contains("you allow data to be transferred to ActiveCampaign"));
    assert_eq!(kind.consent_text_version, stage.connection().consent.unwrap().text_version);
    let settings = |settings: &[pb::destination_type::Setting]| -> Vec<(String, String, bool, bool)> {
        let shown = |setting: &pb::destination_type::Setting| {
            (setting.name.clone(), setting.kind.clone(), setting.secret, setting.required)
        };
        settings.iter().map(shown).collect()
    };
    let expected = |rows: &[(&str, &str, bool, bool)]| -> Vec<(String, String, bool, bool)> {
        rows.iter().map(|(name, kind, secret, required)| ((*name).into(), (*kind).into(), *secret, *required)).collect()
    };
    let connection = [("host", "HOST_NAME", false, true), ("api_key", "TEXT", true, true)];
    assert_eq!(settings(&kind.connection_settings), expected(&connection));
    let export = [("list_id", "NUMBER", false, true), ("exclude_automations", "BOOLEAN", false, false)];
    assert_eq!(settings(&kind.export_settings), expected(&export));
    let fields: Vec<(&str, bool)> = kind.fields.iter().map(|field| (field.name.as_str(), field.required)).collect();
    assert_eq!(fields, [("email", true), ("first_name", false), ("last_name", false), ("phone", false)]);
}

#[tokio::test]
async fn c15_a_contributor_sees_name_and_type_of_shared_ones_alone() {
    let stage = Stage::new().await;
    let private = stage.create_connection("private").await;
    let mut administrator = stage.client("administrator").await;
    let made = create(&mut administrator, shared(stage.connection())).await.unwrap();
    let mut contributor = stage.client("contributor").await;
    let visible = pb::Connection {
        name: made.name.clone(),
        display_name: made.display_name,
        destination_type: made.destination_type,
        ..Default::default()
    };
    assert_eq!(list(&mut contributor).await.as_slice(), std::slice::from_ref(&visible));
    assert_eq!(read(&mut contributor, &made.name).await, visible);
    let request = pb::GetConnectionRequest { name: private.name };
    assert_eq!(contributor.connections.get_connection(request).await.unwrap_err().code(), Code::NotFound);
}

/// That a schedule goes on running them is seen once there are schedules; a run by an administrator stands for it.
#[tokio::test]
async fn c16_unsharing_keeps_a_contributors_exports_and_makes_them_view_only() {
    let stage = Stage::new().await;
    stage.segment("people", "csv", people(3, "example.com").as_bytes());
    let mut administrator = stage.client("administrator").await;
    let made = create(&mut administrator, shared(stage.connection())).await.unwrap();
    let mut carl = caller(&stage, "carl", "contributor").await;
    let weekly = make_export(&stage, &mut carl, TENANT).await;
    let all = pb::ExportPermissions { can_update: true, can_delete: true, can_run: true, can_view_rejected: true };
    assert_eq!(weekly.permissions, Some(all));
    assert_eq!(run(&mut carl, &weekly.name).await.state(), pb::run::State::Succeeded);
    let private = pb::Connection { access: Access::Administrators.into(), ..made };
    change(&mut administrator, private, &["access"]).await.unwrap();
    let kept = export(&mut carl, &weekly.name).await;
    assert_eq!(kept.permissions, Some(pb::ExportPermissions::default()));
    assert_eq!((&kept.etag, kept.updated_by.as_str(), &kept.segments), (&weekly.etag, "carl", &weekly.segments));
    assert_eq!(start(&mut carl, &weekly.name).await.unwrap_err().code(), Code::PermissionDenied);
    let rename = pb::UpdateExportRequest { export: Some(kept), ..Default::default() };
    assert_eq!(carl.exports.update_export(rename).await.unwrap_err().code(), Code::PermissionDenied);
    let remove = pb::DeleteExportRequest { name: weekly.name.clone(), ..Default::default() };
    assert_eq!(carl.exports.delete_export(remove).await.unwrap_err().code(), Code::PermissionDenied);
    assert_eq!(export(&mut administrator, &weekly.name).await.permissions, Some(all));
    let begun = start(&mut administrator, &weekly.name).await.unwrap();
    assert_eq!(ended(&administrator, &begun.name).await.state(), pb::run::State::Succeeded);
}
