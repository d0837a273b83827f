//! The places where a test lets the agent die or an effect fail.
//!
//! An agent may end at any instruction, but what it leaves behind only changes with its effects: so
//! there is a point before and after each effect on the host, and a test that goes through all of
//! them has seen every state that a crash can leave. Most effects can also fail, and a point before
//! one stands for that.
//!
//! Points do nothing unless the feature `failpoints` is on in a build with debug assertions. Then
//! the variable `FAILPOINTS` says what happens, in the words of the crate `fail`:
//!
//! ```text
//! record-written=return(crash)                 the agent dies as by SIGKILL
//! record-written=return(28)                    the effect fails with that errno
//! record-written=2*off->1*return(crash)        at the third pass, once
//! ```

#[cfg(all(feature = "failpoints", debug_assertions))]
mod active;
mod point;

use std::io;

pub use point::Point;

/// Takes what is to happen from the environment. Called once, before any point is passed.
pub fn arm() {
    #[cfg(all(feature = "failpoints", debug_assertions))]
    active::arm();
}

/// Stands before an effect that can fail.
///
/// # Errors
/// What a test wants the effect to fail with.
#[inline]
pub fn pass(point: Point) -> io::Result<()> {
    debug_assert!(point.may_fail(), "{} cannot fail", point.name());
    #[cfg(all(feature = "failpoints", debug_assertions))]
    active::act(point)?;
    Ok(())
}

/// Stands between effects, where nothing can fail but the agent may die.
#[inline]
pub fn reach(point: Point) {
    debug_assert!(!point.may_fail(), "{} can fail", point.name());
    #[cfg(all(feature = "failpoints", debug_assertions))]
    if let Err(error) = active::act(point) {
        eprintln!("failpoint {}: nothing can fail here: {error}", point.name());
    }
}
