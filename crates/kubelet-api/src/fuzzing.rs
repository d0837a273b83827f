//! What the fuzz targets reach of the inside of this crate. No program has it.

use hyper::Method;

use crate::route::Route;

/// How a request is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// What it is for, in words.
    pub what: String,
    /// Whether it begins a session.
    pub is_session: bool,
    /// Whether there is nothing.
    pub is_nothing: bool,
    /// The verb that it needs.
    pub verb: &'static str,
    /// On any of these.
    pub subresources: &'static [&'static str],
}

/// Reads a request's method and path.
#[must_use]
pub fn read(method: &Method, path: &str) -> Read {
    let (route, needed) = crate::route::route(method, path);
    let sessions = matches!(
        route,
        Route::Exec(_) | Route::Attach(_) | Route::PortForward(_)
    );
    Read {
        what: format!("{route:?}"),
        is_session: sessions,
        is_nothing: route == Route::Nothing,
        verb: needed.verb,
        subresources: needed.subresources,
    }
}
