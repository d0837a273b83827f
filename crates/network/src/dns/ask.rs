//! A question of the node's own: whether a name server knows a name.

use std::net::SocketAddr;

use tokio::time::timeout;

use super::forward::{ATTEMPT_TIMEOUT, ask_udp};
use super::message;
use crate::NetworkError;

/// Datagrams get lost.
const ATTEMPTS: usize = 2;

/// Whether `server` has an address for `name`.
///
/// # Errors
/// It has none, or gives no answer.
pub async fn ask(server: SocketAddr, name: &str) -> Result<(), NetworkError> {
    let failed = |problem: &str| NetworkError::NameUnknown {
        server,
        name: name.to_owned(),
        problem: problem.to_owned(),
    };
    let question = message::question(name).ok_or_else(|| failed("that is no name"))?;
    for _ in 0..ATTEMPTS {
        // A refusal of the connection counts as silence: the server may just be starting.
        if let Ok(Ok(answer)) = timeout(ATTEMPT_TIMEOUT, ask_udp(server, &question)).await {
            return message::check_address(&answer).map_err(|problem| failed(&problem));
        }
    }
    Err(failed("no answer"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::net::UdpSocket;

    use super::super::message::answered;
    use super::*;

    /// What comes of a question that is answered with these addresses.
    async fn asked(name: &str, addresses: &[Ipv4Addr]) -> Result<(), String> {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let serve = async {
            let mut buffer = [0; 512];
            let (length, from) = server.recv_from(&mut buffer).await.unwrap();
            let answer = answered(&buffer[..length], addresses);
            server.send_to(&answer, from).await.unwrap();
        };
        let asked = ask(server.local_addr().unwrap(), name);
        let (asked, ()) = tokio::join!(asked, serve);
        asked.map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn an_address_is_what_counts() {
        let name = "kubernetes.default.svc.cluster.local.";
        assert_eq!(asked(name, &[Ipv4Addr::new(10, 96, 0, 1)]).await, Ok(()));
        let none = asked(name, &[]).await.unwrap_err();
        assert!(none.contains("NXDomain"), "{none}");
    }

    #[tokio::test]
    async fn a_server_that_is_silent_is_told() {
        let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let server = silent.local_addr().unwrap();
        let error = ask(server, "example.com.").await.unwrap_err().to_string();
        assert!(error.ends_with("no answer"), "{error}");
        let odd = ask(server, &"x".repeat(64)).await.unwrap_err();
        assert!(odd.to_string().ends_with("that is no name"), "{odd}");
    }
}
