//! A chain as it lies in the database, altered as somebody may who can write that and has no signing key.

use ferry_ledger::{Entry, GENESIS, Hash, body_hash, hash};
use sea_orm::{ConnectionTrait, DatabaseBackend, DatabaseConnection, QueryResult, Statement, TransactionTrait, Value};

#[derive(Clone)]
pub(super) struct Row {
    pub(super) number: usize,
    pub(super) body: Vec<u8>,
    pub(super) body_hash: Vec<u8>,
    pub(super) hash: Vec<u8>,
    /// What entries are found by: no part of the chain.
    time: i64,
    kind: String,
    actor: String,
    object: String,
}

impl Row {
    pub(super) fn entry(&self) -> Entry {
        Entry::decode(&self.body).unwrap()
    }

    /// Alters the bytes, and what the row is found by. The hashes stay.
    pub(super) fn edit(&mut self, edit: impl FnOnce(&mut Entry)) {
        let mut entry = self.entry();
        edit(&mut entry);
        self.body = entry.encode();
        (self.time, self.kind, self.actor, self.object) = (entry.time_ms, entry.kind, entry.actor, entry.object);
    }
}

#[derive(Clone)]
pub(super) struct Chain {
    tenant: String,
    /// The run's id; nothing for a tenant's own.
    id: String,
    pub(super) rows: Vec<Row>,
}

impl Chain {
    pub(super) async fn read(database: &DatabaseConnection, tenant: &str, id: &str) -> Self {
        let query = "SELECT * FROM audit_entries WHERE tenant = ? AND chain = ? ORDER BY number";
        let rows = database.query_all_raw(statement(query, [tenant.into(), id.into()])).await.unwrap();
        assert!(!rows.is_empty(), "{tenant} has no chain {id:?}");
        Self { tenant: tenant.to_owned(), id: id.to_owned(), rows: rows.iter().map(row).collect() }
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Where the first entry of a kind is, from 0.
    pub(super) fn first(&self, kind: &str) -> usize {
        self.rows.iter().position(|row| row.kind == kind).unwrap()
    }

    /// Numbers the entries anew, in their bytes too, and computes every hash: a chain that is consistent with itself.
    pub(super) fn rewritten(mut self) -> Self {
        for (number, row) in (1..).zip(&mut self.rows) {
            row.number = usize::try_from(number).unwrap();
            row.edit(|entry| entry.number = number);
        }
        self.relinked()
    }

    /// Computes every hash anew, whatever the bytes say.
    pub(super) fn relinked(mut self) -> Self {
        let mut previous = GENESIS;
        for row in &mut self.rows {
            let of_body = body_hash(&row.body);
            previous = hash(&previous, &of_body);
            (row.body_hash, row.hash) = (of_body.to_vec(), previous.to_vec());
        }
        self
    }

    /// The hash of the last entry.
    pub(super) fn head(&self) -> Hash {
        self.rows.last().unwrap().hash.clone().try_into().unwrap()
    }

    pub(super) async fn write(&self, database: &DatabaseConnection) {
        let transaction = database.begin().await.unwrap();
        let all = "DELETE FROM audit_entries WHERE tenant = ? AND chain = ?";
        let whose = || [Value::from(self.tenant.as_str()), self.id.as_str().into()];
        transaction.execute_raw(statement(all, whose())).await.unwrap();
        let insert = "INSERT INTO audit_entries \
             (tenant, chain, number, time, kind, actor, object, body, body_hash, hash) VALUES (?,?,?,?,?,?,?,?,?,?)";
        for row in &self.rows {
            let found_by = [number(row.number), row.time.into(), row.kind.as_str().into(), row.actor.as_str().into()];
            let rest = [&row.body, &row.body_hash, &row.hash].map(|bytes| bytes.clone().into());
            let values = whose().into_iter().chain(found_by).chain([row.object.as_str().into()]).chain(rest);
            transaction.execute_raw(statement(insert, values)).await.unwrap();
        }
        transaction.commit().await.unwrap();
    }

    /// The end that the service remembers, and appends to.
    pub(super) async fn write_head(&self, database: &DatabaseConnection) {
        let (update, whose) = match self.id.as_str() {
            "" => ("UPDATE audit_chains SET number = ?, hash = ? WHERE tenant = ?", &self.tenant),
            run => ("UPDATE runs SET entries = ?, entries_head = ? WHERE id = ?", &run.to_owned()),
        };
        let values = [number(self.len()), self.head().to_vec().into(), whose.as_str().into()];
        let done = database.execute_raw(statement(update, values)).await.unwrap();
        assert_eq!(done.rows_affected(), 1);
    }
}

pub(super) fn statement(text: &str, values: impl IntoIterator<Item = Value>) -> Statement {
    Statement::from_sql_and_values(DatabaseBackend::Sqlite, text, values)
}

fn number(number: usize) -> Value {
    i64::try_from(number).unwrap().into()
}

fn row(row: &QueryResult) -> Row {
    let text = |column: &str| row.try_get::<String>("", column).unwrap();
    let bytes = |column: &str| row.try_get::<Vec<u8>>("", column).unwrap();
    Row {
        number: usize::try_from(row.try_get::<i64>("", "number").unwrap()).unwrap(),
        body: bytes("body"),
        body_hash: bytes("body_hash"),
        hash: bytes("hash"),
        time: row.try_get("", "time").unwrap(),
        kind: text("kind"),
        actor: text("actor"),
        object: text("object"),
    }
}
