//! Streams to clients: bounded, at the client's pace, and gone when the client is.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use tracing::{Instrument, Span};

use crate::access::StreamPermit;

/// Messages that wait for a slow client, for each stream.
const FRAMES_MAX: usize = 4;
/// How long a client that is not known any more is waited for.
const LAST_WORDS_MAX: Duration = Duration::from_secs(5);

/// A stream of answers.
pub(crate) type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;
/// Where a task puts its answers; full means that the client is slow.
pub(crate) type Answer<T> = mpsc::Sender<Result<T, Status>>;

/// The client has gone: there is nobody to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gone;

/// Sends one answer, when the client takes it.
pub(crate) async fn send<T>(answers: &Answer<T>, answer: T) -> Result<(), Gone> {
    answers.send(Ok(answer)).await.map_err(|_| Gone)
}

/// The answers that a task gives. The task is dropped, with all that it holds, when the client
/// goes or is not known any more; an error that it returns is the last answer.
pub(crate) fn task<T, F>(
    permit: StreamPermit,
    span: Span,
    work: impl FnOnce(Answer<T>) -> F,
) -> Answers<T>
where
    T: Send + 'static,
    F: Future<Output = Result<(), Status>> + Send + 'static,
{
    let (answers, received) = mpsc::channel(FRAMES_MAX);
    let work = work(answers.clone());
    let task = async move {
        tokio::select! {
            () = answers.closed() => tracing::debug!("the client has gone"),
            status = permit.expired() => {
                let last = answers.send(Err(status));
                // A client that takes nothing is not told.
                let _ = tokio::time::timeout(LAST_WORDS_MAX, last).await;
            }
            result = work => {
                if let Err(status) = result {
                    // If the client has gone there is nobody to tell.
                    let _ = answers.send(Err(status)).await;
                }
            }
        }
    };
    tokio::spawn(task.instrument(span));
    ReceiverStream::new(received).boxed()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::sync::Arc;

    use tokio::sync::{OwnedSemaphorePermit, Semaphore};
    use tokio::time::Instant;
    use tonic::Code;

    use super::*;
    use crate::access::Ends;

    fn held(permit: OwnedSemaphorePermit) -> StreamPermit {
        StreamPermit::new(permit, None, Ends::default())
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_ends_with_its_callers_credential() {
        let room = Arc::new(Semaphore::new(1));
        let permit = Arc::clone(&room).try_acquire_owned().unwrap();
        let end = Instant::now() + Duration::from_secs(3600);
        let ends = Ends {
            at: Some(end),
            ..Ends::default()
        };
        let permit = StreamPermit::new(permit, None, ends);
        let mut answers = task(permit, Span::none(), |answers| async move {
            let _ = send(&answers, 1).await;
            std::future::pending().await
        });
        assert_eq!(answers.next().await.unwrap().unwrap(), 1);
        let last = answers.next().await.unwrap().unwrap_err();
        assert_eq!(last.code(), Code::Unauthenticated);
        assert!(Instant::now() >= end);
        assert!(answers.next().await.is_none());
    }

    #[tokio::test]
    async fn what_a_stream_holds_goes_with_its_client() {
        let room = Arc::new(Semaphore::new(1));
        let permit = Arc::clone(&room).try_acquire_owned().unwrap();
        let property = Arc::new(());
        let weak = Arc::downgrade(&property);
        let mut answers = task(held(permit), Span::none(), |answers| async move {
            let _property = property;
            let _ = send(&answers, 1).await;
            std::future::pending().await
        });
        assert_eq!(answers.next().await.unwrap().unwrap(), 1);
        assert!(weak.upgrade().is_some());
        drop(answers);
        let _again = room.acquire().await.unwrap();
        assert!(weak.upgrade().is_none());
    }

    #[tokio::test]
    async fn an_error_is_the_last_answer() {
        let room = Arc::new(Semaphore::new(1));
        let permit = room.try_acquire_owned().unwrap();
        let answers = task(held(permit), Span::none(), |answers| async move {
            let _ = send(&answers, 1).await;
            Err(Status::aborted("enough"))
        });
        let answers: Vec<Result<i32, Status>> = answers.collect().await;
        assert!(matches!(answers.as_slice(), [Ok(1), Err(_)]), "{answers:?}");
    }
}
