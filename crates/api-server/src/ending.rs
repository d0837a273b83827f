//! Answers that say when they are over, and with which code.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http_body::{Body as HttpBody, Frame};
use tonic::body::Body;
use tonic::codegen::Bytes;
use tonic::codegen::http::HeaderMap;
use tonic::{Code, Status};

const STATUS_HEADER: &str = "grpc-status";

/// Is told of an answer's end, perhaps more than once. One that is given up is dropped only.
pub(crate) trait Ending {
    /// The answer is over, with this code.
    fn end(&mut self, code: Code);
}

/// An answer that tells of its end.
#[derive(Debug)]
pub(crate) struct EndingBody<E> {
    inner: Body,
    ending: E,
}

impl<E> EndingBody<E> {
    /// Tells `ending` of the end of `inner`.
    pub(crate) const fn new(inner: Body, ending: E) -> Self {
        Self { inner, ending }
    }
}

impl<E: Ending + Unpin> HttpBody for EndingBody<E> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                if let Some(code) = frame.trailers_ref().and_then(code) {
                    self.ending.end(code);
                }
            }
            Some(Err(status)) => self.ending.end(status.code()),
            None => self.ending.end(Code::Unknown),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }
}

/// The code that a head or its trailers state.
pub(crate) fn code(headers: &HeaderMap) -> Option<Code> {
    let status = headers.get(STATUS_HEADER)?;
    Some(Code::from_bytes(status.as_bytes()))
}
