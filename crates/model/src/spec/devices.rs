//! Devices that are given away one by one: how many a group asks for, and which of them each of its
//! containers has.
//!
//! A group has as many as its containers need at the same time: an init container has, while it runs,
//! devices that main containers have after it. The rule counts places among the group's devices, so
//! that whoever knows the specification and the devices knows which container has which.

use std::ops::Range;

use super::{ContainerKind, ContainerSpec, GroupSpec};
use crate::{ContainerName, ExtendedResource};

/// So many devices of one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceRequest {
    /// Of which.
    pub resource: ExtendedResource,
    /// How many, at least one.
    pub count: u32,
}

impl GroupSpec {
    /// The devices that the group asks the machine for; nothing if no container has any.
    #[must_use]
    pub fn requested_devices(&self) -> Option<DeviceRequest> {
        let resource = self.device_resource.clone()?;
        let count = self.device_places().map(|(_, places)| places.end).max()?;
        (count > 0).then_some(DeviceRequest { resource, count })
    }

    /// Which of the group's devices a container has, by their places among them.
    #[must_use]
    pub fn devices_of(&self, container: &ContainerName) -> Range<u32> {
        let mut all = self.device_places();
        let found = all.find(|(of, _)| of.name == *container);
        found.map(|(_, places)| places).unwrap_or_default()
    }

    fn device_places(&self) -> impl Iterator<Item = (&ContainerSpec, Range<u32>)> {
        let all = self.lasting_containers();
        let places = places(all.map(|(kind, container)| (kind, container.devices)));
        self.lasting_containers()
            .zip(places)
            .map(|((_, container), places)| (container, places))
    }
}

/// Which places those have, in their order, that want so many each. What an init container has is free
/// again when it ends, before anything behind it starts.
fn places(wants: impl Iterator<Item = (ContainerKind, u32)>) -> impl Iterator<Item = Range<u32>> {
    wants.scan(0_u32, |taken, (kind, count)| {
        let places = *taken..taken.saturating_add(count);
        if kind != ContainerKind::Init {
            *taken = places.end;
        }
        Some(places)
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use ContainerKind::{Init, Main, Sidecar};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn init_containers_have_what_others_have_after_them() {
        let check = |wants: &[(ContainerKind, u32)], expected: &[Range<u32>]| {
            let places: Vec<_> = places(wants.iter().copied()).collect();
            assert_eq!(places, expected, "{wants:?}");
        };
        check(&[(Main, 0), (Main, 0)], &[0..0, 0..0]);
        check(&[(Main, 1), (Main, 2)], &[0..1, 1..3]);
        check(&[(Init, 3), (Main, 1)], &[0..3, 0..1]);
        check(
            &[(Init, 1), (Sidecar, 1), (Init, 2), (Main, 1)],
            &[0..1, 0..1, 1..3, 1..2],
        );
        check(
            &[(Main, u32::MAX), (Main, 1)],
            &[0..u32::MAX, u32::MAX..u32::MAX],
        );
    }

    fn group() -> impl Strategy<Value = Vec<(ContainerKind, u32)>> {
        let init = prop_oneof![Just(Init), Just(Sidecar)];
        let before = prop::collection::vec((init, 0..5_u32), 0..5);
        let mains = prop::collection::vec((Just(Main), 0..5_u32), 1..5);
        (before, mains).prop_map(|(before, mains)| [before, mains].concat())
    }

    proptest! {
        /// An init container runs beside the sidecars before it, all others beside each other; and no
        /// device is asked for that is not needed at some time.
        #[test]
        fn no_device_has_two_containers_at_a_time(wants in group()) {
            let places: Vec<_> = places(wants.iter().copied()).collect();
            let moments = (0..wants.len()).filter(|at| wants[*at].0 == Init).map(|at| {
                (0..=at).filter(|i| *i == at || wants[*i].0 == Sidecar).collect::<Vec<_>>()
            });
            let after = (0..wants.len()).filter(|i| wants[*i].0 != Init).collect();
            let mut most = 0;
            for together in moments.chain([after]) {
                let mut taken: Vec<u32> = together.iter().flat_map(|i| places[*i].clone()).collect();
                let needed: u32 = together.iter().map(|i| wants[*i].1).sum();
                most = most.max(needed);
                taken.sort_unstable();
                taken.dedup();
                prop_assert_eq!(taken.len(), usize::try_from(needed).unwrap());
            }
            prop_assert_eq!(places.iter().map(|places| places.end).max(), Some(most));
        }
    }
}
