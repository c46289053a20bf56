//! The simulator's own endpoints, which need no key and count for no limit: `/sim/…` and the page at `/`.

use bytes::Bytes;
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::Answer;
use crate::faults::FaultRule;
use crate::page;
use crate::simulator::{Head, Simulator};

/// Whether a path is one of the simulator's own.
pub(crate) fn is_control(path: &str) -> bool {
    path == "/" || path.starts_with("/sim/")
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Rules {
    Many(Vec<FaultRule>),
    One(Box<FaultRule>),
}

pub(crate) fn answer(simulator: &Simulator, head: &Head, body: &Bytes) -> Answer {
    let faults = || Answer::json(200, &json!({"rules": simulator.faults.rules()}));
    match (&head.method, head.path.as_str()) {
        (&Method::GET, "/") => page::page(simulator),
        (&Method::GET, "/sim/report") => json_of(&simulator.report()),
        (&Method::GET, "/sim/contacts") => contacts(simulator, head),
        (&Method::GET, "/sim/faults") => faults(),
        (&Method::POST, "/sim/faults") => match serde_json::from_slice::<Rules>(body) {
            Ok(rules) => {
                let rules = match rules {
                    Rules::Many(rules) => rules,
                    Rules::One(rule) => vec![*rule],
                };
                rules.into_iter().for_each(|rule| simulator.faults.add(rule));
                faults()
            }
            Err(_) => Answer::json(400, &json!({"message": "the body is neither a rule nor an array of rules"})),
        },
        (&Method::DELETE, "/sim/faults") => {
            simulator.faults.clear();
            faults()
        }
        (&Method::POST, "/sim/release") => {
            simulator.faults.release();
            Answer::json(200, &json!({}))
        }
        _ => Answer::json(404, &json!({"message": "no such endpoint of the simulator"})),
    }
}

fn contacts(simulator: &Simulator, head: &Head) -> Answer {
    let parameter = |name: &str| {
        let mut pairs = url::form_urlencoded::parse(head.query.as_bytes());
        pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    };
    let Some(list) = parameter("list").and_then(|list| list.parse().ok()) else {
        return Answer::json(400, &json!({"message": "`list` is missing or no number"}));
    };
    let host = parameter("host").unwrap_or_else(|| head.host.clone()).to_lowercase();
    simulator.look(|state| json_of(&state.contacts(&host, list, usize::MAX)))
}

fn json_of(value: &impl serde::Serialize) -> Answer {
    Answer::json(200, &serde_json::to_value(value).unwrap_or(Value::Null))
}
