//! GNU's sparse files (type `S`). PAX's three sparse formats are refused where their records are
//! read: no image builder writes them, and readers that do not know them see other files.

use super::header::{BLOCK_BYTES, unsigned};
use crate::unpack::fault::{HeaderRule, LayerFault, Limit};

/// Pieces of one file.
pub(crate) const SPARSE_PIECES_MAX: u64 = 1 << 16;

/// A run of data within a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) offset: u64,
    pub(crate) bytes: u64,
}

/// Where the stored bytes of a sparse file belong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SparseMap {
    /// Ascending, not overlapping, none empty.
    pub(crate) pieces: Vec<Piece>,
    /// The file's size.
    pub(crate) size: u64,
}

/// What one header or continuation block adds to a map.
pub(crate) struct Part {
    pieces: Vec<Piece>,
    pub(crate) continued: bool,
}

impl Part {
    /// The part of the map that the file's own header holds.
    pub(crate) fn of_header(header: &tar::GnuHeader) -> Result<(Self, u64), HeaderRule> {
        let part = Self::of_fields(&header.sparse, &header.isextended)?;
        Ok((
            part,
            unsigned(&header.realsize).map_err(|_| HeaderRule::Sparse)?,
        ))
    }

    /// The part of the map that a block after the header holds.
    pub(crate) fn of_block(block: &[u8; BLOCK_BYTES]) -> Result<Self, HeaderRule> {
        let mut continuation = tar::GnuExtSparseHeader::new();
        *continuation.as_mut_bytes() = *block;
        Self::of_fields(&continuation.sparse, &continuation.isextended)
    }

    fn of_fields(fields: &[tar::GnuSparseHeader], continued: &[u8; 1]) -> Result<Self, HeaderRule> {
        let mut pieces = Vec::new();
        for field in fields {
            let offset = unsigned(&field.offset).map_err(|_| HeaderRule::Sparse)?;
            let bytes = unsigned(&field.numbytes).map_err(|_| HeaderRule::Sparse)?;
            if bytes > 0 {
                pieces.push(Piece { offset, bytes });
            }
        }
        match continued {
            [0] => Ok(Self {
                pieces,
                continued: false,
            }),
            [1] | [b'1'] => Ok(Self {
                pieces,
                continued: true,
            }),
            _ => Err(HeaderRule::Sparse),
        }
    }
}

impl SparseMap {
    pub(crate) fn new(size: u64) -> Self {
        Self {
            pieces: Vec::new(),
            size,
        }
    }

    /// Adds a part, piece by piece.
    pub(crate) fn add(&mut self, part: Part, offset: u64) -> Result<(), LayerFault> {
        let count = self.pieces.len() as u64 + part.pieces.len() as u64;
        if count > SPARSE_PIECES_MAX {
            return Err(LayerFault::TooLarge {
                limit: Limit::SparsePieces,
                max: SPARSE_PIECES_MAX,
            });
        }
        let fault = LayerFault::Header {
            offset,
            rule: HeaderRule::Sparse,
        };
        for piece in part.pieces {
            // Some readers take the next piece from the next block, others from the next byte.
            let (free_from, aligned) = self.pieces.last().map_or((0, true), |last| {
                (
                    last.offset + last.bytes,
                    last.bytes % BLOCK_BYTES as u64 == 0,
                )
            });
            let end = piece.offset.checked_add(piece.bytes);
            let fits = end.is_some_and(|end| end <= self.size);
            if piece.offset < free_from || !aligned || !fits {
                return Err(fault);
            }
            self.pieces.push(piece);
        }
        Ok(())
    }

    /// Bytes that the archive stores for the file.
    pub(crate) fn stored(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.bytes).sum()
    }
}
