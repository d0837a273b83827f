//! What this machine is and has.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, UdpSocket};

use crate::config::Capacity;
use crate::devices::Pools;
use burstlet_model::spec::ResourceList;
use burstlet_model::{BootTime, Bytes, ExtendedResource, MilliCpu, Stamp, WallTime};
use nix::time::{ClockId, clock_gettime};

/// Both clocks, now.
#[allow(
    clippy::disallowed_methods,
    reason = "the one place where the agent reads the clocks"
)]
pub(crate) fn now() -> Stamp {
    let boot = clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(0, |time| {
        u64::try_from(time.tv_sec()).unwrap_or(0) * 1_000_000_000
            + u64::try_from(time.tv_nsec()).unwrap_or(0)
    });
    let wall = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let wall = wall.map_or(0, |since| {
        i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
    });
    Stamp {
        boot: BootTime(boot),
        wall: WallTime(wall),
    }
}

/// What the machine has as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Machine {
    /// All processors that the agent may use.
    pub(crate) cpu: MilliCpu,
    /// All memory.
    pub(crate) memory: Bytes,
    /// The devices that it gives away.
    pub(crate) devices: Pools,
}

impl Machine {
    /// Reads it from the kernel, but for the devices, which are the operator's to name.
    ///
    /// # Errors
    /// As [`memory`]'s.
    pub(crate) fn read(devices: Pools) -> io::Result<Self> {
        let processors = std::thread::available_parallelism()?.get();
        Ok(Self {
            cpu: MilliCpu(1000 * processors as u64),
            memory: memory()?,
            devices,
        })
    }
}

impl Machine {
    /// All of it.
    pub(crate) fn total(&self) -> ResourceList {
        ResourceList {
            cpu: Some(self.cpu),
            memory: Some(self.memory),
            ..ResourceList::default()
        }
    }

    /// How many devices there are of each resource.
    pub(crate) fn device_counts(&self) -> BTreeMap<ExtendedResource, usize> {
        let pools = self.devices.iter();
        pools
            .map(|(of, devices)| (of.clone(), devices.len()))
            .collect()
    }

    /// What groups may be given together: what is not reserved.
    pub(crate) fn allocatable(&self, capacity: &Capacity) -> ResourceList {
        let cpu = self.cpu.0.saturating_sub(capacity.reserved_cpu.0);
        let memory = self.memory.0.saturating_sub(capacity.reserved_memory.0);
        ResourceList {
            cpu: Some(MilliCpu(cpu)),
            memory: Some(Bytes(memory)),
            ..ResourceList::default()
        }
    }
}

/// All memory.
///
/// # Errors
/// `/proc/meminfo` cannot be read or has no `MemTotal`.
pub(crate) fn memory() -> io::Result<Bytes> {
    let text = std::fs::read_to_string("/proc/meminfo")?;
    mem_total(&text)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "/proc/meminfo has no MemTotal"))
}

fn mem_total(meminfo: &str) -> Option<Bytes> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(Bytes(kib << 10))
}

/// The host's name.
pub(crate) fn host_name() -> String {
    let name = nix::unistd::gethostname()
        .ok()
        .and_then(|name| name.into_string().ok());
    name.unwrap_or_else(|| "localhost".to_owned())
}

/// The operating system's name for people.
pub(crate) fn os_image() -> String {
    let text = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = text
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.unwrap_or("Linux").trim_matches('"').to_owned()
}

/// The kernel's release.
pub(crate) fn kernel() -> String {
    let text = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    text.trim().to_owned()
}

/// The address that this host talks to others from: the source of its default route.
pub(crate) fn address() -> Option<IpAddr> {
    // Connecting a datagram socket sends nothing; it only asks the routing table.
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_unspecified()).then_some(address)
}

/// The processors' directories that tell of heat, and so of others' work.
pub(crate) fn thermal_paths() -> Vec<String> {
    let entries = std::fs::read_dir("/sys/devices/system/cpu")
        .into_iter()
        .flatten()
        .flatten();
    let paths = entries.map(|entry| entry.path().join("thermal_throttle"));
    paths
        .filter(|path| path.exists())
        .map(|path| path.display().to_string())
        .collect()
}

/// The identity of this boot: stamps of another boot are not comparable with this one's.
///
/// # Errors
/// The kernel's file cannot be read.
pub(crate) fn boot_id() -> io::Result<String> {
    Ok(std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?
        .trim()
        .to_owned())
}

/// The capabilities that this process can hand on, as bits; none if the kernel does not tell.
pub(crate) fn capabilities() -> u64 {
    bounding(&std::fs::read_to_string("/proc/self/status").unwrap_or_default())
}

fn bounding(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("CapBnd:"));
    let bits = line.map(|bits| u64::from_str_radix(bits.trim(), 16));
    bits.and_then(Result::ok).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_read() {
        let status = "CapEff:\t0000000000000001\nCapBnd:\t000001fffeffffff\n";
        assert_eq!(bounding(status), 0x1ff_feff_ffff);
        assert_eq!(bounding("Name:\tburstlet\n"), 0);
    }

    #[test]
    fn memory_is_read() {
        assert_eq!(
            mem_total("MemTotal:       24684096 kB\nMemFree: 1 kB\n"),
            Some(Bytes(24_684_096 << 10))
        );
        assert_eq!(mem_total("MemFree: 1 kB\n"), None);
    }

    #[test]
    fn clocks_go_forward() {
        let first = now();
        let second = now();
        assert!(second.boot >= first.boot);
        assert!(first.wall.unix_s() > 1_700_000_000);
    }
}
