use std::fmt;

/// A value that must not reach a log, an error or an event: its `Debug` shows nothing of it.
///
/// There is no `Display`; whoever needs the value says [`Secret::expose`], which is easy to find
/// in a review.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// Wraps `value`.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself. Whatever receives it must not print it.
    pub const fn expose(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<redacted>")
    }
}
