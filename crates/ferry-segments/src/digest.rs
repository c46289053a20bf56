//! A SHA-256 over many short pieces, handed on in large ones.

use aws_lc_rs::digest::{Context, SHA256};

const BYTES: usize = 64 * 1024;

pub(crate) struct Digest {
    context: Context,
    bytes: Vec<u8>,
}

impl Digest {
    /// `form` sets it apart from digests of other things.
    pub(crate) fn new(form: &[u8]) -> Self {
        Self { context: Context::new(&SHA256), bytes: form.to_vec() }
    }

    pub(crate) fn add(&mut self, piece: &[u8]) {
        if self.bytes.len() + piece.len() > BYTES {
            self.context.update(&self.bytes);
            self.bytes.clear();
        }
        if piece.len() > BYTES { self.context.update(piece) } else { self.bytes.extend_from_slice(piece) }
    }

    /// A piece of any length, with its length before it.
    pub(crate) fn add_framed(&mut self, piece: &[u8]) {
        self.add(&(piece.len() as u64).to_be_bytes());
        self.add(piece);
    }

    pub(crate) fn finish(mut self) -> [u8; 32] {
        self.context.update(&self.bytes);
        let mut digest = [0; 32];
        digest.copy_from_slice(self.context.finish().as_ref());
        digest
    }
}
