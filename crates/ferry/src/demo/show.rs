//! What the demo prints.

use super::{HOST, LIST, Stage};
use crate::client::Client;
use ferry_proto::v1 as pb;
use ferry_sim::Report;
use indicatif::{ProgressBar, ProgressStyle};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

const LOOK: Duration = Duration::from_millis(100);

pub(super) fn begin(export: &str, stage: &Stage, scale: f64, dir: &Path) {
    println!(
        "Ferry serves on {}, a simulator of ActiveCampaign's API on https://{}",
        stage.service.addr,
        stage.sim.addr()
    );
    println!("The simulator keeps ActiveCampaign's limits; its clock runs {scale} times as fast as yours.");
    dashboard(dir, stage.service.addr);
    println!("Running {export}");
}

fn dashboard(dir: &Path, addr: SocketAddr) {
    println!("The dashboard: http://{addr}/ (sign in with the token in {}/administrator.token)", dir.display());
}

/// Starts a run and draws it until it ends.
pub(super) async fn follow(client: &Client, export: &str) -> anyhow::Result<pb::Run> {
    let mut client = client.clone();
    let request = pb::RunExportRequest { name: export.to_owned(), ..pb::RunExportRequest::default() };
    let mut run = client.exports.run_export(request).await?.into_inner().run.unwrap_or_default();
    let bar = ProgressBar::new(0);
    let style = "{msg:>10} [{bar:40}] {pos}/{len} profiles, {elapsed} gone, {eta} left";
    bar.set_style(ProgressStyle::with_template(style)?.progress_chars("=> "));
    while run.end_time.is_none() {
        tokio::time::sleep(LOOK).await;
        let request = pb::GetRunRequest { name: run.name.clone() };
        run = client.runs.get_run(request).await?.into_inner().run.unwrap_or_default();
        let counts = run.counts.unwrap_or_default();
        let planned = counts.members - counts.rejected - counts.twins - counts.excluded - counts.unchanged;
        bar.set_length(planned.cast_unsigned());
        bar.set_position((counts.confirmed + counts.refused + counts.unknown).cast_unsigned());
        bar.set_message(run.phase().as_str_name().trim_start_matches("PHASE_").to_lowercase());
    }
    bar.finish_and_clear();
    Ok(run)
}

pub(super) fn outcome(run: &pb::Run, report: &Report, on_list: usize) {
    let counts = run.counts.unwrap_or_default();
    let state = run.state().as_str_name().trim_start_matches("STATE_").to_lowercase();
    println!();
    println!("The run {state}. Ferry's account of it:");
    println!("  {:>9} profiles read", counts.members);
    for (count, what) in [
        (counts.rejected, "rejected: they cannot go"),
        (counts.twins, "twins of another row"),
        (counts.confirmed, "confirmed by the destination"),
        (counts.refused, "refused by the destination"),
        (counts.unknown, "unknown: no answer could be had"),
        (counts.not_sent, "not sent"),
    ] {
        println!("  {count:>9} {what}");
    }
    println!("The simulator's own journal:");
    println!("  {:>9} contacts confirmed, {on_list} of them on list {LIST}", report.contacts_confirmed);
    println!("  {:>9} imports, {} addresses sent more than once", report.batches_accepted, report.contacts_sent_again);
    println!(
        "  {:>9} imports in the busiest minute (100 allowed), {} requests in the busiest second (5 allowed), {} over a limit",
        report.largest_minute_import_many, report.largest_second, report.windows_exceeded
    );
}

pub(super) fn how_to_go_on(dir: &Path, addr: SocketAddr, sim: SocketAddr, export: &str, run: &str) {
    let token = format!("-H \"authorization: Bearer $(cat {}/administrator.token)\"", dir.display());
    println!();
    println!("Go on in a browser, or with grpcurl:");
    dashboard(dir, addr);
    println!("  grpcurl -plaintext {addr} list");
    println!(
        "  grpcurl -plaintext {token} -d '{{\"parent\": \"tenants/demo\"}}' {addr} ferry.v1.ExportService/ListExports"
    );
    println!("  grpcurl -plaintext {token} -d '{{\"name\": \"{run}\"}}' {addr} ferry.v1.RunService/GetRun");
    println!("  grpcurl -plaintext {token} -d '{{\"name\": \"{export}\"}}' {addr} ferry.v1.ExportService/RunExport");
    println!(
        "What arrived: https://{sim}/ (its certificate is for {HOST}; {}/simulator-ca.pem signed it)",
        dir.display()
    );
    println!(
        "  curl --cacert {}/simulator-ca.pem --resolve {HOST}:{}:127.0.0.1 'https://{HOST}:{}/sim/contacts?host={HOST}&list={LIST}'",
        dir.display(),
        sim.port(),
        sim.port()
    );
    println!("Ctrl-C ends it.");
}
