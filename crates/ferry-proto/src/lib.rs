//! The generated messages, clients and servers of `ferry.v1`, and its descriptors. Nothing else.

/// The public API.
#[allow(missing_docs, clippy::all, clippy::too_many_lines, unreachable_pub, reason = "generated")]
pub mod v1 {
    tonic::include_proto!("ferry.v1");
}

/// The compiled descriptors of `ferry.v1` and of what it imports, for reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/ferry.bin"));
