//! What the fuzz targets reach of the inside of this crate. No program has it.

use std::fs::File;
use std::io::{self, BufRead};
use std::os::fd::OwnedFd;

use crate::LayerPacking;
use crate::registry::RegistryHost;
use crate::snapshot::{ContainerUser, UserError};
use crate::unpack::{DevicePolicy, LayerFault, UnpackLimits, Unpacked, inside};

/// Unpacks an archive into a directory, as the unpacker does in its confinement.
///
/// # Errors
/// The archive is refused, or the directory cannot be written to.
pub fn unpack(root: OwnedFd, archive: &[u8], limits: UnpackLimits) -> Result<Unpacked, LayerFault> {
    let mut reader = inside::Reader::new(archive);
    let applier = inside::Applier::new(root, inside::Budget::new(limits), DevicePolicy::LeaveOut);
    applier.run(&mut reader).map(|(unpacked, _)| unpacked)
}

/// How many bytes a packed layer holds.
///
/// # Errors
/// It is not packed so, or holds more than its size allows.
pub fn unpacked_bytes(blob: File, packing: LayerPacking, limits: UnpackLimits) -> io::Result<u64> {
    let mut stream = inside::LayerStream::start(blob, packing, limits)?;
    let mut bytes = 0;
    loop {
        let ready = stream.fill_buf()?.len();
        if ready == 0 {
            return Ok(bytes);
        }
        bytes += ready as u64;
        stream.consume(ready);
    }
}

/// Who `user` is by an image's `/etc/passwd` and `/etc/group`.
///
/// # Errors
/// They do not say.
pub fn resolve_user(user: &str, passwd: &[u8], group: &[u8]) -> Result<ContainerUser, UserError> {
    crate::snapshot::user::resolve(user, passwd, group)
}

/// The host, with its port, that a registry's challenge sends its credentials to, if it may.
#[must_use]
pub fn token_server(registry: &RegistryHost, challenge: &str) -> Option<(String, u16)> {
    let url = crate::registry::token::leads_to(registry, challenge)?;
    Some((url.host_str()?.to_owned(), url.port_or_known_default()?))
}
