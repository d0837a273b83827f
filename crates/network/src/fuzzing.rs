//! What the fuzz targets reach of the inside of this crate. No program has it.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use burstlet_model::{BootTime, GroupName, GroupUid, IdError, Name, Namespace};
use ipnet::Ipv4Net;

use crate::dns::{Holder, Reply, SharedNames, reply};
use crate::lease::LeaseRequest;
use crate::leases::{Leases, Record};
use crate::{Isolation, NetworkError};

/// What the name server says to a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// This.
    Answer(Vec<u8>),
    /// It asks another server.
    Forwarded,
    /// Nothing.
    Nothing,
}

/// A name server with groups of its own.
#[derive(Debug)]
pub struct NameServer(SharedNames);

impl NameServer {
    /// One that serves these groups: namespace, name and address of each.
    ///
    /// # Errors
    /// A name is none.
    pub fn new(subnet: Ipv4Net, groups: &[(&str, &str, Ipv4Addr)]) -> Result<Self, IdError> {
        let names = SharedNames::new("burstlet.local", subnet);
        for (namespace, name, address) in groups {
            let group = GroupName {
                namespace: Namespace::new(namespace)?,
                name: Name::new(name)?,
            };
            names.insert(
                Holder {
                    group,
                    is_pod: false,
                },
                *address,
            );
        }
        Ok(Self(names))
    }

    /// What it says to `asker`.
    #[must_use]
    pub fn reply(&self, asker: Ipv4Addr, question: &[u8]) -> Said {
        match self.0.read(|names| reply(names, asker, question)) {
            Reply::Answer(bytes) => Said::Answer(bytes),
            Reply::Forward => Said::Forwarded,
            Reply::Ignore => Said::Nothing,
        }
    }
}

/// A book of leases that is read from its log.
#[derive(Debug)]
pub struct Book(Leases);

impl Book {
    /// The line of a record, its checksum made right.
    #[must_use]
    pub fn line(json: &str) -> String {
        Record::line(json)
    }

    /// Reads the log in a directory.
    ///
    /// # Errors
    /// It is damaged, or of another subnet.
    pub fn open(dir: &Path, subnet: Ipv4Net) -> Result<Self, NetworkError> {
        let addresses = (subnet, Duration::ZERO);
        Leases::open(dir, Some(addresses), BootTime(0)).map(Self)
    }

    /// Each group's address.
    #[must_use]
    pub fn addresses(&self) -> Vec<(GroupUid, Option<Ipv4Addr>)> {
        let all = self.0.all();
        all.map(|lease| (lease.uid.clone(), lease.address))
            .collect()
    }

    /// Gives a group its lease.
    ///
    /// # Errors
    /// There is no address left, or the log cannot be written.
    pub fn grant(&mut self, uid: GroupUid, group: GroupName) -> Result<Ipv4Addr, NetworkError> {
        let request = LeaseRequest {
            uid,
            group,
            isolation: Isolation::Namespace,
            ports: Vec::new(),
        };
        let (lease, _) = self.0.grant(&request, BootTime(0))?;
        Ok(lease.address.unwrap_or(Ipv4Addr::UNSPECIFIED))
    }
}
