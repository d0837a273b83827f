//! What agent and unpacker say to each other: one JSON line each way, after a hello.

use std::io;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::fault::LayerFault;
use super::limits::UnpackLimits;
use super::{DevicePolicy, Unpacked};
use crate::LayerPacking;

/// The version both sides must have; they are built and installed together.
pub(crate) const PROTOCOL_VERSION: u32 = 1;
/// The unpacker's first line: its namespaces exist and wait for their ids.
pub(crate) const HELLO: &[u8] = b"burstlet-unpack 1\n";
/// The agent's answer: the ids are mapped, the job follows.
pub(crate) const GO: u8 = b'!';
/// A job's line.
pub(crate) const JOB_BYTES_MAX: u64 = 4096;
/// A report's line; the opaque directories are most of it.
pub(crate) const REPORT_BYTES_MAX: u64 = 4 << 20;
/// The paths of the opaque directories of one layer, before they are written as hexadecimals.
pub(crate) const OPAQUE_BYTES_MAX: usize = 1 << 20;

/// What the unpacker is to do.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Job {
    pub(crate) version: u32,
    #[serde(with = "PackingWire")]
    pub(crate) packing: LayerPacking,
    pub(crate) diff_id: String,
    pub(crate) limits: UnpackLimits,
    pub(crate) devices: DevicePolicy,
}

/// [`LayerPacking`] as a job carries it.
#[derive(Serialize, Deserialize)]
#[serde(remote = "LayerPacking", rename_all = "snake_case")]
enum PackingWire {
    None,
    Gzip,
    Zstd,
}

/// How it went.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Report {
    pub(crate) version: u32,
    pub(crate) outcome: Outcome,
}

/// See [`Report`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// The layer is in the directory.
    Done { unpacked: Unpacked, marks: Marks },
    /// The layer is refused; what the directory holds is rubbish.
    Refused(LayerFault),
}

/// What the agent is to note on the layer's directories, since a user namespace may not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Marks {
    /// Paths of the directories that hide those of the layers below.
    pub(crate) opaque: Vec<HexPath>,
    /// No entry says how the root looks, so a layer below does.
    pub(crate) bare_root: bool,
}

/// A path as JSON can carry it, whatever its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HexPath(pub(crate) Vec<u8>);

impl Serialize for HexPath {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for HexPath {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        hex::decode(text)
            .map(Self)
            .map_err(serde::de::Error::custom)
    }
}

/// A message as one line.
pub(crate) fn line(message: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(message).map_err(io::Error::other)?;
    line.push(b'\n');
    Ok(line)
}

/// The message that a line holds.
pub(crate) fn parse<T: DeserializeOwned>(line: &[u8]) -> Result<T, String> {
    let line = line.strip_suffix(b"\n").ok_or("the line does not end")?;
    serde_json::from_slice(line).map_err(|error| error.to_string())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_report_comes_back_as_it_was_sent() {
        let fault = LayerFault::name(b"a\xff\n", crate::unpack::NameRule::Nul);
        let report = Report {
            version: 1,
            outcome: Outcome::Refused(fault.clone()),
        };
        let back: Report = parse(&line(&report).unwrap()).unwrap();
        assert!(matches!(back.outcome, Outcome::Refused(f) if f == fault));
        let opaque = vec![HexPath(b"a/\xff\0".to_vec()), HexPath(Vec::new())];
        let sent = Marks {
            opaque,
            bare_root: true,
        };
        let report = Report {
            version: 1,
            outcome: Outcome::Done {
                unpacked: Unpacked::default(),
                marks: sent.clone(),
            },
        };
        let back: Report = parse(&line(&report).unwrap()).unwrap();
        assert!(matches!(back.outcome, Outcome::Done { marks, .. } if marks == sent));
    }

    #[test]
    fn a_cut_or_padded_report_is_no_report() {
        let job = Job {
            version: PROTOCOL_VERSION,
            packing: LayerPacking::Gzip,
            diff_id: String::new(),
            limits: UnpackLimits::default(),
            devices: DevicePolicy::default(),
        };
        let whole = line(&job).unwrap();
        assert!(whole.len() as u64 <= JOB_BYTES_MAX);
        assert!(parse::<Job>(&whole).is_ok());
        for cut in 0..whole.len() {
            assert!(parse::<Job>(&whole[..cut]).is_err(), "{cut}");
        }
        assert!(parse::<Job>(b"{\"version\":1,\"more\":2}\n").is_err());
    }
}
