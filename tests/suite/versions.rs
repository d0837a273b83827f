//! An agent and the keepers of the version before or after it. Between the two stands a relay that
//! turns what each says into what another version would say: a later number, fields and events that
//! nobody here knows, and, towards the agent, fields that an earlier keeper would not send.

use std::fs;
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::sys::socket::{
    AddressFamily, Backlog, ControlMessage, ControlMessageOwned, MsgFlags, Shutdown, SockFlag,
    SockType, UnixAddr, accept4, bind, connect, listen, recvmsg, sendmsg, shutdown, socket,
};
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
use serde_json::{Value, json};

use super::{agent, create, state};

/// Longer than any message of these tests.
const MESSAGE_BYTES_MAX: usize = 256 * 1024;
const FDS_MAX: usize = 64;

/// How a message is changed on its way.
type Change = fn(&mut Value);

/// Somebody in a keeper's place.
struct Relay {
    hidden: PathBuf,
    messages: Arc<AtomicU64>,
}

impl Relay {
    /// Takes the keeper's place. `to_keeper` and `to_agent` change what passes.
    fn new(socket: &Path, to_keeper: Change, to_agent: Change) -> Self {
        let hidden = socket.with_extension("hidden");
        fs::rename(socket, &hidden).unwrap();
        let listener = new_socket();
        bind(listener.as_raw_fd(), &address(socket)).unwrap();
        listen(&listener, Backlog::new(8).unwrap()).unwrap();
        let messages = Arc::new(AtomicU64::new(0));
        let (path, counted) = (hidden.clone(), Arc::clone(&messages));
        std::thread::spawn(move || {
            while let Ok(agent) = accept4(listener.as_raw_fd(), SockFlag::SOCK_CLOEXEC) {
                let agent = Arc::new(owned(agent));
                let keeper = Arc::new(new_socket());
                connect(keeper.as_raw_fd(), &address(&path)).unwrap();
                pass_on(&agent, &keeper, to_keeper, &counted);
                pass_on(&keeper, &agent, to_agent, &counted);
            }
        });
        Self { hidden, messages }
    }
}

/// Passes messages and their descriptors on, in a thread of its own, until one side is gone.
fn pass_on(from: &Arc<OwnedFd>, to: &Arc<OwnedFd>, change: Change, counted: &Arc<AtomicU64>) {
    let (from, to, counted) = (Arc::clone(from), Arc::clone(to), Arc::clone(counted));
    std::thread::spawn(move || {
        while let Some((bytes, fds)) = receive(&from) {
            let mut message: Value = serde_json::from_slice(&bytes).unwrap();
            change(&mut message);
            counted.fetch_add(1, Ordering::Relaxed);
            if !send(&to, message.to_string().as_bytes(), &fds) {
                break;
            }
        }
        let _ = shutdown(to.as_raw_fd(), Shutdown::Both);
        let _ = shutdown(from.as_raw_fd(), Shutdown::Both);
    });
}

fn new_socket() -> OwnedFd {
    let flags = SockFlag::SOCK_CLOEXEC;
    socket(AddressFamily::Unix, SockType::SeqPacket, flags, None).unwrap()
}

fn address(path: &Path) -> UnixAddr {
    UnixAddr::new(path).unwrap()
}

/// Owns a descriptor that the kernel has just given us as a number.
fn owned(raw: RawFd) -> OwnedFd {
    let own = pidfd_open(getpid(), PidfdFlags::empty()).unwrap();
    let fd = pidfd_getfd(own, raw, PidfdGetfdFlags::empty()).unwrap();
    nix::unistd::close(raw).unwrap();
    fd
}

