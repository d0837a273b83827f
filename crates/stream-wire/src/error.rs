/// What a peer sent that cannot be understood. All of it is the peer's fault, and the connection
/// cannot go on after it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A control frame of another version of SPDY.
    #[error("a control frame is of SPDY version {version}, not 3")]
    Version {
        /// The version it has.
        version: u16,
    },
    /// A control frame longer than any that a client has reason to send.
    #[error("a {frame} frame has {length} bytes, at most {max} are read")]
    FrameTooLong {
        /// Which kind of frame.
        frame: &'static str,
        /// What it says.
        length: usize,
        /// The bound.
        max: usize,
    },
    /// A frame that is not as its kind has to be.
    #[error("a {frame} frame is malformed: {why}")]
    Frame {
        /// Which kind of frame.
        frame: &'static str,
        /// What is wrong.
        why: &'static str,
    },
    /// A block of headers that cannot be read; those after it cannot either.
    #[error("a block of headers is malformed: {why}")]
    Headers {
        /// What is wrong.
        why: &'static str,
    },
    /// A WebSocket message that is not as its protocol has to be.
    #[error("a channel message is malformed: {why}")]
    Message {
        /// What is wrong.
        why: &'static str,
    },
}
