//! Contacts, as they come in and as they are kept.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::clock::Micros;

/// A contact as a request asks for it. A key that was not sent is `None` and leaves the stored value alone; one sent
/// empty blanks it. The short names are those of the journal.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct NewContact {
    #[serde(rename = "e")]
    pub(crate) email: Box<str>,
    #[serde(rename = "f", default, skip_serializing_if = "Option::is_none")]
    pub(crate) first_name: Option<Box<str>>,
    #[serde(rename = "l", default, skip_serializing_if = "Option::is_none")]
    pub(crate) last_name: Option<Box<str>>,
    #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")]
    pub(crate) phone: Option<Box<str>>,
    #[serde(rename = "o", default, skip_serializing_if = "Option::is_none")]
    pub(crate) organisation: Option<Box<str>>,
    #[serde(rename = "t", default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) tags: Vec<Box<str>>,
    #[serde(rename = "v", default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) fields: Vec<(u32, Box<str>)>,
    #[serde(rename = "s", default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) subscribe: Vec<u32>,
    #[serde(rename = "u", default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) unsubscribe: Vec<u32>,
}

impl NewContact {
    pub(crate) fn with_address(email: &str) -> Self {
        Self {
            email: email.into(),
            first_name: None,
            last_name: None,
            phone: None,
            organisation: None,
            tags: Vec::new(),
            fields: Vec::new(),
            subscribe: Vec::new(),
            unsubscribe: Vec::new(),
        }
    }
}

/// The states of a membership, by the numbers of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Membership {
    /// 0: asked to confirm.
    Unconfirmed,
    /// 1: on the list.
    Subscribed,
    /// 2: left the list.
    Unsubscribed,
    /// 3: the list's mail bounced.
    Bounced,
}

impl Membership {
    pub(crate) fn from_status(status: u8) -> Option<Self> {
        match status {
            0 => Some(Self::Unconfirmed),
            1 => Some(Self::Subscribed),
            2 => Some(Self::Unsubscribed),
            3 => Some(Self::Bounced),
            _ => None,
        }
    }

    pub(crate) fn status(self) -> u8 {
        match self {
            Self::Unconfirmed => 0,
            Self::Subscribed => 1,
            Self::Unsubscribed => 2,
            Self::Bounced => 3,
        }
    }
}

/// A stored contact, small because there may be a million.
pub(crate) struct Contact {
    pub(crate) id: u32,
    pub(crate) email: Arc<str>,
    texts: Texts,
    pub(crate) fields: Box<[(u32, Box<str>)]>,
    pub(crate) tags: Box<[u32]>,
    pub(crate) memberships: Box<[(u32, Membership)]>,
    pub(crate) created_at: Micros,
    pub(crate) updated_at: Micros,
}

impl Contact {
    pub(crate) fn new(id: u32, email: Arc<str>, at: Micros) -> Self {
        Self {
            id,
            email,
            texts: Texts::default(),
            fields: Box::default(),
            tags: Box::default(),
            memberships: Box::default(),
            created_at: at,
            updated_at: at,
        }
    }

    pub(crate) fn membership(&self, list: u32) -> Option<Membership> {
        self.memberships.iter().find(|(id, _)| *id == list).map(|(_, membership)| *membership)
    }

    /// Sets a membership and answers the one before.
    pub(crate) fn set_membership(&mut self, list: u32, membership: Membership) -> Option<Membership> {
        if let Some((_, stored)) = self.memberships.iter_mut().find(|(id, _)| *id == list) {
            return Some(std::mem::replace(stored, membership));
        }
        push(&mut self.memberships, (list, membership));
        None
    }

    pub(crate) fn first_name(&self) -> &str {
        self.texts.get(0)
    }

    pub(crate) fn last_name(&self) -> &str {
        self.texts.get(1)
    }

    pub(crate) fn phone(&self) -> &str {
        self.texts.get(2)
    }

    pub(crate) fn organisation(&self) -> &str {
        self.texts.get(3)
    }

    /// Writes the values that were sent.
    pub(crate) fn write(&mut self, sent: NewContact, known_field: impl Fn(u32) -> bool) {
        let NewContact { first_name, last_name, phone, organisation, fields, .. } = sent;
        self.texts.write([first_name, last_name, phone, organisation]);
        for (id, value) in fields.into_iter().filter(|(id, _)| known_field(*id)) {
            match self.fields.iter_mut().find(|(stored, _)| *stored == id) {
                Some((_, stored)) => *stored = value,
                None => push(&mut self.fields, (id, value)),
            }
        }
    }

    pub(crate) fn add_tag(&mut self, tag: u32) {
        if !self.tags.contains(&tag) {
            push(&mut self.tags, tag);
        }
    }
}

/// Four texts in one piece of memory: first name, last name, phone, organisation.
#[derive(Default)]
struct Texts {
    joined: Box<str>,
    ends: [u32; 4],
}

impl Texts {
    fn get(&self, index: usize) -> &str {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.joined[start as usize..self.ends[index] as usize]
    }

    /// Replaces the texts that are given and keeps the others.
    fn write(&mut self, given: [Option<Box<str>>; 4]) {
        let (mut joined, mut ends) = (String::new(), [0; 4]);
        for (index, value) in given.iter().enumerate() {
            joined.push_str(value.as_deref().unwrap_or_else(|| self.get(index)));
            ends[index] = joined.len() as u32;
        }
        *self = Self { joined: joined.into_boxed_str(), ends };
    }
}

/// Grows a boxed slice by one, so that it never holds room it does not use.
fn push<T>(slice: &mut Box<[T]>, value: T) {
    let mut grown = Vec::with_capacity(slice.len() + 1);
    grown.extend(std::mem::take(slice));
    grown.push(value);
    *slice = grown.into_boxed_slice();
}

/// A contact to look at. It holds personal data, so it has no `Debug`.
#[derive(Clone, Serialize)]
pub struct ContactView {
    /// The id, which the service gives as a string.
    pub id: u32,
    /// The address as it was first sent.
    pub email: String,
    /// The first name.
    pub first_name: String,
    /// The last name.
    pub last_name: String,
    /// The phone number, as sent.
    pub phone: String,
    /// The custom fields' values by the fields' ids.
    pub fields: BTreeMap<u32, String>,
    /// The names of the tags.
    pub tags: Vec<String>,
    /// The lists and what the contact is on each.
    pub memberships: BTreeMap<u32, Membership>,
}
