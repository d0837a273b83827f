//! Large blobs, received into a file.
//!
//! ```text
//!  registry ─► this task ─► bounded channel ─► blocking thread: hash, write
//! ```
//!
//! A cut connection is continued where it broke, at the same host or at the next.

use bytes::Bytes;
use reqwest::header::CONTENT_RANGE;
use reqwest::{Method, Response, StatusCode};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::sleep;

use super::Repository;
use super::body::Pace;
use super::client::{Try, delay_of, failed};
use super::error::{Problem, RegistryError};
use super::session::{Ask, Session};
use crate::Descriptor;
use crate::content::{ContentError, ContentStore, Partial, Received};

/// Pieces between the network and the disk.
const PIECES_MAX: usize = 32;
/// An attempt that brought this much does not count as failed.
const PROGRESS_BYTES_MIN: u64 = 1 << 20;

/// Where a blob goes, and who wants to know how far it is.
pub struct BlobTarget<'a> {
    /// Where to.
    pub store: &'a ContentStore,
    /// Told the number of bytes that are here, whenever more came.
    pub report: &'a (dyn Fn(u64) + Send + Sync),
}

impl Repository {
    /// Receives a blob, from where an earlier attempt broke off, and verifies it.
    ///
    /// # Errors
    /// No host gives the bytes that the descriptor names, or the disk fails.
    pub async fn blob(
        &self,
        blob: &Descriptor,
        target: BlobTarget<'_>,
    ) -> Result<Received, RegistryError> {
        let action = format!("blob {}", blob.digest);
        let mut last = None;
        for one in self.order().await {
            let session = one.session;
            match self.receive(one, blob, &target).await {
                Ok(received) => return Ok(received),
                Err(problem) => {
                    let error = failed(&action, session, problem);
                    if error.problem.is_ours() {
                        return Err(error);
                    }
                    last = Some(error);
                }
            }
        }
        Err(last.unwrap_or_else(|| self.at_origin(&action, Problem::NotFound)))
    }

    /// Receives from one host, as often as it makes progress.
    async fn receive(
        &self,
        one: Try<'_>,
        blob: &Descriptor,
        target: &BlobTarget<'_>,
    ) -> Result<Received, Problem> {
        let Try {
            session,
            mut attempts,
        } = one;
        loop {
            // What one tenant's repository sent is not continued for another's.
            let (store, wanted) = (target.store.clone(), blob.clone());
            let source = self.source().to_owned();
            let partial = blocking(move || store.partial(&wanted, &source)).await?;
            let before = partial.written();
            let (result, reached) = attempt(session, partial, target.report).await;
            let problem = match result {
                Ok(partial) => match blocking(move || partial.verify()).await {
                    Ok(received) => return Ok(received),
                    // Another host may have sent the beginning: this one gets its own chance.
                    Err(ContentError::Digest { .. }) if before > 0 => continue,
                    Err(error) => return Err(error.into()),
                },
                Err(problem) => problem,
            };
            if reached >= before + PROGRESS_BYTES_MIN {
                attempts.progressed();
            }
            match delay_of(&problem, &mut attempts) {
                Some(delay) => sleep(delay).await,
                None => return Err(problem),
            }
        }
    }
}

/// One request: the partial blob if all of it came, and how many bytes are here now.
async fn attempt(
    session: &Session,
    mut partial: Partial,
    report: &(dyn Fn(u64) + Send + Sync),
) -> (Result<Partial, Problem>, u64) {
    let from = partial.written();
    if from == partial.blob().size {
        return (Ok(partial), from);
    }
    let path = format!("blobs/{}", partial.blob().digest);
    let ask = Ask {
        method: Method::GET,
        path,
        accept: None,
        from,
    };
    let response = match session.ask(&ask).await {
        Err(Problem::Status { status: 416, .. }) if from > 0 => {
            let problem = partial.restart().map_or_else(Problem::Content, |()| cut());
            return (Err(problem), from);
        }
        asked => match asked.and_then(|response| check_range(response, &mut partial)) {
            Ok(response) => response,
            Err(problem) => return (Err(problem), from),
        },
    };
    stream(response, partial, report).await
}

