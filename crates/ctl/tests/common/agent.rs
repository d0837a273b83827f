//! The server, and what it remembers.

use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use burstlet_proto::v1::container_groups_server::ContainerGroupsServer;
use burstlet_proto::v1::images_server::ImagesServer;
use serde_json::Value;
use tokio::sync::watch;
use tokio_stream::wrappers::UnixListenerStream;

/// A playing agent. Its groups do what their image is called: see [`super::groups`].
#[derive(Clone)]
pub(crate) struct Agent {
    pub(crate) seen: Arc<Mutex<Seen>>,
    /// The signal that a container got; 0 before.
    pub(crate) signal: watch::Sender<u32>,
    /// How often a log was asked for.
    pub(crate) logs: watch::Sender<u32>,
    /// What a container read so far, and whether its input was closed.
    pub(crate) input: watch::Sender<(Vec<u8>, bool)>,
    /// Becomes true when the agent is to vanish.
    stop: watch::Sender<bool>,
}

/// What it was asked.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) manifest: Option<Value>,
    pub(crate) deleted: Vec<String>,
    pub(crate) stopped: Vec<String>,
    pub(crate) imported: Vec<u8>,
}

impl Agent {
    pub(crate) fn serve(socket: &Path) -> Self {
        let agent = Self {
            seen: Arc::default(),
            signal: watch::Sender::new(0),
            logs: watch::Sender::new(0),
            input: watch::Sender::new((Vec::new(), false)),
            stop: watch::Sender::new(false),
        };
        let listener = UnixListener::bind(socket).unwrap();
        listener.set_nonblocking(true).unwrap();
        let played = agent.clone();
        // A runtime of its own, whose end closes every connection at once.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.unwrap().block_on(played.play(listener));
        });
        agent
    }

    /// Vanishes, as a process that is killed does.
    pub(crate) fn stop(&self) {
        self.stop.send_replace(true);
    }

    async fn play(self, listener: UnixListener) {
        let listener = tokio::net::UnixListener::from_std(listener).unwrap();
        let server = tonic::transport::Server::builder()
            .add_service(ContainerGroupsServer::new(self.clone()))
            .add_service(ImagesServer::new(self.clone()))
            .serve_with_incoming(UnixListenerStream::new(listener));
        let mut stopped = self.stop.subscribe();
        tokio::select! {
            ended = server => ended.unwrap(),
            stopped = stopped.wait_for(|stop| *stop) => drop(stopped.unwrap()),
        }
    }

    pub(crate) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap()
    }

    /// The image of the group that was created.
    pub(crate) fn image(&self) -> String {
        let seen = self.seen();
        let manifest = seen.manifest.as_ref().unwrap();
        manifest["spec"]["containers"][0]["image"]
            .as_str()
            .unwrap()
            .to_owned()
    }
}
