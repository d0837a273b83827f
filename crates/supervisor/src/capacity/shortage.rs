//! Why there is no room: of what there is too little, for programs and for people.

use std::borrow::Cow;

use burstlet_model::spec::ResourceList;
use burstlet_model::{Bytes, MilliCpu};

use super::numbers;

/// Why a group waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shortage {
    /// Less of this resource is free than it asks for.
    Short(Lack),
    /// It would fit, but others came first or have priority.
    BehindOthers,
    /// It asks for more of this resource than groups could ever have here.
    NeverFits(Lack),
}

/// One resource that there is too little of, in its own unit (millicores, bytes, pids, devices).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lack {
    /// `cpu`, `memory`, `ephemeral-storage`, `pids` or what devices are asked for by.
    pub resource: Cow<'static, str>,
    /// What the group asks for.
    pub wanted: u64,
    /// What is there: free now, or at all.
    pub there: u64,
}

impl Shortage {
    /// A stable word for it, in Kubernetes' manner (`OutOfcpu`).
    #[must_use]
    pub fn reason(&self) -> String {
        match self {
            Self::Short(lack) | Self::NeverFits(lack) => format!("OutOf{}", lack.resource),
            Self::BehindOthers => "BehindOthers".to_owned(),
        }
    }

    /// The same for people.
    #[must_use]
    pub fn message(&self) -> String {
        match self {
            Self::Short(lack) => format!(
                "waits for {}: {} requested, {} free",
                lack.resource,
                lack.show(lack.wanted),
                lack.show(lack.there)
            ),
            Self::BehindOthers => "waits for groups that came first or have priority".to_owned(),
            Self::NeverFits(lack) => format!(
                "asks for more {} than this machine can give: {} requested, {} in all; \
                 ask for less, or raise what the machine offers",
                lack.resource,
                lack.show(lack.wanted),
                lack.show(lack.there)
            ),
        }
    }
}

impl Lack {
    fn show(&self, amount: u64) -> String {
        match &*self.resource {
            "cpu" => MilliCpu(amount).to_string(),
            "memory" | "ephemeral-storage" => Bytes(amount).to_string(),
            _ => amount.to_string(),
        }
    }
}

/// The first resource that `there` counts and has too little of.
pub(super) fn lack(wants: ResourceList, there: ResourceList) -> Option<Lack> {
    let pairs = numbers(wants).into_iter().zip(numbers(there));
    pairs
        .filter_map(|((resource, wanted), (_, there))| {
            Some(Lack {
                resource: resource.into(),
                wanted: wanted?,
                there: there?,
            })
        })
        .find(|lack| lack.wanted > lack.there)
}
