//! What the fuzz targets reach of the inside of this crate. No program has it.

use std::net::Ipv4Addr;

use burstlet_model::{GroupName, IdError, Name, Namespace};
use ipnet::Ipv4Net;

use crate::dns::{Holder, Reply, SharedNames, reply};

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