/// Moves a body into the partial blob.
async fn stream(
    mut response: Response,
    partial: Partial,
    report: &(dyn Fn(u64) + Send + Sync),
) -> (Result<Partial, Problem>, u64) {
    let (size, mut reached) = (partial.blob().size, partial.written());
    let (pieces, writer) = spawn_writer(partial);
    let mut pace = Pace::default();
    let read: Result<(), Problem> = loop {
        match pace.next(&mut response).await {
            Ok(Some(piece)) => {
                let length = piece.len() as u64;
                // The writer stops at its own error, and at the first byte too many.
                if pieces.send(piece).await.is_err() {
                    break Ok(());
                }
                reached += length;
                report(reached.min(size));
            }
            Ok(None) => break Ok(()),
            Err(problem) => break Err(problem),
        }
    };
    drop(pieces);
    let written = writer.await.unwrap_or_else(|error| Err(crashed(&error)));
    let result = match (written, read) {
        (Err(error), _) => Err(Problem::Content(error)),
        (_, Err(problem)) => Err(problem),
        (Ok(partial), Ok(())) if partial.written() < size => Err(cut()),
        (Ok(partial), Ok(())) => Ok(partial),
    };
    (result, reached)
}

type Writer = JoinHandle<Result<Partial, ContentError>>;

fn spawn_writer(mut partial: Partial) -> (mpsc::Sender<Bytes>, Writer) {
    let (sender, mut receiver) = mpsc::channel::<Bytes>(PIECES_MAX);
    let writer = spawn_blocking(move || {
        while let Some(piece) = receiver.blocking_recv() {
            partial.append(&piece)?;
        }
        Ok(partial)
    });
    (sender, writer)
}

/// Checks that the answer continues where we asked it to, or begins anew.
fn check_range(response: Response, partial: &mut Partial) -> Result<Response, Problem> {
    let from = partial.written();
    let starts = match response.status() {
        StatusCode::PARTIAL_CONTENT => {
            let range = response
                .headers()
                .get(CONTENT_RANGE)
                .and_then(|value| value.to_str().ok());
            range.and_then(range_start)
        }
        StatusCode::OK => Some(0),
        status => return Err(Problem::Protocol(format!("status {}", status.as_u16()))),
    };
    match starts {
        Some(start) if start == from => {}
        Some(0) => partial.restart()?,
        _ => {
            return Err(Problem::Protocol(
                "it sends another range than asked for".to_owned(),
            ));
        }
    }
    let blob = partial.blob();
    let length = response.content_length().unwrap_or(0);
    if partial.written().saturating_add(length) > blob.size {
        let (digest, expected) = (blob.digest.clone(), blob.size);
        let got = partial.written().saturating_add(length);
        return Err(ContentError::Size {
            digest,
            expected,
            got,
        }
        .into());
    }
    Ok(response)
}

/// `bytes FIRST-LAST/SIZE`
fn range_start(text: &str) -> Option<u64> {
    let (first, _) = text.strip_prefix("bytes ")?.split_once('-')?;
    first.parse().ok()
}

fn cut() -> Problem {
    Problem::Connect("it closed before the end of the blob".to_owned())
}

fn crashed(error: &tokio::task::JoinError) -> ContentError {
    let path = std::path::PathBuf::from("the partial blob");
    let source = std::sync::Arc::new(std::io::Error::other(error.to_string()));
    ContentError::Io {
        action: "write",
        path,
        source,
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ContentError> + Send + 'static,
) -> Result<T, ContentError> {
    spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(crashed(&error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        for (text, start) in [
            ("bytes 5-9/10", Some(5)),
            ("bytes 0-9/*", Some(0)),
            ("bytes */10", None),
            ("bytes -5/10", None),
            ("items 5-9/10", None),
            ("", None),
        ] {
            assert_eq!(range_start(text), start, "{text}");
        }
    }
}
