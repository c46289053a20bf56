//! The generated messages, clients and servers of `ferry.v1`, its descriptors, and messages as JSON. Nothing else.

mod hidden;
pub mod json;

/// The public API.
#[allow(missing_docs, clippy::all, clippy::too_many_lines, unreachable_pub, rustdoc::all, reason = "generated")]
pub mod v1 {
    tonic::include_proto!("ferry.v1");
}

/// The compiled descriptors of `ferry.v1` and of what it imports, comments included, for reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/ferry.bin"));

/// Every RPC of `ferry.v1`, as `Service/Method`.
pub const METHODS: &[&str] = include!(concat!(env!("OUT_DIR"), "/methods.rs"));

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;
    use prost::Message;
    use prost_types::FileDescriptorSet;

    fn descriptors() -> FileDescriptorSet {
        FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap()
    }

    #[test]
    fn the_descriptors_hold_all_that_they_import() {
        let set = descriptors();
        for file in &set.file {
            for import in &file.dependency {
                assert!(set.file.iter().any(|other| other.name() == import), "{import} of {} is missing", file.name());
            }
        }
    }

    #[test]
    fn each_service_stands_in_a_file_of_its_own() {
        let set = descriptors();
        let services: Vec<&str> =
            set.file.iter().flat_map(|file| file.service.iter().map(|service| service.name())).collect();
        assert_eq!(services.len(), 8);
        assert!(set.file.iter().all(|file| file.service.len() <= 1));
    }

    #[test]
    fn every_reason_fits_into_an_error_info() {
        let set = descriptors();
        let reasons = set.file.iter().flat_map(|file| &file.enum_type).find(|found| found.name() == "ErrorReason");
        for value in &reasons.unwrap().value {
            let reason = value.name().strip_prefix("ERROR_REASON_").unwrap();
            assert!(reason.len() <= 63, "{reason}");
        }
    }
}
