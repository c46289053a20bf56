//! A plain page to look at: figures, and each list with its first contacts.

use std::fmt::Write;

use crate::api::Answer;
use crate::simulator::Simulator;

/// How many contacts of a list are shown.
const SHOWN: usize = 500;

const STYLE: &str = "body{font:14px system-ui;margin:2em}table{border-collapse:collapse}\
    td,th{border:1px solid #ccc;padding:2px 8px;text-align:left}";

pub(crate) fn page(simulator: &Simulator) -> Answer {
    let html = render(simulator).expect("a string takes every write");
    let mut answer = Answer::text(200, "text/html; charset=utf-8", html);
    answer.header("content-security-policy", "default-src 'none'; style-src 'unsafe-inline'");
    answer
}

fn render(simulator: &Simulator) -> Result<String, std::fmt::Error> {
    let report = serde_json::to_value(simulator.report()).unwrap_or_default();
    let mut html = format!(
        "<!DOCTYPE html><html lang=\"en\"><meta charset=\"utf-8\"><title>ferry-sim</title><style>{STYLE}</style>\
         <h1>ferry-sim</h1><table>"
    );
    for (name, value) in report.as_object().into_iter().flatten() {
        write!(html, "<tr><th>{}<td>{}", escape(&name.replace('_', " ")), escape(&value.to_string()))?;
    }
    html.push_str("</table>");
    simulator.look(|state| {
        for host in state.hosts() {
            let Some(account) = state.account(host) else { continue };
            write!(html, "<h2>{}</h2><p>{} contacts", escape(host), account.n_contacts())?;
            for (id, list) in &account.lists {
                write!(html, "<h3>List {id}: {} ({} subscribed)</h3><table>", escape(&list.name), list.n_subscribed)?;
                html.push_str("<tr><th>id<th>email<th>first name<th>last name<th>phone<th>fields<th>tags");
                for contact in state.contacts(host, *id, SHOWN) {
                    let fields: Vec<String> = contact
                        .fields
                        .iter()
                        .map(|(id, value)| {
                            let title = account.fields.get(id).map_or("?", String::as_str);
                            format!("{title}={value}")
                        })
                        .collect();
                    write!(html, "<tr><td>{}", contact.id)?;
                    let (fields, tags) = (fields.join(", "), contact.tags.join(", "));
                    for cell in
                        [&contact.email, &contact.first_name, &contact.last_name, &contact.phone, &fields, &tags]
                    {
                        write!(html, "<td>{}", escape(cell))?;
                    }
                }
                html.push_str("</table>");
            }
        }
        Ok(())
    })?;
    Ok(html)
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_in_values_stays_text() {
        assert_eq!(escape("<b a=\"1\">&'"), "&lt;b a=&quot;1&quot;&gt;&amp;&#39;");
    }
}
