//! The kubelet's port: HTTPS over HTTP/1.1, on which an API server, and through it `kubectl`,
//! reaches the containers of a node.
//!
//! It knows neither pods nor the kernel, nor an API server. What it shows and runs are functions of
//! a [`Backend`], who may ask is judged by a [`Guard`]:
//!
//! ```text
//! TLS ─► who: client certificate, or token by the Guard ─► 401
//!     ─► route: the cleaned path, once ─► which right it needs ─► Guard ─► 403
//!     ─► document, log: a body        ◄─ Backend
//!     ─► exec, attach, port-forward: 101, then a session of its own ◄─► Backend
//! ```
//!
//! **Streams.** Sessions come by SPDY and by WebSockets, in all the protocols that clients of
//! Kubernetes have spoken; `burstlet-stream-wire` knows them, and a session is one loop over it. A
//! slow client holds its process's output, and a process that does not read holds its client.
//!
//! **Strict.** A stream needs the right to `create`, also where a WebSocket has to ask by GET.
//! What a kubelet has beside these routes (`/run`, `/debug`, `/logs`, `/checkpoint`) is not here.

mod access;
mod backend;
mod body;
mod cache;
mod client;
mod command;
mod credentials;
mod forward;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod handle;
mod link;
mod logs;
mod query;
mod read_size;
mod refused;
mod route;
mod serve;
mod sessions;
mod tls;
mod upgrade;

pub use access::{Asked, Guard, Identity};
pub use backend::{
    AttachRequest, Backend, ContainerPath, Document, ExecRequest, LogRecord, LogRequest, LogStream,
    PodPath, PortStream, Reader, Session, Since, Writer,
};
pub use burstlet_stream_wire::TerminalSize;
pub use cache::Cached;
pub use refused::Refused;
pub use serve::{Kubelet, serve};
pub use sessions::Timeouts;
pub use tls::{ClientCa, TlsError, tls_config};
