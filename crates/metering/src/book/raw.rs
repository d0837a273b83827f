//! A book as its text has it, before anything was checked.

use std::collections::BTreeMap;

use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawBook {
    pub(super) name: String,
    pub(super) currency: String,
    pub(super) effective_from: String,
    #[serde(default)]
    pub(super) profile: RawProfile,
    #[serde(default)]
    pub(super) cpu: RawStep,
    #[serde(default)]
    pub(super) memory: RawMemoryStep,
    pub(super) sizes: Option<RawSizes>,
    #[serde(default)]
    pub(super) sku: Vec<RawSku>,
    #[serde(default)]
    pub(super) commitment: Vec<RawCommitment>,
    #[serde(default)]
    pub(super) machine: Vec<RawMachine>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawProfile {
    pub(super) name: Option<String>,
    pub(super) states: Option<String>,
    pub(super) quantum_ns: Option<u64>,
    pub(super) minimum_seconds: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawStep {
    pub(super) step: Option<String>,
    pub(super) rounding: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawMemoryStep {
    pub(super) unit: Option<String>,
    pub(super) step: Option<String>,
    pub(super) rounding: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSizes {
    pub(super) unit: String,
    pub(super) overhead_memory: Option<String>,
    pub(super) size: Vec<RawSize>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSize {
    pub(super) cpu: String,
    pub(super) memory_min: String,
    pub(super) memory_max: String,
    pub(super) memory_step: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSku {
    pub(super) id: String,
    pub(super) meter: Option<String>,
    pub(super) line: Option<String>,
    pub(super) unit: Option<String>,
    pub(super) price: Option<String>,
    pub(super) base: Option<String>,
    pub(super) factor: Option<String>,
    pub(super) included: Option<String>,
    pub(super) states: Option<String>,
    #[serde(default, rename = "match")]
    pub(super) matching: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCommitment {
    pub(super) id: String,
    pub(super) sku: String,
    pub(super) amount: String,
    pub(super) price: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawMachine {
    pub(super) name: String,
    pub(super) cores: String,
    pub(super) memory_gib: String,
    pub(super) hourly_price: String,
}
