//! What a person or a test looks at: no key needed, nothing counted.

use crate::account::{Account, ContactView};
use crate::fault::Rule;
use crate::report::Report;
use crate::server::Shared;
use axum::Json;
use axum::Router;
use axum::extract::{Query, State};
use axum::response::Html;
use axum::routing::{get, post};
use serde::Deserialize;
use std::sync::Arc;

/// Rows of the page.
const SHOWN: usize = 500;

pub(crate) fn routes(router: Router<Arc<Shared>>) -> Router<Arc<Shared>> {
    router
        .route("/", get(overview))
        .route("/sim/report", get(report))
        .route("/sim/contacts", get(contacts))
        .route("/sim/faults", post(add_fault).delete(clear_faults))
}

#[derive(Deserialize)]
struct Which {
    host: String,
    #[serde(default)]
    list: u64,
}

/// The members of a list, by address.
pub(crate) fn on_list(account: &Account, list: u64, most: usize) -> Vec<ContactView> {
    let member = |person: &&crate::account::Person| person.lists.get(&list) == Some(&true);
    let mut views: Vec<ContactView> = account
        .people
        .values()
        .filter(member)
        .filter_map(|person| {
            let mut view = person.view.clone()?;
            view.deliveries = person.deliveries;
            Some(view)
        })
        .collect();
    views.sort_by(|one, other| one.email.cmp(&other.email));
    views.truncate(most);
    views
}

async fn report(State(shared): State<Arc<Shared>>, Query(which): Query<Which>) -> Json<Report> {
    let now = shared.now();
    let mut accounts = shared.accounts();
    Json(accounts.get_mut(&which.host).map_or_else(Report::default, |account| {
        account.work(now);
        Report::of(account)
    }))
}

async fn contacts(State(shared): State<Arc<Shared>>, Query(which): Query<Which>) -> Json<Vec<ContactView>> {
    let now = shared.now();
    let mut accounts = shared.accounts();
    Json(accounts.get_mut(&which.host).map_or_else(Vec::new, |account| {
        account.work(now);
        on_list(account, which.list, usize::MAX)
    }))
}

async fn add_fault(State(shared): State<Arc<Shared>>, Json(rule): Json<Rule>) {
    shared.faults.add(rule);
}

async fn clear_faults(State(shared): State<Arc<Shared>>) {
    shared.faults.clear();
}

async fn overview(State(shared): State<Arc<Shared>>) -> Html<String> {
    let now = shared.now();
    let mut accounts = shared.accounts();
    let mut body = String::new();
    for (host, account) in accounts.iter_mut() {
        account.work(now);
        for (list, name) in account.lists.clone() {
            let members = on_list(account, u64::from(list), SHOWN);
            body += &format!(
                "<h2>{} · list {list} “{}”</h2><table><tr><th>e-mail<th>first name<th>last name<th>phone<th>sent</tr>",
                escape(host),
                escape(&name)
            );
            for member in &members {
                let cells =
                    [&member.email, &member.first_name, &member.last_name, &member.phone].map(|cell| escape(cell));
                body += &format!("<tr><td>{}<td>{}</tr>", cells.join("<td>"), member.deliveries);
            }
            body += &format!("</table><p>{} shown, at most {SHOWN}.</p>", members.len());
        }
    }
    Html(format!(
        "<!doctype html><html lang=en><meta charset=utf-8><title>ActiveCampaign simulator</title>\
         <style>body{{font:16px/1.5 system-ui;margin:2rem}}td,th{{padding:.2rem .8rem;text-align:left}}</style>\
         <h1>ActiveCampaign simulator</h1>{body}</html>"
    ))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
