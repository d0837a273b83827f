//! Export: the definition in a form that can be kept, with secrets masked.

use burstlet_manifest::{MASK, redact, to_pod};
use burstlet_proto::v1;
use burstlet_proto::v1::export_request::Format;
use burstlet_supervisor::host::Host;
use tonic::Status;

use super::resolve;
use crate::access::Asked;
use crate::convert;
use crate::machine::Machine;

/// A group's definition as JSON text.
pub(crate) fn export<H: Host, M: Machine>(
    api: &Asked<H, M>,
    request: &v1::ExportRequest,
) -> Result<v1::ExportResponse, Status> {
    let handle = resolve::group(api, request.group.as_ref())?;
    let source = convert::parse_source(&handle.snapshot().definition.source)?;
    let (manifest, notes) = match request.format() {
        Format::Pod => {
            let pod = to_pod(&source);
            (pod.manifest, pod.notes)
        }
        Format::Unspecified | Format::Group => {
            let masked = redact(&source);
            let notes = match masked == source {
                true => Vec::new(),
                false => vec![format!(
                    "secrets are masked as {MASK} (Kioq in base64): put them in"
                )],
            };
            (masked, notes)
        }
    };
    Ok(v1::ExportResponse {
        manifest: manifest.to_string(),
        notes,
    })
}
