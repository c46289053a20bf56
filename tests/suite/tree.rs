//! The crates may look in one direction only.

use cargo_metadata::{DependencyKind, MetadataCommand};
use std::collections::{BTreeMap, BTreeSet};

/// Crate to the packages that it may not depend on outside of tests, unless it is named in the exception.
const ALONE: [(&str, &[&str]); 15] = [
    ("tonic", &["ferry", "ferry-bench", "ferry-proto", "ferry-server", "ferry-testkit"]),
    ("prost", &["ferry-proto", "ferry-server", "ferry-testkit"]),
    ("sea-orm", &["ferry-store", "ferry-migrations", "ferry-testkit"]),
    ("sea-orm-migration", &["ferry-migrations"]),
    ("reqwest", &["ferry-egress"]),
    ("hickory-resolver", &["ferry-egress"]),
    ("opentelemetry", &["ferry-telemetry"]),
    ("opentelemetry_sdk", &["ferry-telemetry"]),
    ("opentelemetry-otlp", &["ferry-telemetry"]),
    ("opentelemetry-proto", &["ferry-telemetry", "ferry-testkit"]),
    ("opentelemetry-prometheus", &["ferry-telemetry"]),
    ("prometheus", &["ferry-telemetry"]),
    ("rustix", &["ferry", "ferry-engine", "ferry-secrets"]),
    ("jiff", &["ferry-schedule"]),
    ("granit-parser", &["ferry"]),
];

/// Pairs that must never meet, in either direction or through others.
const APART: [(&str, &str); 9] = [
    ("ferry-control", "ferry-engine"),
    ("ferry-engine", "ferry-control"),
    ("ferry-lanes", "ferry-control"),
    ("ferry-lanes", "ferry-engine"),
    ("ferry-lanes", "ferry-egress"),
    ("ferry-store", "ferry-control"),
    ("ferry-store", "ferry-engine"),
    ("ferry-sim", "ferry-destinations"),
    ("ferry-sim", "ferry-egress"),
];

fn normal_dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = MetadataCommand::new().manifest_path("../Cargo.toml").no_deps().exec().unwrap();
    let normal = |package: &cargo_metadata::Package| {
        let kinds = package.dependencies.iter().filter(|dependency| dependency.kind == DependencyKind::Normal);
        kinds.map(|dependency| dependency.name.clone()).collect()
    };
    metadata.packages.iter().map(|package| (package.name.to_string(), normal(package))).collect()
}

fn reaches(from: &str, to: &str, tree: &BTreeMap<String, BTreeSet<String>>) -> bool {
    tree.get(from).is_some_and(|next| next.contains(to) || next.iter().any(|step| reaches(step, to, tree)))
}

#[test]
fn each_library_is_known_where_it_belongs() {
    let tree = normal_dependencies();
    for (library, allowed) in ALONE {
        for (package, dependencies) in &tree {
            let knows = dependencies.contains(library);
            assert!(!knows || allowed.contains(&package.as_str()), "{package} may not know {library}");
        }
    }
}

#[test]
fn crates_look_in_one_direction() {
    let tree = normal_dependencies();
    for (from, to) in APART {
        assert!(!reaches(from, to, &tree), "{from} may not depend on {to}");
    }
    let domain = &tree["ferry-domain"];
    assert!(
        !domain.iter().any(|name| name.starts_with("ferry") || name == "tokio"),
        "the domain is free of I/O: {domain:?}"
    );
    let schedule = &tree["ferry-schedule"];
    assert!(
        !schedule.iter().any(|name| name.starts_with("ferry") || name == "tokio"),
        "when something is due needs no I/O, and nothing of the service: {schedule:?}"
    );
    let ledger = &tree["ferry-ledger"];
    assert!(
        !ledger.iter().any(|name| name.starts_with("ferry") || name == "tokio"),
        "whoever verifies a log needs neither the service nor I/O: {ledger:?}"
    );
    for (package, dependencies) in &tree {
        let is_test = ["ferry-bench", "ferry-tests"].contains(&package.as_str());
        assert!(is_test || !dependencies.contains("ferry-testkit"), "{package} may know ferry-testkit in tests alone");
    }
}
