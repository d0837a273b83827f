//! Anonymous files that cannot change once they are written.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

/// Makes an anonymous file of `content` that nobody can change any more.
pub(crate) fn sealed(name: &str, content: &[u8]) -> io::Result<OwnedFd> {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let mut file = File::from(memfd_create(name, flags)?);
    file.write_all(content)?;
    seal(&file)?;
    Ok(file.into())
}

/// Forbids all further change of an anonymous file.
pub(crate) fn seal(file: impl AsFd) -> io::Result<()> {
    let all = SealFlag::F_SEAL_SEAL
        | SealFlag::F_SEAL_SHRINK
        | SealFlag::F_SEAL_GROW
        | SealFlag::F_SEAL_WRITE;
    fcntl(file, FcntlArg::F_ADD_SEALS(all))?;
    Ok(())
}

/// Reads a file from its start, whatever its position, up to `len_max` bytes.
///
/// # Errors
/// It cannot be read, or is longer.
pub(crate) fn read_whole(file: &File, len_max: usize) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    let mut from_start = FromStart { file, offset: 0 }.take(len_max as u64 + 1);
    from_start.read_to_end(&mut content)?;
    if content.len() > len_max {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "longer than its bound",
        ));
    }
    Ok(content)
}

struct FromStart<'a> {
    file: &'a File,
    offset: u64,
}

impl Read for FromStart<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.file.read_at(buffer, self.offset)?;
        self.offset += len as u64;
        Ok(len)
    }
}
