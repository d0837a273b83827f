//! SPDY/3.1 in the server's role, as far as the clients of Kubernetes speak it.
//!
//! A stream's life, as seen from here; `F` is a frame with the flag FIN, `R` is RST_STREAM:
//!
//! ```text
//!                  ┌─► client done ──┐ our F
//! SYN_STREAM ─► open                 ├─► gone
//!                  └─► we are done ──┘ client's F
//!   any state ── R, from either side ──► gone
//! ```
//!
//! What moves nothing: SETTINGS, WINDOW_UPDATE, HEADERS and unknown control frames are read and
//! passed over. None of them is ever sent, as the clients take some of them for errors.

mod connection;
mod dictionary;
mod frame;
mod headers;

pub use connection::{Connection, ResetStatus, StreamEvent, StreamId};
pub use dictionary::{DICTIONARY_ID, dictionary};
pub use frame::{CONTROL_BYTES_MAX, DATA_BYTES_MAX};
pub use headers::{BLOCK_BYTES_MAX, HEADER_BYTES_MAX, HEADERS_MAX, Headers};
