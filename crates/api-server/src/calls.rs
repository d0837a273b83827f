//! Tells of each call when it is over: its method and its code.
//!
//! ```text
//! request ─► service ─► head with a status     → over (a refusal)
//!                   └─► head ─► data… ─► trailers → over
//!                                   └─► dropped   → over, cancelled by the client
//! ```
//!
//! A method that nobody serves has no name of its own, so that clients cannot make names up.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use prost::Message;
use prost_types::FileDescriptorSet;
use tonic::Code;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::codegen::http::{Request, Response};
use tower::Layer;

use crate::ending::{Ending, EndingBody, code};

/// The name of every method that is not served.
pub const UNKNOWN_METHOD: &str = "unknown";

/// Is told of each call that is over: `package.Service/Method`, and how it ended.
#[derive(Clone)]
pub struct OnCall(Arc<Observer>);

type Observer = dyn Fn(&str, Code) + Send + Sync;

impl OnCall {
    /// Tells `observer`, which must not block.
    pub fn new(observer: impl Fn(&str, Code) + Send + Sync + 'static) -> Self {
        Self(Arc::new(observer))
    }

    /// Tells of a call that is over.
    pub fn tell(&self, method: &str, code: Code) {
        (self.0)(method, code);
    }
}

impl fmt::Debug for OnCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnCall")
    }
}

/// Watches over the calls of a server.
#[derive(Clone, Debug)]
pub(crate) struct Calls {
    methods: Arc<BTreeSet<String>>,
    on_call: OnCall,
}

impl Calls {
    /// Knows the methods of these descriptors.
    pub(crate) fn new(descriptors: &[&[u8]], on_call: OnCall) -> Result<Self, prost::DecodeError> {
        let mut methods = BTreeSet::new();
        for encoded in descriptors {
            for file in FileDescriptorSet::decode(*encoded)?.file {
                for service in &file.service {
                    let name = format!("{}.{}", file.package(), service.name());
                    let method =
                        |m: &prost_types::MethodDescriptorProto| format!("{name}/{}", m.name());
                    methods.extend(service.method.iter().map(method));
                }
            }
        }
        Ok(Self {
            methods: Arc::new(methods),
            on_call,
        })
    }

    fn begin(&self, path: &str) -> Call {
        let path = path.strip_prefix('/').unwrap_or(path);
        let method = match self.methods.get(path) {
            Some(method) => method,
            None => UNKNOWN_METHOD,
        };
        Call {
            method: method.to_owned(),
            on_call: self.on_call.clone(),
            over: false,
        }
    }
}

impl<S> Layer<S> for Calls {
    type Service = WatchedService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        WatchedService {
            calls: self.clone(),
            inner,
        }
    }
}

/// The services below, watched.
#[derive(Clone, Debug)]
pub(crate) struct WatchedService<S> {
    calls: Calls,
    inner: S,
}

impl<S> Service<Request<Body>> for WatchedService<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = Response<EndingBody<Call>>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Self::Response, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let mut call = self.calls.begin(request.uri().path());
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await?;
            if let Some(code) = code(answer.headers()) {
                call.end(code);
            }
            Ok(answer.map(|inner| EndingBody::new(inner, call)))
        })
    }
}

/// One call; told of once.
#[derive(Debug)]
pub(crate) struct Call {
    method: String,
    on_call: OnCall,
    over: bool,
}

impl Ending for Call {
    fn end(&mut self, code: Code) {
        if !std::mem::replace(&mut self.over, true) {
            self.on_call.tell(&self.method, code);
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        // Nobody waits for the rest.
        self.end(Code::Cancelled);
    }
}

/// A code as gRPC writes it.
#[must_use]
pub const fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
