//! What one layer may cost. Every number that an image's author chooses is held against one of
//! these, so that a small blob cannot become a full disk or a full memory.

use serde::{Deserialize, Serialize};

use super::fault::{LayerFault, Limit};

/// Entries of one layer, device nodes and whiteouts counted too.
pub const ENTRIES_MAX: u64 = 1 << 20;
/// Sum of the files' sizes as the archive states them, holes counted as data.
pub const LOGICAL_BYTES_MAX: u64 = 32 << 30;
/// Sum of what is written, rounded up to blocks, and of the inodes.
pub const DISK_BYTES_MAX: u64 = 32 << 30;
/// Sum of names and extended headers of one layer; bounds the unpacker's memory as well.
pub const HEADER_BYTES_MAX: u64 = 64 << 20;
/// One extended header (PAX records, GNU long name).
pub const EXTENSION_BYTES_MAX: u64 = 1 << 20;
/// Components of one name.
pub const DEPTH_MAX: u64 = 512;
/// Bytes out per byte in, looked at once [`RATIO_FLOOR_BYTES`] have come out.
pub const RATIO_MAX: u64 = 200;
/// Below this output size no ratio is too high: a small image may well hold a file of zeros.
pub const RATIO_FLOOR_BYTES: u64 = 256 << 20;
/// Padding after the end marker; GNU tar writes up to its blocking factor.
pub const TRAILING_BYTES_MAX: u64 = 16 << 20;
/// Directories that a layer may mark opaque.
pub const OPAQUE_DIRECTORIES_MAX: u64 = 16 << 10;
/// Window of a zstd frame, as a power of two: 128 MiB.
pub const ZSTD_WINDOW_LOG_MAX: u32 = 27;

/// What a file system block and an inode are taken to cost.
const BLOCK_BYTES: u64 = 4096;

/// The bounds of one unpacking; the defaults are this module's constants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnpackLimits {
    /// See [`ENTRIES_MAX`].
    pub entries: u64,
    /// See [`LOGICAL_BYTES_MAX`].
    pub logical_bytes: u64,
    /// See [`DISK_BYTES_MAX`].
    pub disk_bytes: u64,
    /// See [`HEADER_BYTES_MAX`].
    pub header_bytes: u64,
    /// See [`DEPTH_MAX`].
    pub depth: u64,
    /// See [`RATIO_MAX`].
    pub ratio: u64,
    /// See [`RATIO_FLOOR_BYTES`].
    pub ratio_floor_bytes: u64,
}

impl Default for UnpackLimits {
    fn default() -> Self {
        Self {
            entries: ENTRIES_MAX,
            logical_bytes: LOGICAL_BYTES_MAX,
            disk_bytes: DISK_BYTES_MAX,
            header_bytes: HEADER_BYTES_MAX,
            depth: DEPTH_MAX,
            ratio: RATIO_MAX,
            ratio_floor_bytes: RATIO_FLOOR_BYTES,
        }
    }
}

/// What has been spent of the limits.
#[derive(Debug)]
pub(crate) struct Budget {
    limits: UnpackLimits,
    pub(crate) entries: u64,
    pub(crate) logical_bytes: u64,
    pub(crate) disk_bytes: u64,
    header_bytes: u64,
}

impl Budget {
    pub(crate) fn new(limits: UnpackLimits) -> Self {
        Self {
            limits,
            entries: 0,
            logical_bytes: 0,
            disk_bytes: 0,
            header_bytes: 0,
        }
    }

    pub(crate) fn limits(&self) -> &UnpackLimits {
        &self.limits
    }

    /// One more entry, with a header that holds `header_bytes` of text.
    pub(crate) fn entry(&mut self) -> Result<(), LayerFault> {
        spend(&mut self.entries, 1, self.limits.entries, Limit::Entries)
    }

    /// Names and extended headers, which the unpacker keeps in memory.
    pub(crate) fn header(&mut self, bytes: u64) -> Result<(), LayerFault> {
        spend(
            &mut self.header_bytes,
            bytes,
            self.limits.header_bytes,
            Limit::HeaderBytes,
        )
    }

    /// A file of `logical` bytes of which `stored` are in the archive, before any of it is read.
    pub(crate) fn file(&mut self, logical: u64, stored: u64) -> Result<(), LayerFault> {
        spend(
            &mut self.logical_bytes,
            logical,
            self.limits.logical_bytes,
            Limit::LogicalBytes,
        )?;
        let blocks = stored.div_ceil(BLOCK_BYTES).saturating_mul(BLOCK_BYTES);
        spend(
            &mut self.disk_bytes,
            blocks,
            self.limits.disk_bytes,
            Limit::DiskBytes,
        )
    }

    /// A new inode other than a file's data.
    pub(crate) fn inode(&mut self) -> Result<(), LayerFault> {
        spend(
            &mut self.disk_bytes,
            BLOCK_BYTES,
            self.limits.disk_bytes,
            Limit::DiskBytes,
        )
    }
}

fn spend(spent: &mut u64, amount: u64, max: u64, limit: Limit) -> Result<(), LayerFault> {
    let sum = spent.saturating_add(amount);
    if sum > max {
        return Err(LayerFault::TooLarge { limit, max });
    }
    *spent = sum;
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_spent_to_the_last_unit_and_no_further() {
        let mut budget = Budget::new(UnpackLimits {
            entries: 2,
            ..UnpackLimits::default()
        });
        budget.entry().unwrap();
        budget.entry().unwrap();
        assert_eq!(
            budget.entry(),
            Err(LayerFault::TooLarge {
                limit: Limit::Entries,
                max: 2
            })
        );
        assert_eq!(budget.entries, 2);
    }

    #[test]
    fn sizes_beyond_any_disk_do_not_wrap() {
        let mut budget = Budget::new(UnpackLimits::default());
        budget.file(1, 1).unwrap();
        for size in [u64::MAX, u64::MAX - 1, 1 << 63] {
            let fault = budget.file(size, size).unwrap_err();
            assert!(matches!(
                fault,
                LayerFault::TooLarge {
                    limit: Limit::LogicalBytes,
                    ..
                }
            ));
        }
        assert_eq!((budget.logical_bytes, budget.disk_bytes), (1, BLOCK_BYTES));
    }

    #[test]
    fn a_hole_costs_no_disk() {
        let mut budget = Budget::new(UnpackLimits::default());
        budget.file(1 << 30, 0).unwrap();
        assert_eq!((budget.logical_bytes, budget.disk_bytes), (1 << 30, 0));
    }
}
