/// A version of the protocol of exec and attach over SPDY.
///
/// | version | adds |
/// |---|---|
/// | 1 | – |
/// | 2 | the end of the standard input |
/// | 3 | the terminal's sizes |
/// | 4 | the exit code, in a document on the error stream |
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CommandProtocol {
    /// `channel.k8s.io`
    V1,
    /// `v2.channel.k8s.io`
    V2,
    /// `v3.channel.k8s.io`
    V3,
    /// `v4.channel.k8s.io`
    V4,
}

impl CommandProtocol {
    /// All, the newest first.
    pub const ALL: [Self; 4] = [Self::V4, Self::V3, Self::V2, Self::V1];

    /// The one of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == name)
    }

    /// Its name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::V1 => "channel.k8s.io",
            Self::V2 => "v2.channel.k8s.io",
            Self::V3 => "v3.channel.k8s.io",
            Self::V4 => "v4.channel.k8s.io",
        }
    }

    pub(super) fn has_resize(self) -> bool {
        self >= Self::V3
    }

    pub(super) fn has_status_document(self) -> bool {
        self >= Self::V4
    }
}
