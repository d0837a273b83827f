//! Unpacks one layer, confined; see `burstlet_image::unpack`. The agent starts it.

use std::process::ExitCode;

fn main() -> ExitCode {
    burstlet_image::unpack::unpacker_main()
}
