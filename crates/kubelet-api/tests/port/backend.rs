//! Commands that need no process, ports of this host, and rights by the name of a token.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use burstlet_kubelet_api::{
    Asked, AttachRequest, Backend, ContainerPath, Document, ExecRequest, Guard, Identity,
    LogRecord, LogRequest, PodPath, PortStream, Refused, Session, TerminalSize,
};
use burstlet_model::{ContainerName, ErrorKind, Secret, WallTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, copy, duplex};
use tokio::sync::{Notify, mpsc};

/// Bytes that a pipe of the made up processes holds, as one of Linux does.
const PIPE_BYTES: usize = 64 << 10;
/// What `flood` writes.
pub(crate) const FLOOD_BYTES: usize = 3 << 20;

#[derive(Default)]
pub(crate) struct Fake {
    /// Processes that somebody holds.
    alive: Arc<AtomicUsize>,
    /// A log's line is written, and `later` is started, when the test says so.
    pub(crate) go_on: Arc<Notify>,
    /// What `endless` has written.
    pub(crate) written: Arc<AtomicUsize>,
}

/// The other ends of a process's streams.
struct Process {
    stdin: DuplexStream,
    stdout: DuplexStream,
    stderr: DuplexStream,
    sizes: mpsc::Receiver<TerminalSize>,
}

