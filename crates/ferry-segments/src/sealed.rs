//! Sealed files: Parquet with its standard encryption (AES-256-GCM), written whole and then put into place.
//!
//! A file is written under another name, fsynced and renamed, so it is there as a whole or not at all: a crash before the
//! rename leaves `*.new`, which the next attempt writes over; after it, the file. The name it gets is fsynced too, with
//! that of each folder made for it.
//!
//! A row group ends by rows or by bytes, whichever comes first: that bounds what a writer holds and what a reader takes in.

use crate::file_key::FileKey;
use crate::normalise::NORMALISER_VERSION;
use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::arrow::{ArrowWriter, ProjectionMask};
use parquet::basic::{Compression, ZstdLevel};
use parquet::encryption::decrypt::FileDecryptionProperties;
use parquet::encryption::encrypt::FileEncryptionProperties;
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Rows of a row group.
const GROUP_ROWS: usize = 8_192;
/// Bytes of a row group before compression; the row that reaches them is its last.
const GROUP_BYTES: usize = 4 * 1024 * 1024;
/// Rows that a reader takes in at once, where the rows are short.
const READ_ROWS: usize = 2_048;
const FORMAT_KEY: &str = "ferry.format";
const NORMALISER_KEY: &str = "ferry.normaliser";

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

/// Where a sealed file is, and what opens it.
#[derive(Clone)]
pub struct Place {
    /// Its path.
    pub path: PathBuf,
    /// Its key.
    pub key: FileKey,
    /// What binds it to what it belongs to.
    pub aad: Vec<u8>,
}

/// What a kind of sealed file is made of.
pub(crate) struct Form {
    /// Raised when the kind changes its form.
    pub(crate) version: &'static str,
    pub(crate) schema: SchemaRef,
    /// Columns of digests, on which compression would be wasted.
    pub(crate) incompressible: &'static [&'static str],
}

/// Whether rows held back make a row group.
pub(crate) fn is_group(rows: usize, bytes: usize) -> bool {
    rows >= GROUP_ROWS || bytes >= GROUP_BYTES
}

/// Writes one sealed file. Dropped before [`SealedWriter::finish`], it leaves nothing.
pub(crate) struct SealedWriter {
    writer: Option<ArrowWriter<File>>,
    temporary: PathBuf,
    path: PathBuf,
    /// Whether the temporary file is still to be removed.
    unfinished: bool,
}

impl SealedWriter {
    pub(crate) fn create(path: &Path, key: &FileKey, aad: &[u8], form: &Form) -> Result<Self, PlanError> {
        let folder = path.parent().unwrap_or(Path::new("."));
        create_folder(folder).map_err(PlanError::io("the folder of a sealed file cannot be made"))?;
        let properties = properties(key, aad, form)?;
        let temporary = path.with_extension("new");
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let file = options.open(&temporary).map_err(PlanError::io("a sealed file cannot be made"))?;
        let mut new = Self { writer: None, temporary, path: path.to_owned(), unfinished: true };
        new.writer = Some(ArrowWriter::try_new(file, form.schema.clone(), Some(properties))?);
        Ok(new)
    }

    /// Writes a row group.
    pub(crate) fn write(&mut self, group: &RecordBatch) -> Result<(), PlanError> {
        if let Some(writer) = &mut self.writer {
            writer.write(group)?;
            writer.flush()?;
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
        self.unfinished = false;
        let folder = self.path.parent().unwrap_or(Path::new("."));
        sync_folder(folder).map_err(PlanError::io("a folder cannot be synced"))
    }
}

impl Drop for SealedWriter {
    fn drop(&mut self) {
        if self.unfinished {
            // Nothing depends on its going: the next attempt writes over it.
            let _left = std::fs::remove_file(&self.temporary);
        }
    }
}

fn properties(key: &FileKey, aad: &[u8], form: &Form) -> Result<WriterProperties, PlanError> {
    let encryption = FileEncryptionProperties::builder(key.bytes()).with_aad_prefix(aad.to_vec()).build()?;
    let versions = vec![
        KeyValue::new(FORMAT_KEY.to_owned(), form.version.to_owned()),
        KeyValue::new(NORMALISER_KEY.to_owned(), NORMALISER_VERSION.to_string()),
    ];
    let mut properties = WriterProperties::builder();
    for column in form.incompressible {
        properties = properties.set_column_compression(ColumnPath::from(*column), Compression::UNCOMPRESSED);
    }
    Ok(properties
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        .set_key_value_metadata(Some(versions))
        .with_file_encryption_properties(encryption)
        .build())
}

/// Makes a folder and those above it, and syncs the names of the new ones.
pub(crate) fn create_folder(folder: &Path) -> std::io::Result<()> {
    let new: Vec<&Path> = folder.ancestors().take_while(|above| !above.exists()).collect();
    std::fs::create_dir_all(folder)?;
    new.into_iter().filter_map(Path::parent).try_for_each(sync_folder)
}

pub(crate) fn sync_folder(folder: &Path) -> std::io::Result<()> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    File::open(folder)?.sync_all()
}

