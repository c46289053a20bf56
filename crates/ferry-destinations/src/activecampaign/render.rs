//! Contacts as bytes: the same row always gives the same bytes.

use bytes::{BufMut, Bytes, BytesMut};
use serde::Deserialize;
use std::borrow::Cow;

/// A field of a contact, besides its address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContactField {
    /// `first_name`.
    FirstName,
    /// `last_name`.
    LastName,
    /// `phone`: kept by the vendor as it is sent.
    Phone,
    /// A custom field by its number.
    Custom(u32),
}

/// How the account learns who left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leaving {
    /// It does not.
    Keep,
    /// A custom field says who is a member and who left.
    SetField {
        /// Its number.
        field: u32,
        /// For members.
        member: String,
        /// For those who left.
        left: String,
    },
    /// They are unsubscribed from the list. Bulk import never subscribes them again (bulk import page).
    Unsubscribe,
}

/// How the rows of one export are rendered.
#[derive(Debug, Clone)]
pub struct ContactLayout {
    fields: Vec<ContactField>,
    list_id: u32,
    leaving: Leaving,
}

/// A contact begins with its address.
const FIRST: &[u8] = b"{\"email\":\"";
const OPEN: &[u8] = b"{\"contacts\":[";
const CLOSE_WITHOUT_AUTOMATIONS: &[u8] = b"],\"exclude_automations\":true}";
const CLOSE: &[u8] = b"],\"exclude_automations\":false}";

impl ContactLayout {
    /// `fields` in the order of the values of a row.
    #[must_use]
    pub fn new(fields: Vec<ContactField>, list_id: u32, leaving: Leaving) -> Self {
        Self { fields, list_id, leaving }
    }

    /// Appends one contact. A value that is missing is left out: an empty one might blank what is stored (the vendor
    /// does not say). `||` separates several values of a custom field there, so in a single value it becomes `| |`.
    pub fn render(&self, email: &str, values: &[Option<&str>], out: &mut Vec<u8>) {
        out.extend_from_slice(&FIRST[..FIRST.len() - 1]);
        string(email, out);
        for (field, value) in self.fields.iter().zip(values) {
            let key: &[u8] = match field {
                ContactField::FirstName => b",\"first_name\":",
                ContactField::LastName => b",\"last_name\":",
                ContactField::Phone => b",\"phone\":",
                ContactField::Custom(_) => continue,
            };
            if let Some(value) = value {
                out.extend_from_slice(key);
                string(value, out);
            }
        }
        let custom = self.fields.iter().zip(values).filter_map(|(field, value)| match (field, value) {
            (ContactField::Custom(id), Some(value)) => Some((*id, *value)),
            _ => None,
        });
        let membership = match &self.leaving {
            Leaving::SetField { field, member, .. } => Some((*field, member.as_str())),
            Leaving::Keep | Leaving::Unsubscribe => None,
        };
        custom_fields(custom.chain(membership), out);
        self.list(b"subscribe", out);
        out.push(b'}');
    }

    /// Appends the contact of one who left: the address and what says so, nothing else. Nothing at all where the account
    /// is not to learn of it.
    pub fn render_left(&self, email: &str, out: &mut Vec<u8>) {
        if self.leaving == Leaving::Keep {
            return;
        }
        out.extend_from_slice(b"{\"email\":");
        string(email, out);
        match &self.leaving {
            Leaving::SetField { field, left, .. } => custom_fields([(*field, left.as_str())].into_iter(), out),
            Leaving::Keep | Leaving::Unsubscribe => self.list(b"unsubscribe", out),
        }
        out.push(b'}');
    }

    fn list(&self, verb: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(b",\"");
        out.extend_from_slice(verb);
        out.extend_from_slice(b"\":[{\"listid\":");
        out.extend_from_slice(self.list_id.to_string().as_bytes());
        out.extend_from_slice(b"}]");
    }
}

fn custom_fields<'a>(fields: impl Iterator<Item = (u32, &'a str)>, out: &mut Vec<u8>) {
    let mut opened = false;
    for (id, value) in fields {
        let before: &[u8] = if opened { b",{\"id\":" } else { b",\"fields\":[{\"id\":" };
        out.extend_from_slice(before);
        out.extend_from_slice(id.to_string().as_bytes());
        out.extend_from_slice(b",\"value\":");
        if value.contains("||") {
            string(&value.replace("||", "| |"), out)
        } else {
            string(value, out)
        }
        out.push(b'}');
        opened = true;
    }
    if opened {
        out.push(b']');
    }
}

/// A JSON string. Only what JSON requires is escaped.
fn string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut from = 0;
    for (position, byte) in bytes.iter().enumerate() {
        if *byte != b'"' && *byte != b'\\' && *byte >= 0x20 {
            continue;
        }
        out.extend_from_slice(&bytes[from..position]);
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            control => out.extend_from_slice(format!("\\u{control:04x}").as_bytes()),
        }
        from = position + 1;
    }
    out.extend_from_slice(&bytes[from..]);
    out.push(b'"');
}

/// Bytes of a body besides its rows and the commas between them.
#[must_use]
pub fn envelope_bytes(exclude_automations: bool) -> usize {
    OPEN.len() + close(exclude_automations).len()
}