fn receive(from: &OwnedFd) -> Option<(Vec<u8>, Vec<OwnedFd>)> {
    let mut bytes = vec![0; MESSAGE_BYTES_MAX];
    let mut control = nix::cmsg_space!([RawFd; FDS_MAX]);
    let mut iov = [IoSliceMut::new(&mut bytes)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let received = recvmsg::<()>(from.as_raw_fd(), &mut iov, Some(&mut control), flags).ok()?;
    let rights = received
        .cmsgs()
        .unwrap()
        .filter_map(|message| match message {
            ControlMessageOwned::ScmRights(fds) => Some(fds),
            _ => None,
        });
    let fds: Vec<OwnedFd> = rights.flatten().map(owned).collect();
    let len = received.bytes;
    bytes.truncate(len);
    (len > 0).then_some((bytes, fds))
}

fn send(to: &OwnedFd, bytes: &[u8], fds: &[OwnedFd]) -> bool {
    let raw: Vec<RawFd> = fds.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&raw)];
    let control: &[ControlMessage<'_>] = if raw.is_empty() { &[] } else { &rights };
    let flags = MsgFlags::MSG_NOSIGNAL;
    sendmsg::<()>(to.as_raw_fd(), &[IoSlice::new(bytes)], control, flags, None).is_ok()
}

/// Puts what only a later version knows into every object of a message.
fn later(message: &mut Value) {
    message["v"] = json!(2);
    add_everywhere(message);
}

fn add_everywhere(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.values_mut().for_each(add_everywhere);
            fields.insert("of_a_later_version".to_owned(), json!({"deep": [1]}));
        }
        Value::Array(items) => items.iter_mut().for_each(add_everywhere),
        _ => {}
    }
}

/// An earlier keeper leaves out whatever is empty.
fn earlier_answer(message: &mut Value) {
    message["v"] = json!(0);
    leave_out_what_is_empty(message);
}

fn leave_out_what_is_empty(value: &mut Value) {
    if let Value::Object(fields) = value {
        fields.values_mut().for_each(leave_out_what_is_empty);
        fields.retain(|_, value| !(value.is_null() || *value == json!([])));
    }
}

/// A group goes through the change of versions, and does afterwards all that it could before.
fn change_versions(to_keeper: Change, to_agent: Change) {
    let mut agent = agent();
    let script = "trap 'echo asked; exit 5' TERM; echo up; while :; do sleep 0.05; done";
    create(&agent, "old", script, "  restartPolicy: Never\n");
    let pid = |g: &Value| state(g)["running"]["pid"].as_u64();
    let before = agent.wait_until("old", "running", |g| pid(g).is_some());
    let uid = before["metadata"]["uid"].as_str().unwrap();
    agent.crash();
    let socket = agent.scratch().join(format!("run/keepers/{uid}.sock"));
    let relay = Relay::new(&socket, to_keeper, to_agent);
    agent.launch();
    let after = agent.wait_until("old", "adopted", |g| pid(g).is_some());
    assert_eq!(pid(&after), pid(&before), "{}", agent.log());
    assert_eq!(agent.ok(&["exec", "old", "--", "echo", "in"]), "in\n");
    let failed = agent.ctl(&["exec", "old", "--", "sh", "-c", "exit 9"]);
    assert_eq!(failed.code, Some(9), "{failed:?}");
    agent.ok(&["stop", "old"]);
    let ended = agent.wait_until("old", "ended", |g| g["status"]["phase"] == "Stopped");
    assert_eq!(state(&ended)["terminated"]["exitCode"], 5, "{ended:#}");
    assert_eq!(agent.ok(&["logs", "old"]), "up\nasked\n");
    assert!(relay.messages.load(Ordering::Relaxed) > 0);
    let _ = fs::remove_file(&relay.hidden);
    agent.ok(&["rm", "old"]);
    agent.finish();
}

#[test]
fn a_later_agent_takes_over_keepers_of_this_version() {
    change_versions(later, |_| {});
}

#[test]
fn this_agent_takes_over_keepers_of_a_later_version() {
    change_versions(|_| {}, later);
}

#[test]
fn this_agent_takes_over_keepers_of_an_earlier_version() {
    change_versions(|_| {}, earlier_answer);
}
