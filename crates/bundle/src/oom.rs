//! Which container the kernel ends first when the node's memory runs out, by Kubernetes' rule: the
//! less a container has reserved, the sooner.

use burstlet_model::Bytes;
use burstlet_model::spec::{ContainerKind, ContainerSpec, GroupSpec, Resources};

use crate::Inputs;

const GUARANTEED: i32 = -997;
const BEST_EFFORT: i32 = 1000;
const SCORE_MAX: i32 = 1000;

/// Kubernetes' classes of service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Guaranteed,
    Burstable,
    BestEffort,
}

/// The container's `oom_score_adj`.
pub(crate) fn score(inputs: &Inputs<'_>) -> i32 {
    let memory = inputs.facts.memory;
    let class = class(inputs.group);
    let own = of_container(class, inputs.container, memory);
    let is_sidecar = inputs
        .group
        .all_containers()
        .any(|(kind, c)| kind == ContainerKind::Sidecar && c.name == inputs.container.name);
    // A sidecar serves the main containers, so it does not go before them.
    let score = if is_sidecar {
        let main = inputs.group.containers.iter();
        main.map(|c| of_container(class, c, memory))
            .fold(own, i32::min)
    } else {
        own
    };
    score.max(inputs.facts.oom_score_min)
}

fn of_container(class: Class, container: &ContainerSpec, memory: Bytes) -> i32 {
    match class {
        Class::Guaranteed => GUARANTEED,
        Class::BestEffort => BEST_EFFORT,
        Class::Burstable => {
            let request = container.resources.requests.memory.unwrap_or_default();
            let share = u128::from(request.0) * 1000 / u128::from(memory.0.max(1));
            let share = i32::try_from(share).unwrap_or(SCORE_MAX);
            // Between the classes' own scores, which are for them alone.
            (SCORE_MAX - share).clamp(1000 + GUARANTEED, BEST_EFFORT - 1)
        }
    }
}

fn class(group: &GroupSpec) -> Class {
    let of_containers: Vec<Resources>;
    let all = match group.resources {
        Some(resources) => {
            of_containers = vec![resources];
            &of_containers
        }
        None => {
            of_containers = group
                .lasting_containers()
                .map(|(_, c)| c.resources)
                .collect();
            &of_containers
        }
    };
    let stated = |resources: &Resources| {
        let lists = [resources.requests, resources.limits];
        lists.iter().any(|list| {
            list.cpu.is_some_and(|cpu| cpu.0 > 0) || list.memory.is_some_and(|memory| memory.0 > 0)
        })
    };
    let guaranteed = |resources: &Resources| {
        let (requests, limits) = (resources.requests, resources.limits);
        limits.cpu.is_some_and(|cpu| cpu.0 > 0)
            && limits.memory.is_some_and(|memory| memory.0 > 0)
            && requests.cpu.is_none_or(|cpu| Some(cpu) == limits.cpu)
            && requests
                .memory
                .is_none_or(|memory| Some(memory) == limits.memory)
    };
    if all.iter().all(guaranteed) {
        Class::Guaranteed
    } else if all.iter().any(stated) {
        Class::Burstable
    } else {
        Class::BestEffort
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::Fixture;
    use burstlet_model::MilliCpu;
    use burstlet_model::spec::ResourceList;

    fn list(cpu: u64, memory: u64) -> ResourceList {
        ResourceList {
            cpu: Some(MilliCpu(cpu)),
            memory: Some(Bytes(memory)),
            ..ResourceList::default()
        }
    }

    /// The score in a group of one container on a node of 1000 bytes.
    fn score_of(requests: ResourceList, limits: ResourceList) -> i32 {
        let mut fixture = Fixture::new();
        fixture.facts.memory = Bytes(1000);
        fixture.facts.oom_score_min = -1000;
        fixture.container_mut().resources = Resources { requests, limits };
        score(&fixture.inputs())
    }

    #[test]
    fn scores() {
        let none = ResourceList::default();
        assert_eq!(score_of(none, none), 1000);
        assert_eq!(score_of(list(0, 0), none), 1000);
        assert_eq!(score_of(list(1, 100), list(1, 100)), -997);
        assert_eq!(score_of(none, list(1, 100)), -997);
        assert_eq!(score_of(list(1, 100), list(2, 100)), 900);
        assert_eq!(score_of(list(1, 0), none), 999);
        assert_eq!(score_of(list(1, 1), none), 999);
        assert_eq!(score_of(list(1, 999), none), 3);
        assert_eq!(score_of(list(1, u64::MAX), none), 3);
    }

    #[test]
    fn no_lower_than_may_be_set() {
        let mut fixture = Fixture::new();
        fixture.container_mut().resources.limits = list(1, 100);
        fixture.facts.oom_score_min = -7;
        assert_eq!(score(&fixture.inputs()), -7);
    }

    #[test]
    fn a_sidecar_does_not_go_first() {
        let mut fixture = Fixture::new();
        fixture.facts.memory = Bytes(1000);
        fixture.container_mut().resources.requests = list(1, 500);
        let mut sidecar = fixture.group.containers[0].clone();
        sidecar.resources = Resources::default();
        sidecar.restart_always = true;
        sidecar.name = burstlet_model::ContainerName::new("sidecar").unwrap_or(sidecar.name);
        fixture.group.init_containers = vec![sidecar.clone()];
        let of_sidecar = Inputs {
            container: &sidecar,
            ..fixture.inputs()
        };
        assert_eq!(score(&of_sidecar), 500);
    }
}