/// The body of an import.
pub fn assemble<'a>(rows: impl Iterator<Item = &'a [u8]> + Clone, exclude_automations: bool) -> Bytes {
    let length: usize = rows.clone().map(|row| row.len() + 1).sum();
    let mut body = BytesMut::with_capacity(length + envelope_bytes(exclude_automations));
    body.put_slice(OPEN);
    for (position, row) in rows.enumerate() {
        if position > 0 {
            body.put_u8(b',');
        }
        body.put_slice(row);
    }
    body.put_slice(close(exclude_automations));
    body.freeze()
}

fn close(exclude_automations: bool) -> &'static [u8] {
    if exclude_automations { CLOSE_WITHOUT_AUTOMATIONS } else { CLOSE }
}

/// The address of a rendered contact.
#[must_use]
pub fn email_of(contact: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Contact {
        email: String,
    }
    serde_json::from_slice::<Contact>(contact).ok().map(|contact| contact.email)
}

/// The same for every contact of a batch, without a look at the rest of it.
#[must_use]
pub fn address_of(contact: &[u8]) -> Option<Cow<'_, str>> {
    let plain = contact.strip_prefix(FIRST).and_then(|rest| rest.split(|byte| *byte == b'"').next());
    match plain.filter(|address| !address.contains(&b'\\')).map(std::str::from_utf8) {
        Some(Ok(address)) => Some(Cow::Borrowed(address)),
        _ => email_of(contact).map(Cow::Owned),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn layout() -> ContactLayout {
        use ContactField::{Custom, FirstName, LastName, Phone};
        ContactLayout::new(vec![FirstName, LastName, Phone, Custom(7), Custom(8)], 3, Leaving::Keep)
    }

    fn rendered(render: impl Fn(&mut Vec<u8>)) -> Value {
        let mut out = Vec::new();
        render(&mut out);
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn a_field_says_who_is_a_member_and_who_left() {
        let (member, left) = ("yes".to_owned(), "no \"more\"".to_owned());
        let leaving = Leaving::SetField { field: 9, member, left };
        let layout = ContactLayout::new(vec![ContactField::Custom(7)], 3, leaving);
        let found = rendered(|out| layout.render("a@b.cd", &[Some("x")], out));
        let fields = json!([{"id": 7, "value": "x"}, {"id": 9, "value": "yes"}]);
        assert_eq!(found, json!({"email": "a@b.cd", "fields": fields, "subscribe": [{"listid": 3}]}));
        let found = rendered(|out| layout.render_left("a@b.cd", out));
        assert_eq!(found, json!({"email": "a@b.cd", "fields": [{"id": 9, "value": "no \"more\""}]}));
    }

    #[test]
    fn who_is_unsubscribed_keeps_every_value() {
        let layout = ContactLayout::new(vec![ContactField::FirstName], 3, Leaving::Unsubscribe);
        let found = rendered(|out| layout.render_left("a@b.cd", out));
        assert_eq!(found, json!({"email": "a@b.cd", "unsubscribe": [{"listid": 3}]}));
        let found = rendered(|out| layout.render("a@b.cd", &[Some("Ada")], out));
        assert_eq!(found, json!({"email": "a@b.cd", "first_name": "Ada", "subscribe": [{"listid": 3}]}));
    }

    #[test]
    fn missing_values_are_left_out() {
        let mut out = Vec::new();
        layout().render("a@b.cd", &[None, Some("Ito"), None, None, Some("x||y")], &mut out);
        let found: Value = serde_json::from_slice(&out).unwrap();
        let expected = json!({"email": "a@b.cd", "last_name": "Ito", "fields": [{"id": 8, "value": "x| |y"}],
            "subscribe": [{"listid": 3}]});
        assert_eq!(found, expected);
        assert_eq!(email_of(&out).unwrap(), "a@b.cd");
    }

    #[test]
    fn an_envelope_has_the_length_that_is_promised() {
        for exclude_automations in [true, false] {
            let body = assemble([&b"{}"[..], b"{}"].into_iter(), exclude_automations);
            assert_eq!(body.len(), envelope_bytes(exclude_automations) + 5);
            let parsed: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(parsed, json!({"contacts": [{}, {}], "exclude_automations": exclude_automations}));
        }
    }

    proptest! {
        #[test]
        fn whatever_a_value_holds_reads_back_and_touches_no_other(values in proptest::collection::vec(proptest::option::of(".*"), 5), email in ".*") {
            let borrowed: Vec<Option<&str>> = values.iter().map(Option::as_deref).collect();
            let mut out = Vec::new();
            layout().render(&email, &borrowed, &mut out);
            let found: Value = serde_json::from_slice(&out).unwrap();
            prop_assert_eq!(found["email"].as_str(), Some(email.as_str()));
            let address = address_of(&out);
            prop_assert_eq!(address.as_deref(), Some(email.as_str()));
            for (name, value) in ["first_name", "last_name", "phone"].iter().zip(&values) {
                prop_assert_eq!(found[name].as_str(), value.as_deref());
            }
        }
    }
}