struct Alive(Arc<AtomicUsize>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Fake {
    /// Waits until nobody holds a process any more.
    pub(crate) async fn all_gone(&self) {
        for _ in 0..200 {
            if self.alive.load(Ordering::SeqCst) == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("a process is still held");
    }

    pub(crate) fn alive(&self) -> usize {
        self.alive.load(Ordering::SeqCst)
    }

    fn session<F>(&self, stdin: bool, tty: bool, run: impl FnOnce(Process) -> F) -> Session
    where
        F: Future<Output = i32> + Send + 'static,
    {
        let (to_process, from_client) = duplex(PIPE_BYTES);
        let (stdout, from_stdout) = duplex(PIPE_BYTES);
        let (stderr, from_stderr) = duplex(PIPE_BYTES);
        let (sizes, sizes_received) = mpsc::channel(1);
        let process = tokio::spawn(run(Process {
            stdin: from_client,
            stdout,
            stderr,
            sizes: sizes_received,
        }));
        self.alive.fetch_add(1, Ordering::SeqCst);
        let alive = Alive(Arc::clone(&self.alive));
        Session {
            stdin: stdin.then(|| Box::new(to_process) as _),
            stdout: Some(Box::new(from_stdout)),
            stderr: (!tty).then(|| Box::new(from_stderr) as _),
            sizes,
            exit: Box::pin(async move {
                let _alive = alive;
                process
                    .await
                    .map_err(|error| Refused::new(ErrorKind::Internal, error.to_string()))
            }),
        }
    }
}

impl Backend for Fake {
    async fn document(&self, document: Document) -> Result<String, Refused> {
        Ok(format!("{document:?}"))
    }

    fn admit(&self, pod: &PodPath, container: Option<&ContainerName>) -> Result<(), Refused> {
        let wrong_uid = pod.uid.as_deref().is_some_and(|uid| uid != "the-uid");
        if pod.name.as_str() == "missing" || wrong_uid {
            return Err(Refused::new(ErrorKind::NotFound, "pod does not exist"));
        }
        match container.map(ContainerName::as_str) {
            Some("missing") => Err(Refused::new(ErrorKind::NotFound, "container not found")),
            _ => Ok(()),
        }
    }

    async fn exec(&self, _: ContainerPath, request: ExecRequest) -> Result<Session, Refused> {
        let command: Vec<&str> = request.command.iter().map(String::as_str).collect();
        let owned = request.command.clone();
        let (stdin, tty) = (request.stdin, request.tty);
        Ok(match command.as_slice() {
            ["cat"] => self.session(stdin, tty, cat),
            ["say", ..] => self.session(stdin, tty, |process| say(process, owned)),
            ["later"] => {
                self.go_on.notified().await;
                self.session(stdin, tty, cat)
            }
            ["sizes"] => self.session(stdin, tty, sizes),
            ["flood"] => self.session(stdin, tty, flood),
            ["endless"] => {
                let written = Arc::clone(&self.written);
                self.session(stdin, tty, |process| endless(process, written))
            }
            ["deaf"] => self.session(stdin, tty, deaf),
            [other, ..] => {
                let message = format!("exec: {other:?}: executable file not found in $PATH");
                return Err(Refused::new(ErrorKind::NotFound, message));
            }
            [] => return Err(Refused::new(ErrorKind::Invalid, "no command")),
        })
    }

    async fn attach(&self, _: ContainerPath, request: AttachRequest) -> Result<Session, Refused> {
        Ok(self.session(request.stdin, request.tty, cat))
    }

    async fn dial(&self, _: PodPath, port: u16) -> Result<PortStream, Refused> {
        let connected = PortStream::connect(("127.0.0.1", port)).await;
        connected.map_err(|_| Refused::new(ErrorKind::Unavailable, "connection refused"))
    }

    async fn logs(
        &self,
        container: ContainerPath,
        request: LogRequest,
    ) -> Result<mpsc::Receiver<Result<LogRecord, Refused>>, Refused> {
        self.admit(&container.pod, Some(&container.container))?;
        if request.previous {
            let message = r#"previous terminated container "c" in pod "web" not found"#;
            return Err(Refused::new(ErrorKind::FailedPrecondition, message));
        }
        let (records, received) = mpsc::channel(1);
        let go_on = Arc::clone(&self.go_on);
        tokio::spawn(async move {
            go_on.notified().await;
            let (at, text) = (WallTime(0), b"a line\n".to_vec());
            let _ = records.send(Ok(LogRecord { at, text })).await;
            if request.follow {
                records.closed().await;
            }
        });
        Ok(received)
    }
}

async fn cat(mut process: Process) -> i32 {
    i32::from(copy(&mut process.stdin, &mut process.stdout).await.is_err())
}

/// `say OUT ERR CODE`
async fn say(mut process: Process, command: Vec<String>) -> i32 {
    process
        .stdout
        .write_all(command[1].as_bytes())
        .await
        .unwrap();
    process
        .stderr
        .write_all(command[2].as_bytes())
        .await
        .unwrap();
    command[3].parse().unwrap()
}

/// Tells two sizes of its terminal.
async fn sizes(mut process: Process) -> i32 {
    for _ in 0..2 {
        let size = process.sizes.recv().await.unwrap();
        let text = format!("{}x{} ", size.columns, size.rows);
        process.stdout.write_all(text.as_bytes()).await.unwrap();
    }
    0
}

/// Ends at once after the last byte.
async fn flood(mut process: Process) -> i32 {
    let written = process.stdout.write_all(&vec![b'x'; FLOOD_BYTES]).await;
    if written.is_ok() { 9 } else { 1 }
}

/// Writes as fast as it is read.
async fn endless(mut process: Process, written: Arc<AtomicUsize>) -> i32 {
    let piece = vec![b'y'; 32 << 10];
    while process.stdout.write_all(&piece).await.is_ok() {
        written.fetch_add(piece.len(), Ordering::SeqCst);
    }
    0
}

/// Reads nothing, and ends only with whoever holds it.
async fn deaf(mut process: Process) -> i32 {
    let mut closed = [0; 1];
    let _ = process.stdout.read(&mut closed).await;
    0
}

/// Tokens are names: `admin` may do all, `viewer` may look at parts, of `broken` nothing can be
/// told.
pub(crate) struct Rights;

impl Guard for Rights {
    async fn authenticate(&self, token: &Secret<String>) -> Result<Option<Identity>, Refused> {
        let user = token.expose().clone();
        match user.as_str() {
            "admin" | "viewer" | "unjudged" => Ok(Some(Identity {
                user,
                ..Identity::default()
            })),
            "broken" => Err(Refused::new(ErrorKind::Unavailable, "no answer")),
            _ => Ok(None),
        }
    }

    async fn authorize(&self, who: &Identity, asked: Asked) -> Result<bool, Refused> {
        match who.user.as_str() {
            "admin" | "by-certificate" => Ok(true),
            "viewer" => {
                Ok(asked.verb == "get" && ["metrics", "proxy"].contains(&asked.subresource))
            }
            _ => Err(Refused::new(ErrorKind::Unavailable, "no answer")),
        }
    }
}
