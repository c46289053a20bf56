//! Compiles `proto/` with protox, so that no protoc has to be installed.

use prost::Message;
use std::path::{Path, PathBuf};

/// Messages with a secret or a person's data. Their `Debug` is in `src/hidden.rs` and shows nothing of it.
const HIDDEN: [&str; 8] = [
    ".ferry.v1.ActiveCampaignConnection",
    ".ferry.v1.CreateWebhookResponse",
    ".ferry.v1.ErasePersonRequest",
    ".ferry.v1.FindRecipientsRequest",
    ".ferry.v1.PlanField",
    ".ferry.v1.PlanSample",
    ".ferry.v1.PreviewRow",
    ".ferry.v1.RejectedProfile",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = Path::new("../../proto");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={}", root.display());
    let vendor = root.join("vendor");
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(root.join("ferry/v1"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "proto") {
            files.push(path);
        }
    }
    // The order of a folder differs from machine to machine; the descriptors must not.
    files.sort();
    let descriptors = protox::compile(&files, [root, vendor.as_path()])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("ferry.bin"), descriptors.encode_to_vec())?;
    let ours = descriptors.file.iter().filter(|file| file.package() == "ferry.v1");
    let methods: Vec<String> = ours
        .flat_map(|file| &file.service)
        .flat_map(|service| service.method.iter().map(|method| format!("{}/{}", service.name(), method.name())))
        .collect();
    std::fs::write(out.join("methods.rs"), format!("&{methods:?}"))?;
    tonic_prost_build::configure()
        .extern_path(".google.rpc.Status", "::tonic_types::Status")
        .skip_debug(HIDDEN)
        .compile_fds(descriptors)?;
    Ok(())
}
