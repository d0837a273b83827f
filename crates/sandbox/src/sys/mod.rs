//! The kernel's calls that no safe wrapper exists for. The only `unsafe` of this crate.

#[cfg(feature = "launcher")]
pub(crate) mod clock;
#[cfg(feature = "launcher")]
pub(crate) mod listening;
pub(crate) mod memfile;
pub(crate) mod mounts;
pub(crate) mod passing;
#[cfg(feature = "launcher")]
pub(crate) mod process;
#[cfg(feature = "launcher")]
pub(crate) mod terminal;
#[cfg(feature = "launcher")]
pub(crate) mod title;
