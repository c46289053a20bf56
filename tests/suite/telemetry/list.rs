//! The one list of names.

use ferry_telemetry::names::{METRICS, reference};
use std::path::{Path, PathBuf};

/// Dashboards and alerts rest on the names: what changes here changes there.
#[test]
fn the_list_of_names_is_the_golden_one() {
    let golden = include_str!("../../golden/telemetry.txt");
    assert_eq!(reference(), golden, "if it is meant so, put the new list into tests/golden/telemetry.txt");
}

#[test]
fn each_metric_has_a_name_of_its_own_below_ferry() {
    let mut names: Vec<&str> = METRICS.iter().map(|metric| metric.name).collect();
    assert!(names.iter().all(|name| name.starts_with("ferry.")), "{names:?}");
    names.sort_unstable();
    let all = names.len();
    names.dedup();
    assert_eq!(names.len(), all);
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// What would begin a metric or a span in one of these lines.
fn defines(line: &str) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    let spans = ["span!(", "#[instrument", "tracing::instrument", "Span::current"];
    let instruments = ["_counter(", "_histogram(", "_gauge(", "counter!(", "gauge!(", "histogram!("];
    let libraries = ["opentelemetry", "prometheus::"];
    spans.iter().chain(&instruments).chain(&libraries).any(|mark| code.contains(mark))
}

/// No name of a metric, of a span or of a field of one stands anywhere else. Who cannot begin a span cannot name it.
#[test]
fn nothing_but_the_one_crate_defines_a_metric_or_a_span() {
    assert!(defines("let s = tracing::info_span!(\"run\");") && defines("meter.u64_counter(\"x\")"));
    assert!(!defines("tracing::info!(run = %name, \"run claimed\"); // an info_span!() would be refused"));
    let mut files = Vec::new();
    sources(Path::new("../crates"), &mut files);
    assert!(files.len() > 200, "{}", files.len());
    // The test's own collector speaks the same protocol.
    let allowed = ["ferry-telemetry/", "ferry-testkit/src/collector.rs"];
    let names: Vec<String> = METRICS.iter().map(|metric| format!("\"{}\"", metric.name)).collect();
    for file in files.iter().filter(|file| !allowed.iter().any(|part| file.display().to_string().contains(part))) {
        let text = std::fs::read_to_string(file).unwrap();
        for (number, line) in text.lines().enumerate() {
            let named = names.iter().any(|name| line.contains(name));
            assert!(!named && !defines(line), "{}:{}: {line}", file.display(), number + 1);
        }
    }
}
