//! Who does not read holds who writes, and nobody's memory.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::SinkExt;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::Message;

use crate::channels::upgrade;
use crate::port::Port;

/// What may be on its way: the kernel's buffers of a loopback connection are most of it.
const ON_ITS_WAY_BYTES_MAX: usize = 24 << 20;

#[tokio::test]
async fn a_client_that_does_not_read_holds_its_command() {
    let port = Port::new().await;
    let path = "/exec/default/web/c?command=endless&output=1";
    let (_, socket) = upgrade(&port, path, &["v5.channel.k8s.io"]).await;
    let written = || port.backend.written.load(Ordering::SeqCst);
    // It stands still some time after it has begun.
    let mut before = 0;
    while written() == 0 || written() != before {
        before = written();
        assert!(before < ON_ITS_WAY_BYTES_MAX, "{before} bytes went nowhere");
        sleep(Duration::from_millis(500)).await;
    }
    drop(socket);
    port.backend.all_gone().await;
}

#[tokio::test]
async fn a_command_that_does_not_read_holds_its_client() {
    let port = Port::new().await;
    let path = "/exec/default/web/c?command=deaf&input=1&output=1";
    let (_, mut socket) = upgrade(&port, path, &["v5.channel.k8s.io"]).await;
    let message = Message::binary([&[0][..], &[b'x'; 32 << 10]].concat());
    let mut sent = 0;
    // Until there is no room on the way.
    while timeout(Duration::from_secs(2), socket.send(message.clone()))
        .await
        .is_ok()
    {
        sent += message.len();
        assert!(sent < ON_ITS_WAY_BYTES_MAX, "{sent} bytes went nowhere");
    }
    assert!(sent > 0);
}
