//! What a process must be when everything is in place, for [`crate::verify`].

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use burstlet_model::DeviceNumber;
use oci_spec::runtime::{Process, Spec};

use super::bundle::Bundle;
use super::capabilities;
use super::namespaces::{Namespaces, inode};
use crate::plan::{IdRange, MountPlan, MountSource};
use crate::protocol::{Failure, FailureClass};
use crate::verify::{Expected, Namespace, read_namespaces};

/// What is the same for all processes of a group.
pub(super) struct GroupFacts {
    /// The group's ids.
    pub(super) ids: Option<IdRange>,
    /// The namespaces of the keeper before it joined any: the launcher's.
    pub(super) outside: BTreeMap<&'static str, u64>,
}

impl GroupFacts {
    /// What a container's first process must be, with the process namespace of its target if it has
    /// one.
    pub(super) fn of_first(
        &self,
        bundle: &Bundle,
        (namespaces, target): (&Namespaces, Option<&OwnedFd>),
        seccomp: bool,
        mounts: &[MountPlan],
    ) -> Result<Expected, Failure> {
        let spec = &bundle.spec;
        let mut expected = self.of_process(&bundle.process, seccomp)?;
        for (name, outside) in &self.outside {
            // Those that the group does not have of its own must be the host's, all others not.
            let hosts = (*name == "user" && namespaces.user.is_none())
                || (*name == "net" && namespaces.net.is_none());
            let wanted = if hosts {
                Namespace::Is(*outside)
            } else {
                Namespace::IsNot(*outside)
            };
            expected.namespaces.insert(name, wanted);
        }
        for (name, fd) in namespaces.joined(target) {
            expected.namespaces.insert(
                name,
                Namespace::Is(inode(fd).map_err(|error| unreadable(&error))?),
            );
        }
        expected.root_read_only =
            Some(spec.root().as_ref().and_then(|r| r.readonly()) == Some(true));
        expected.mounts = mount_points(spec);
        expected.devices = devices(mounts);
        if let Some(wish) = &bundle.cgroups {
            expected.mounts.push(wish.destination.clone());
            let guarded = Some(&wish.destination).filter(|_| wish.read_only);
            expected.guarded = guarded.cloned();
        }
        Ok(expected)
    }

    /// What a process run later in the container of process `first` must be.
    pub(super) fn of_joined(
        &self,
        process: &Process,
        first: i32,
        seccomp: bool,
    ) -> Result<Expected, Failure> {
        let mut expected = self.of_process(process, seccomp)?;
        let dir = PathBuf::from(format!("/proc/{first}"));
        let namespaces = read_namespaces(&dir).map_err(|error| unreadable(&error))?;
        expected.namespaces = namespaces
            .into_iter()
            .map(|(name, inode)| (name, Namespace::Is(inode)))
            .collect();
        Ok(expected)
    }

    fn of_process(&self, process: &Process, seccomp: bool) -> Result<Expected, Failure> {
        let host = |id: u32| match self.ids {
            None => Ok(id),
            Some(range) => range.to_host(id).ok_or_else(|| {
                let message = format!("id {id} is beyond the group's {} ids", range.len);
                Failure::new(FailureClass::Invalid, message)
            }),
        };
        let user = process.user();
        let groups = user.additional_gids().iter().flatten();
        Ok(Expected {
            uid: host(user.uid())?,
            gid: host(user.gid())?,
            groups: groups.map(|gid| host(*gid)).collect::<Result<_, _>>()?,
            capabilities: capabilities::masks(process.capabilities().as_ref()),
            no_new_privileges: process.no_new_privileges() == Some(true),
            seccomp,
            ids: self.ids,
            ..Expected::default()
        })
    }
}

fn unreadable(error: &io::Error) -> Failure {
    Failure::new(
        FailureClass::Internal,
        format!("read the namespaces to expect: {error}"),
    )
}

/// The devices that the plan's mounts are nodes of.
fn devices(mounts: &[MountPlan]) -> BTreeMap<PathBuf, DeviceNumber> {
    let device = |mount: &MountPlan| match mount.source {
        MountSource::Device { number, .. } => Some((mount.destination.clone(), number)),
        _ => None,
    };
    mounts.iter().filter_map(device).collect()
}

/// Where something must be mounted: the spec's mounts, and of the paths to be masked or made
/// read-only those that this kernel has.
fn mount_points(spec: &Spec) -> Vec<PathBuf> {
    let mounts = spec
        .mounts()
        .iter()
        .flatten()
        .map(|mount| mount.destination().clone());
    let linux = spec.linux().as_ref();
    let masked = linux
        .and_then(|l| l.masked_paths().as_ref())
        .into_iter()
        .flatten();
    let read_only = linux
        .and_then(|l| l.readonly_paths().as_ref())
        .into_iter()
        .flatten();
    let restricted = masked.chain(read_only).map(PathBuf::from).filter(|path| {
        let of_kernel = ["/proc", "/sys"].iter().any(|dir| path.starts_with(dir));
        of_kernel && Path::exists(path)
    });
    mounts.chain(restricted).collect()
}
