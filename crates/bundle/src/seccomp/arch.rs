use std::str::FromStr;

/// A processor architecture with its 64-bit system call interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Arch {
    /// AMD and Intel.
    X86_64,
    /// ARM.
    Aarch64,
}

/// The same call under the names of the two architectures' tables.
const ALIASES: [(&str, &str); 2] = [("newfstatat", "fstatat"), ("fstatat", "newfstatat")];

impl Arch {
    /// The architecture that this program was built for, if it is one of these.
    #[must_use]
    pub const fn native() -> Option<Self> {
        if cfg!(target_arch = "x86_64") {
            Some(Self::X86_64)
        } else if cfg!(target_arch = "aarch64") {
            Some(Self::Aarch64)
        } else {
            None
        }
    }

    /// The name by which profiles' `includes` and `excludes` call it.
    pub(super) const fn profile_name(self) -> &'static str {
        match self {
            Self::X86_64 => "amd64",
            Self::Aarch64 => "arm64",
        }
    }

    /// The name by which profiles' `architectures` call it.
    pub(super) const fn oci_name(self) -> &'static str {
        match self {
            Self::X86_64 => "SCMP_ARCH_X86_64",
            Self::Aarch64 => "SCMP_ARCH_AARCH64",
        }
    }

    /// What the kernel tells a filter for a call by this interface (`AUDIT_ARCH_…`).
    pub(super) const fn audit(self) -> u32 {
        match self {
            Self::X86_64 => 0xc000_003e,
            Self::Aarch64 => 0xc000_00b7,
        }
    }

    /// The number from which on calls are by the x32 interface, which has the same `audit` value.
    pub(super) const fn foreign_numbers(self) -> Option<u32> {
        match self {
            Self::X86_64 => Some(0x4000_0000),
            Self::Aarch64 => None,
        }
    }

    /// The number of a system call.
    pub(super) fn number(self, name: &str) -> Option<u32> {
        self.plain_number(name).or_else(|| {
            let (_, alias) = ALIASES.iter().find(|(known, _)| *known == name)?;
            self.plain_number(alias)
        })
    }

    fn plain_number(self, name: &str) -> Option<u32> {
        let number = match self {
            Self::X86_64 => syscalls::x86_64::Sysno::from_str(name).ok()?.id(),
            Self::Aarch64 => syscalls::aarch64::Sysno::from_str(name).ok()?.id(),
        };
        u32::try_from(number).ok()
    }
}
