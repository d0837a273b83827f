//! Processors that groups have alone, given out and taken back.
//!
//! The pool decides, here it is done. In this order, so that whoever has a processor alone never finds
//! somebody else on it, wherever an agent may go:
//!
//! ```text
//! begin    all others leave the processors ─► the group is given them ─► its keeper starts
//! end      its last process has ended ─► the group has none any more ─► all others may use them
//! ```
//!
//! Who has what is read from the kernel when an agent starts, and what all others share follows from it.

mod topology;

use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use burstlet_cgroup::{CgroupError, Cgroups, Shared};
use burstlet_model::spec::GroupSpec;
use burstlet_model::{ErrorKind, GroupUid, ProcessorPool, ProcessorSet};

use crate::config::{self, Config};

/// How long a group waits for processors of one that is being ended: its room is given to others before
/// the last of it is gone.
const HANDOVER_MAX: Duration = Duration::from_secs(10);

/// What is wrong with the processors of groups.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProcessorsError {
    /// The kernel does not do it.
    #[error("set which processors groups run on")]
    Cgroup(#[from] CgroupError),
    /// What the machine counts as its own is not all to be given out.
    #[error(
        "the agent may use the processors {agent}, and its cgroups {cgroups}: start it where both are the same"
    )]
    OutOfReach {
        agent: ProcessorSet,
        cgroups: ProcessorSet,
    },
    /// Others have them, or an end is not over yet.
    #[error("{wanted} processors are asked for alone, and there are not so many free now")]
    NotFree { wanted: usize },
    /// Nobody can be moved between what is shared and what is his.
    #[error("a group that has processors alone can be given whole ones only")]
    NotWhole,
}

impl ProcessorsError {
    /// The class of this failure.
    pub(crate) fn kind(&self) -> ErrorKind {
        match self {
            Self::Cgroup(error) => error.kind(),
            Self::OutOfReach { .. } => ErrorKind::Unsupported,
            Self::NotFree { .. } => ErrorKind::Unavailable,
            Self::NotWhole => ErrorKind::FailedPrecondition,
        }
    }
}

/// How many processors are whose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ProcessorUse {
    pub(crate) shared: usize,
    pub(crate) exclusive: usize,
}

/// The processors of all groups; nothing if no group has any alone, and none can.
#[derive(Debug)]
pub(crate) struct Processors(Option<Lender>);

#[derive(Debug)]
struct Lender {
    tree: burstlet_cgroup::Processors,
    /// Whether groups that start may have any alone. Who has some keeps them.
    gives: bool,
    pool: Mutex<ProcessorPool>,
    /// Told when a group has given back what it had.
    freed: Condvar,
    /// See [`HANDOVER_MAX`].
    patience: Duration,
}

impl Processors {
    /// Takes note of who has processors alone, and lets all others run on the rest.
    ///
    /// # Errors
    /// Groups are to have processors alone, and the host cannot do it.
    pub(crate) fn open(config: &Config, cgroups: &Cgroups) -> Result<Self, ProcessorsError> {
        let gives = config.processors.exclusive;
        let tree = match gives {
            true => Some(cgroups.processors()?),
            false => cgroups.processors_left(),
        };
        let Some(tree) = tree else {
            return Ok(Self(None));
        };
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let (agent, cgroups_all) = (allowed(&status), tree.all()?);
        let usable = agent.within(&cgroups_all);
        if usable.is_empty() || (gives && usable != agent) {
            return Err(ProcessorsError::OutOfReach {
                agent,
                cgroups: cgroups_all,
            });
        }
        let topology = topology::read(Path::new("/sys"), &usable);
        let kept = config::Processors::kept(&config.capacity);
        let pool = ProcessorPool::new(usable, kept, topology);
        Ok(Self(Some(Lender::open(
            cgroups,
            tree,
            gives,
            pool,
            HANDOVER_MAX,
        )?)))
    }

    /// Lets this process run where what is shared is, if that is a place of its own.
    ///
    /// # Errors
    /// What the kernel says.
    pub(crate) fn join(&self) -> Result<(), ProcessorsError> {
        match &self.0 {
            Some(lender) => Ok(lender.tree.join_shared()?),
            None => Ok(()),
        }
    }

    /// Gives a group, whose cgroup has just been made, what it runs on: processors of its own if it is
    /// one that has any.
    ///
    /// # Errors
    /// Kind `Unavailable` if there are not enough; else what the kernel says. Then [`Self::end`] takes
    /// back what was given.
    pub(crate) fn begin(&self, uid: &GroupUid, spec: &GroupSpec) -> Result<(), ProcessorsError> {
        let Some(lender) = &self.0 else {
            return Ok(());
        };
        match spec.whole_processors().filter(|_| lender.gives) {
            Some(count) => lender.give(uid, count),
            None => Ok(lender.tree.share_with(uid, &shared(&lender.pool()))?),
        }
    }

