//! What a group's specification says that is frozen when its session opens, or would be.

use burstlet_model::spec::GroupSpec;

use super::{Allocation, IMAGES_MAX, Opened, Scheduling};

/// The only tier of isolation that there is.
const ISOLATION: &str = "container";
/// The only operating system.
const OS: &str = "linux";

impl Opened {
    /// What a group comes to on a machine of this architecture.
    #[must_use]
    pub fn of(spec: &GroupSpec, arch: &str) -> Self {
        let mut images: Vec<String> = Vec::new();
        for (_, container) in spec.all_containers() {
            let image = container.image.to_string();
            if !images.contains(&image) && images.len() < IMAGES_MAX {
                images.push(image);
            }
        }
        Self {
            group: spec.name.clone(),
            owner: String::new(),
            tags: spec.tags.clone(),
            images,
            os: OS.to_owned(),
            arch: arch.to_owned(),
            scheduling: Scheduling::OnDemand,
            isolation: ISOLATION.to_owned(),
            allocation: allocation(spec),
        }
    }
}

fn allocation(spec: &GroupSpec) -> Allocation {
    let requested = spec.requested();
    let ports = spec
        .all_containers()
        .flat_map(|(_, container)| &container.ports)
        .filter(|port| port.host_port.is_some());
    Allocation {
        cpu: requested.cpu.unwrap_or_default(),
        memory: requested.memory.unwrap_or_default(),
        ephemeral: requested.ephemeral_storage.unwrap_or_default(),
        ports: u32::try_from(ports.count()).unwrap_or(u32::MAX),
        ..Allocation::default()
    }
}
