//! What a cgroup may use, and the numbers that the kernel wants for it.

use burstlet_model::{Bytes, MilliCpu};

use crate::Devices;

/// The limits of one cgroup. All of them are written each time, so that an update can also lift a
/// limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The share of the processors against siblings when all are busy.
    pub cpu_request: MilliCpu,
    /// The most processor time per time; `None` for no limit.
    pub cpu_limit: Option<MilliCpu>,
    /// The most memory, swap included; `None` for no limit.
    pub memory_limit: Option<Bytes>,
    /// The most processes and threads. There is always a limit, so that no fork bomb reaches the
    /// host's.
    pub pids_limit: u32,
    /// When memory runs out, kill all of the cgroup's processes and not just one (v2).
    pub oom_group: bool,
    /// The devices that may be opened (v1).
    pub devices: Devices,
}

/// The enforcement period of the processor limit, the kernel's default.
pub(crate) const CPU_PERIOD_US: u64 = 100_000;
const CPU_QUOTA_US_MIN: u64 = 1_000;
const CPU_SHARES_MIN: u64 = 2;
const CPU_SHARES_MAX: u64 = 262_144;

/// `cpu.shares` of v1: 1024 for each core, as Kubernetes computes it.
pub(crate) fn cpu_shares(request: MilliCpu) -> u64 {
    (request.0.saturating_mul(1024) / 1000).clamp(CPU_SHARES_MIN, CPU_SHARES_MAX)
}

/// `cpu.weight` of v2, by the curve that container runtimes agreed on: it maps v1's smallest,
/// default and greatest shares to v2's.
pub(crate) fn cpu_weight(request: MilliCpu) -> u64 {
    let shares = cpu_shares(request);
    match shares {
        CPU_SHARES_MIN => 1,
        CPU_SHARES_MAX => 10_000,
        _ => {
            let log = (shares as f64).log2();
            let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
            (10f64.powf(exponent).ceil() as u64).clamp(1, 10_000)
        }
    }
}

/// Microseconds of processor time per [`CPU_PERIOD_US`]; −1 for no limit.
pub(crate) fn cpu_quota_us(limit: Option<MilliCpu>) -> i64 {
    let quota = |limit: MilliCpu| {
        let us = (limit.0.saturating_mul(CPU_PERIOD_US) / 1000).max(CPU_QUOTA_US_MIN);
        i64::try_from(us).unwrap_or(i64::MAX)
    };
    limit.map_or(-1, quota)
}

/// Bytes as the control files take them; −1 for no limit.
pub(crate) fn memory_bytes(limit: Option<Bytes>) -> i64 {
    limit.map_or(-1, |limit| i64::try_from(limit.0).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_weights_and_quotas() {
        for (milli, shares, weight, quota) in [
            (0, 2, 1, 1_000),
            (1, 2, 1, 1_000),
            (5, 5, 2, 1_000),
            (10, 10, 4, 1_000),
            (100, 102, 17, 10_000),
            (500, 512, 59, 50_000),
            (1_000, 1024, 100, 100_000),
            (2_000, 2048, 174, 200_000),
            (64_000, 65_536, 3_023, 6_400_000),
            (256_000, 262_144, 10_000, 25_600_000),
        ] {
            let milli = MilliCpu(milli);
            assert_eq!(cpu_shares(milli), shares, "shares of {milli}");
            assert_eq!(cpu_weight(milli), weight, "weight of {milli}");
            assert_eq!(cpu_quota_us(Some(milli)), quota, "quota of {milli}");
        }
        assert_eq!(cpu_quota_us(None), -1);
        assert!(cpu_quota_us(Some(MilliCpu(u64::MAX))) > 0);
    }

    #[test]
    fn weight_never_falls_with_the_request() {
        let weights: Vec<u64> = (0..300_000)
            .step_by(7)
            .map(|m| cpu_weight(MilliCpu(m)))
            .collect();
        assert!(weights.is_sorted());
    }

    #[test]
    fn memory() {
        assert_eq!(memory_bytes(None), -1);
        assert_eq!(memory_bytes(Some(Bytes(4096))), 4096);
        assert_eq!(memory_bytes(Some(Bytes(u64::MAX))), i64::MAX);
    }
}
