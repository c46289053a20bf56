//! Sealed files: Parquet with its standard encryption (AES-256-GCM), written whole and then put into place.
//!
//! A file is written under another name, fsynced and renamed, so it is there as a whole or not at all.

use crate::file_key::FileKey;
use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::basic::{Compression, ZstdLevel};
use parquet::encryption::decrypt::FileDecryptionProperties;
use parquet::encryption::encrypt::FileEncryptionProperties;
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use std::fs::File;
use std::path::{Path, PathBuf};

/// Rows of a row group: what a seek reads at most, and what a writer holds.
pub(crate) const GROUP_ROWS: usize = 8_192;
/// Raised when a sealed file changes its form.
const FORMAT_VERSION: &str = "1";

/// A sealed file that cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The disk.
    #[error("{what}: {cause}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// The system's word.
        cause: std::io::Error,
    },
    /// Not what was written, or another key.
    #[error("the sealed file does not open: {0}")]
    Sealed(String),
}

impl PlanError {
    pub(crate) fn io(what: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |cause| Self::Io { what, cause }
    }
}

impl From<ParquetError> for PlanError {
    fn from(error: ParquetError) -> Self {
        Self::Sealed(error.to_string())
    }
}

impl From<arrow_schema::ArrowError> for PlanError {
    fn from(error: arrow_schema::ArrowError) -> Self {
        Self::Sealed(error.to_string())
    }
}

/// Writes one sealed file. Dropped before [`SealedWriter::finish`], it leaves nothing.
pub(crate) struct SealedWriter {
    writer: Option<ArrowWriter<File>>,
    temporary: PathBuf,
    path: PathBuf,
}

impl SealedWriter {
    pub(crate) fn create(path: &Path, key: &FileKey, aad: &[u8], schema: SchemaRef) -> Result<Self, PlanError> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(PlanError::io("the folder of a sealed file cannot be made"))?;
        }
        let temporary = path.with_extension("new");
        let file = File::create(&temporary).map_err(PlanError::io("a sealed file cannot be made"))?;
        let encryption = FileEncryptionProperties::builder(key.bytes()).with_aad_prefix(aad.to_vec()).build()?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
            .set_dictionary_enabled(false)
            .set_statistics_enabled(EnabledStatistics::None)
            .set_max_row_group_row_count(Some(GROUP_ROWS))
            .set_key_value_metadata(Some(vec![KeyValue::new("ferry.format".to_owned(), FORMAT_VERSION.to_owned())]))
            .with_file_encryption_properties(encryption)
            .build();
        let writer = ArrowWriter::try_new(file, schema, Some(properties))?;
        Ok(Self { writer: Some(writer), temporary, path: path.to_owned() })
    }

    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<(), PlanError> {
        if let Some(writer) = &mut self.writer {
            writer.write(batch)?;
        }
        Ok(())
    }

    /// Durable when it returns.
    pub(crate) fn finish(mut self) -> Result<(), PlanError> {
        let Some(writer) = self.writer.take() else { return Ok(()) };
        let file = writer.into_inner()?;
        file.sync_all().map_err(PlanError::io("a sealed file cannot be synced"))?;
        std::fs::rename(&self.temporary, &self.path)
            .map_err(PlanError::io("a sealed file cannot be put in its place"))?;
        let folder = self.path.parent().unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(PlanError::io("a folder cannot be synced"))
    }
}

impl Drop for SealedWriter {
    fn drop(&mut self) {
        if self.writer.take().is_some() {
            // Nothing depends on its going: the next attempt writes over it.
            let _left = std::fs::remove_file(&self.temporary);
        }
    }
}

pub(crate) fn open(path: &Path, key: &FileKey, aad: &[u8]) -> Result<ParquetRecordBatchReaderBuilder<File>, PlanError> {
    let file = File::open(path).map_err(PlanError::io("a sealed file cannot be opened"))?;
    let decryption = FileDecryptionProperties::builder(key.bytes()).with_aad_prefix(aad.to_vec()).build()?;
    let options = ArrowReaderOptions::new().with_file_decryption_properties(decryption);
    Ok(ParquetRecordBatchReaderBuilder::try_new_with_options(file, options)?)
}