    /// Gives a group that stands as many as it asks for by now.
    ///
    /// # Errors
    /// As [`Self::begin`], and if it has some alone and asks for a part of one: what was stays then.
    pub(crate) fn resize(&self, uid: &GroupUid, spec: &GroupSpec) -> Result<(), ProcessorsError> {
        let Some(lender) = &self.0 else {
            return Ok(());
        };
        if lender.pool().of(uid).is_none() {
            return Ok(());
        }
        let count = spec.whole_processors().ok_or(ProcessorsError::NotWhole)?;
        lender.give(uid, count)
    }

    /// Takes back what a group had, all of whose processes have ended and whose cgroup is gone. Waits
    /// up to `patience` for what is ending. Idempotent.
    ///
    /// # Errors
    /// What the kernel says; the group has what it had.
    pub(crate) fn end(&self, uid: &GroupUid, patience: Duration) -> Result<(), ProcessorsError> {
        let Some(lender) = &self.0 else {
            return Ok(());
        };
        if lender.pool().of(uid).is_none() {
            return Ok(());
        }
        lender.tree.take_back(uid, patience)?;
        let mut pool = lender.pool();
        let mut after = pool.clone();
        after.set(uid, ProcessorSet::default());
        lender.share(&after)?;
        *pool = after;
        lender.freed.notify_all();
        Ok(())
    }

    /// What a group has alone.
    pub(crate) fn of(&self, uid: &GroupUid) -> Option<ProcessorSet> {
        self.0.as_ref()?.pool().of(uid).cloned()
    }

    /// What a group's keeper joins beside its cgroup.
    pub(crate) fn tasks(&self, uid: &GroupUid) -> Option<PathBuf> {
        self.0.as_ref()?.tree.tasks(uid)
    }

    /// How many are whose; nothing where no group can have any alone.
    pub(crate) fn in_use(&self) -> ProcessorUse {
        let Some(lender) = &self.0 else {
            return ProcessorUse::default();
        };
        let pool = lender.pool();
        ProcessorUse {
            shared: pool.shared().len(),
            exclusive: pool.owners().map(|(_, own)| own.len()).sum(),
        }
    }
}

impl Lender {
    /// Goes on from what the kernel has. A group whose cgroup is gone has nothing any more.
    fn open(
        cgroups: &Cgroups,
        tree: burstlet_cgroup::Processors,
        gives: bool,
        mut pool: ProcessorPool,
        patience: Duration,
    ) -> Result<Self, ProcessorsError> {
        for (uid, own) in tree.owners()? {
            match cgroups.group(&uid).exists() {
                true => pool.set(&uid, own),
                false => tree.take_back(&uid, Duration::ZERO)?,
            }
        }
        let lender = Self {
            tree,
            gives,
            pool: Mutex::new(pool),
            freed: Condvar::new(),
            patience,
        };
        lender.share(&lender.pool())?;
        Ok(lender)
    }

    fn pool(&self) -> MutexGuard<'_, ProcessorPool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes it `count` that a group has. Nobody else is on them before it is, nor after while it may
    /// still be; where something fails the pool counts all that the group may have.
    fn give(&self, uid: &GroupUid, wanted: usize) -> Result<(), ProcessorsError> {
        let too_few = |pool: &mut ProcessorPool| pool.choose(uid, wanted).is_none();
        let waited = self
            .freed
            .wait_timeout_while(self.pool(), self.patience, too_few);
        let (mut pool, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let own = pool.choose(uid, wanted);
        let own = own.ok_or(ProcessorsError::NotFree { wanted })?;
        let had = pool.of(uid).cloned().unwrap_or_default();
        pool.set(uid, had.with(&own));
        self.share(&pool)?;
        self.tree.give(uid, &own)?;
        pool.set(uid, own);
        if !had.is_empty() {
            self.share(&pool)?;
            self.freed.notify_all();
        }
        Ok(())
    }

    fn share(&self, pool: &ProcessorPool) -> Result<(), ProcessorsError> {
        let owners = pool.owners().map(|(uid, _)| uid);
        Ok(self.tree.share(&shared(pool), owners)?)
    }
}

fn shared(pool: &ProcessorPool) -> Shared {
    Shared::new(pool.shared(), pool.all())
}

/// The processors that a process may use, by its status.
fn allowed(status: &str) -> ProcessorSet {
    let mut lines = status.lines();
    let list = lines.find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    list.and_then(|list| list.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;