/// A sealed file whose footer was decrypted and checked, ready to be read from any row.
pub(crate) struct SealedFile {
    file: File,
    metadata: ArrowReaderMetadata,
}

impl SealedFile {
    pub(crate) fn open(path: &Path, key: &FileKey, aad: &[u8], form: &Form) -> Result<Self, PlanError> {
        Self::open_one_of(path, key, aad, &[form.version])
    }

    /// Opens a file of one of several versions, the newest first.
    pub(crate) fn open_one_of(path: &Path, key: &FileKey, aad: &[u8], versions: &[&str]) -> Result<Self, PlanError> {
        let file = File::open(path).map_err(PlanError::io("a sealed file cannot be opened"))?;
        let decryption = FileDecryptionProperties::builder(key.bytes()).with_aad_prefix(aad.to_vec()).build()?;
        let options = ArrowReaderOptions::new().with_file_decryption_properties(decryption);
        let metadata = ArrowReaderMetadata::load(&file, options)?;
        let written = metadata.metadata().file_metadata().key_value_metadata();
        let format = written.and_then(|written| written.iter().find(|version| version.key == FORMAT_KEY));
        match format.and_then(|format| format.value.as_deref()) {
            Some(found) if versions.contains(&found) => Ok(Self { file, metadata }),
            other => Err(PlanError::Sealed(format!(
                "its format is `{}`, and this version of Ferry reads `{}`",
                other.unwrap_or("unknown"),
                versions.join("`, `")
            ))),
        }
    }

    pub(crate) fn rows(&self) -> u64 {
        self.group_rows().sum()
    }

    fn group_rows(&self) -> impl Iterator<Item = u64> {
        self.metadata.metadata().row_groups().iter().map(|group| u64::try_from(group.num_rows()).unwrap_or(0))
    }

    /// These columns of the rows from one on; none past the end. The row groups before it are not touched, nor are the
    /// other columns.
    pub(crate) fn read_from(&self, row: u64, columns: &[&str]) -> Result<ParquetRecordBatchReader, PlanError> {
        let (mut first, mut skipped) = (0, 0);
        for rows in self.group_rows() {
            if skipped + rows > row {
                break;
            }
            skipped += rows;
            first += 1;
        }
        let groups = self.metadata.metadata().num_row_groups();
        let offset =
            usize::try_from(row.min(self.rows()) - skipped).map_err(|error| PlanError::Sealed(error.to_string()))?;
        let file = self.file.try_clone().map_err(PlanError::io("a sealed file cannot be opened"))?;
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone());
        let mask = ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied());
        let builder = builder.with_projection(mask).with_row_groups((first..groups).collect()).with_offset(offset);
        Ok(builder.with_batch_size(self.batch_rows()).build()?)
    }

    /// No more rows than the smallest full row group, so that a batch spans few of them.
    fn batch_rows(&self) -> usize {
        let full = self.metadata.metadata().num_row_groups().saturating_sub(1);
        let smallest = self.group_rows().take(full).min().and_then(|rows| usize::try_from(rows).ok());
        smallest.unwrap_or(READ_ROWS).clamp(1, READ_ROWS)
    }
}

/// A column by its name and type; a file without it is not what was written.
pub(crate) fn column<'a, T: 'static>(batch: &'a RecordBatch, name: &str) -> Result<&'a T, PlanError> {
    let column = batch.column_by_name(name).and_then(|column| column.as_any().downcast_ref());
    column.ok_or_else(other_columns)
}

pub(crate) fn other_columns() -> PlanError {
    PlanError::Sealed("it has other columns".to_owned())
}
