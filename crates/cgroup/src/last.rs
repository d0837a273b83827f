//! What a cgroup has used in all, once nothing is in it any more.
//!
//! A process leaves its cgroup's list a little before it is through with dying, and what that takes is
//! counted when its processor turns to something else. So an empty list is not enough for a number that
//! people pay by: the counter has to rest, too.

use std::time::{Duration, Instant};

use burstlet_model::{BootTime, Usage};

use crate::watch::wait_empty;
use crate::{Cgroup, CgroupError};

/// A counter that stays as it is for this long rests.
const REST: Duration = Duration::from_millis(2);
/// How often it is looked at to find it resting: an empty cgroup uses nothing for longer than this.
const LOOKS_MAX: u32 = 50;

impl Cgroup {
    /// Waits until no process is in it or below it, and reads what all of them have used: nothing is
    /// added to that any more. Kills none. `at` is the caller's clock.
    ///
    /// # Errors
    /// [`CgroupError::Busy`] if there are processes after `patience`; otherwise as
    /// [`Cgroup::usage`].
    pub fn last_usage(&self, at: BootTime, patience: Duration) -> Result<Usage, CgroupError> {
        if !wait_empty(self, Instant::now() + patience)? {
            return Err(CgroupError::Busy {
                path: self.path().to_owned(),
                processes: self.processes()?.len(),
            });
        }
        let mut used = self.cpu_ns()?;
        for _ in 0..LOOKS_MAX {
            std::thread::sleep(REST);
            let before = std::mem::replace(&mut used, self.cpu_ns()?);
            if used == before {
                break;
            }
        }
        self.usage(at)
    }
}
