//! The first schema: tenants, connections, exports, runs with their plans, batches and attempts, lanes, request ids.
//!
//! Times are milliseconds since 1970 in UTC. Settings, mappings, counts and errors are JSON texts, written and read by
//! `ferry-store` alone. No column holds personal data or a secret in the clear: secrets are sealed, outcomes are
//! offsets into a sealed plan.

use crate::columns::{bytes, index, number, optional, table, text};
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// States that are final; they and an end time imply each other.
const TERMINAL: [&str; 5] = ["succeeded", "failed", "skipped", "cancelled", "timed_out"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in [tenants(), connections(), exports(), runs(), plans(), batches(), attempts(), lanes(), requests()]
        {
            manager.create_table(table).await?;
        }
        for index in indexes() {
            manager.create_index(index).await?;
        }
        Ok(())
    }
}

fn optional_text(name: &'static str) -> ColumnDef {
    optional(ColumnDef::new(Alias::new(name)).text().take())
}

fn optional_number(name: &'static str) -> ColumnDef {
    optional(ColumnDef::new(Alias::new(name)).big_integer().take())
}

fn tenants() -> TableCreateStatement {
    let columns = vec![
        text("id"),
        text("uid"),
        text("display_name"),
        text("kind"),
        number("version"),
        number("create_time"),
        number("update_time"),
    ];
    table("tenants", columns, &["id"])
}

fn connections() -> TableCreateStatement {
    let columns = vec![
        text("tenant"),
        text("id"),
        text("uid"),
        text("display_name"),
        text("destination_type"),
        text("host"),
        bytes("sealed_secret"),
        number("secret_version"),
        number("secret_set_time"),
        text("access"),
        text("consent"),
        text("run_as"),
        text("state"),
        number("generation"),
        number("version"),
        number("create_time"),
        number("update_time"),
    ];
    let mut connections = table("connections", columns, &["tenant", "id"]);
    connections.foreign_key(&mut belongs_to("connections", &["tenant"], "tenants", &["id"])).take()
}

fn exports() -> TableCreateStatement {
    let columns = vec![
        text("tenant"),
        text("id"),
        text("uid"),
        text("display_name"),
        optional_text("connection"),
        text("segments"),
        text("settings"),
        text("field_mappings"),
        text("leave_policy"),
        text("schedule"),
        optional_text("latest_run"),
        text("updated_by"),
        number("version"),
        number("create_time"),
        number("update_time"),
        optional_number("delete_time"),
    ];
    let mut exports = table("exports", columns, &["tenant", "id"]);
    exports.foreign_key(&mut belongs_to("exports", &["tenant"], "tenants", &["id"]));
    let to_connection = &mut belongs_to("exports", &["tenant", "connection"], "connections", &["tenant", "id"]);
    exports.foreign_key(to_connection).take()
}

fn runs() -> TableCreateStatement {
    let columns = vec![
        text("id"),
        text("tenant"),
        text("export"),
        text("connection"),
        text("state"),
        optional_text("phase"),
        text("trigger"),
        text("started_by"),
        text("counts"),
        number("batches_total"),
        number("batches_settled"),
        ColumnDef::new(Alias::new("dry_run")).boolean().not_null().take(),
        ColumnDef::new(Alias::new("full_resync")).boolean().not_null().take(),
        text("warnings"),
        optional_text("error"),
        optional_number("estimated_end_time"),
        number("create_time"),
        optional_number("start_time"),
        optional_number("end_time"),
        number("version"),
        optional_text("owner"),
        number("epoch"),
    ];
    let mut runs = table("runs", columns, &["id"]);
    let terminal = Expr::col(Alias::new("state")).is_in(TERMINAL);
    let ended = Expr::col(Alias::new("end_time")).is_not_null();
    runs.check(terminal.eq(ended));
    runs.foreign_key(&mut belongs_to("runs", &["tenant", "export"], "exports", &["tenant", "id"])).take()
}

fn plans() -> TableCreateStatement {
    let columns = vec![
        text("run"),
        bytes("digest"),
        number("planned"),
        bytes("batch_rows"),
        text("fingerprints"),
        number("connection_generation"),
        number("export_version"),
        number("normaliser_version"),
        number("renderer_version"),
        number("adopt_time"),
    ];
    table("plans", columns, &["run"]).foreign_key(&mut belongs_to("plans", &["run"], "runs", &["id"])).take()
}

fn batches() -> TableCreateStatement {
    let columns = vec![
        text("run"),
        number("seq"),
        optional_number("parent"),
        number("first"),
        number("rows"),
        text("removed"),
        text("state"),
        number("attempts"),
        ColumnDef::new(Alias::new("may_have_arrived")).boolean().not_null().take(),
        optional_text("remote_id"),
        optional_number("sent_time"),
        number("confirmed"),
        text("refused"),
    ];
    table("batches", columns, &["run", "seq"]).foreign_key(&mut belongs_to("batches", &["run"], "runs", &["id"])).take()
}

fn attempts() -> TableCreateStatement {
    let columns = vec![
        text("id"),
        text("run"),
        number("seq"),
        number("epoch"),
        text("account"),
        bytes("body_digest"),
        number("intent_time"),
        number("send_by"),
        optional_text("outcome"),
        optional_text("remote_id"),
        optional_number("answer_time"),
    ];
    table("attempts", columns, &["id"]).foreign_key(&mut belongs_to("attempts", &["run"], "runs", &["id"])).take()
}

fn lanes() -> TableCreateStatement {
    table("lanes", vec![text("account"), optional_number("hold_until"), number("update_time")], &["account"])
}

fn requests() -> TableCreateStatement {
    let columns =
        vec![text("tenant"), text("method"), text("id"), bytes("fingerprint"), text("resource"), number("create_time")];
    table("request_ids", columns, &["tenant", "method", "id"])
}

fn belongs_to(
    from: &'static str,
    columns: &[&'static str],
    to: &'static str,
    keys: &[&'static str],
) -> ForeignKeyCreateStatement {
    let mut key = ForeignKey::create();
    for column in columns {
        key.from(Alias::new(from), Alias::new(*column));
    }
    for column in keys {
        key.to(Alias::new(to), Alias::new(*column));
    }
    key
}

/// One for each hot query: the pages of lists, the claim of a run, the live run of an export, recent imports.
fn indexes() -> Vec<IndexCreateStatement> {
    vec![
        index("connections_by_time", "connections", &["tenant", "create_time", "id"]),
        index("exports_by_time", "exports", &["tenant", "create_time", "id"]),
        index("exports_by_connection", "exports", &["tenant", "connection"]),
        index("runs_by_time", "runs", &["tenant", "export", "create_time", "id"]),
        index("runs_to_claim", "runs", &["state", "owner", "create_time"]),
        index("attempts_by_account", "attempts", &["account", "intent_time"]),
        index("request_ids_by_time", "request_ids", &["create_time"]),
    ]
}
