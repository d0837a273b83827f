//! What can happen, as the ledger has it.

use std::collections::BTreeMap;

pub use burstlet_model::metering::{Close, GapReason, State};
pub use burstlet_model::spec::Scheduling;
use burstlet_model::{BootTime, Bytes, ContainerName, GroupName, MilliCpu, WallTime};

use super::{Samples, SessionId};
use crate::chain::Hash;

/// A fact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// An agent took the ledger over; its epoch begins.
    EpochBegan {
        /// The agent's version.
        version: String,
    },
    /// The agent left in order.
    EpochEnded,
    /// The wall clock was set: from here on labels follow this fact's stamp.
    ClockStepped,
    /// A price book is in force from its date on.
    BookInstalled(BookText),
    /// What segments came to is written down beside the chain; they may go.
    Carried(Carry),
    /// Something about one session.
    Session {
        /// Which.
        id: SessionId,
        /// What.
        fact: SessionFact,
    },
}

/// A fact about one session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionFact {
    /// The group was asked to run; the session begins in [`State::Queued`].
    Opened(Box<Opened>),
    /// The group came into a state and left the one before.
    Entered(State),
    /// The allocation changed; the state did not.
    Resized(Allocation),
    /// What has been used since the session was opened.
    Used(Used),
    /// How often how much was used since the session was opened.
    Sampled(Samples),
    /// An image was pulled.
    Pulled(Pull),
    /// A container was started again.
    Restarted(Restart),
    /// A later agent found the group alive and goes on with it.
    Adopted,
    /// A time that cannot be known, and is not charged.
    Missed(Gap),
    /// The last process is gone; nothing of the session follows but its final usage.
    Closed(Close),
}

/// What is carried on of segments, by its hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Carry {
    /// The last record that it stands for.
    pub through: u64,
    /// The hash of what is carried on.
    pub hash: Hash,
}

/// A price book as it was installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BookText {
    /// Its name.
    pub name: String,
    /// SHA-256 of its canonical text.
    pub version: [u8; 32],
    /// From when on it counts.
    pub effective: WallTime,
    /// The canonical text itself, so that the ledger alone suffices to compute a bill.
    pub text: String,
}

/// What is frozen when a session opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Namespace and name.
    pub group: GroupName,
    /// Who asked for the group; empty if nobody was named.
    pub owner: String,
    /// Billing tags.
    pub tags: BTreeMap<String, String>,
    /// Canonical references of the images, in the order of the containers.
    pub images: Vec<String>,
    /// The operating system, as OCI spells it (`linux`).
    pub os: String,
    /// The processor architecture, as OCI spells it (`amd64`).
    pub arch: String,
    /// Whether it may be evicted for others.
    pub scheduling: Scheduling,
    /// The isolation tier by name (`container`).
    pub isolation: String,
    /// What is set aside for it.
    pub allocation: Allocation,
}

/// What is set aside for a group while it lasts. Zero is "none".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allocation {
    /// Processor time per time.
    pub cpu: MilliCpu,
    /// Memory.
    pub memory: Bytes,
    /// Writable layers, logs and disk-backed `emptyDir`.
    pub ephemeral: Bytes,
    /// Devices that are its own: graphics processors, or what else the operator gives away by number.
    pub gpus: u32,
    /// The resource that they are (`example.com/gpu`); empty if there are none.
    pub gpu_model: String,
    /// Ports published on the host.
    pub ports: u32,
    /// Volumes that outlive the session.
    pub volumes: Bytes,
}

/// Totals since the session was opened: they only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// Processor time, in microseconds, as the cgroup counts it.
    pub cpu_us: u64,
    /// The integral of memory over time, in byte nanoseconds, from samples.
    pub memory_byte_ns: u128,
    /// The time that the samples cover.
    pub memory_sampled_ns: u64,
    /// The most memory at once, in bytes.
    pub memory_peak: u64,
    /// Bytes received over the group's own interface.
    pub net_received: u64,
    /// Bytes sent over it.
    pub net_sent: u64,
    /// The counters were read after the last process had gone: they are exact.
    pub is_final: bool,
}

impl Used {
    /// The greater of each.
    #[must_use]
    pub fn join(&self, other: &Self) -> Self {
        Self {
            cpu_us: self.cpu_us.max(other.cpu_us),
            memory_byte_ns: self.memory_byte_ns.max(other.memory_byte_ns),
            memory_sampled_ns: self.memory_sampled_ns.max(other.memory_sampled_ns),
            memory_peak: self.memory_peak.max(other.memory_peak),
            net_received: self.net_received.max(other.net_received),
            net_sent: self.net_sent.max(other.net_sent),
            is_final: self.is_final || other.is_final,
        }
    }
}

/// What getting one image took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pull {
    /// Which pull of the session, from 1.
    pub number: u32,
    /// The canonical reference.
    pub image: String,
    /// How long, in nanoseconds.
    pub ns: u64,
    /// Bytes that came over the network; none if everything was in the store.
    pub bytes: u64,
}

/// A container was started again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restart {
    /// Which.
    pub container: ContainerName,
    /// Which of its restarts, from 1.
    pub number: u32,
}

/// A time that cannot be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The last proof of life.
    pub from: BootTime,
    /// When it was found out; on another boot than `from` it is the same moment, and the length
    /// of the gap is not known either.
    pub to: BootTime,
    /// Why it is not known.
    pub reason: GapReason,
}
