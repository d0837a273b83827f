//! One client for all parts of the node, behind which the connections are exchanged when the identity
//! is another. What is under way ends on the old ones; whatever comes after goes by the new.

use kube::Client;
use tokio::sync::watch;
use tower::service_fn;

/// Exchanges what is behind the client.
#[derive(Debug)]
pub(super) struct Switch(watch::Sender<Behind>);

/// Tells those who have connections of their own that the identity is another.
#[derive(Clone, Debug)]
pub(crate) struct Exchanges(watch::Receiver<Behind>);

#[derive(Clone)]
struct Behind(Client);

impl Switch {
    /// A switch that leads to `first`, and the client before it. Must be called within a runtime.
    pub(super) fn new(first: Client) -> (Self, Client) {
        let namespace = first.default_namespace().to_owned();
        let (exchange, behind) = watch::channel(Behind(first));
        let send = service_fn(move |request| {
            let Behind(client) = behind.borrow().clone();
            async move { client.send(request).await }
        });
        (Self(exchange), Client::new(send, namespace))
    }

    /// From now on it leads to `next`.
    pub(super) fn exchange(&self, next: Client) {
        self.0.send_replace(Behind(next));
    }

    pub(super) fn exchanges(&self) -> Exchanges {
        Exchanges(self.0.subscribe())
    }
}

impl Exchanges {
    /// Whether there was one since this was asked last.
    pub(crate) fn any(&mut self) -> bool {
        let any = self.0.has_changed().unwrap_or(false);
        self.0.mark_unchanged();
        any
    }
}

impl std::fmt::Debug for Behind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Behind")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::convert::Infallible;

    use kube::api::Api;
    use kube::client::Body;

    use super::*;

    /// Every object of this API server is called so.
    fn answers(name: &'static str) -> Client {
        let answer = service_fn(move |_: hyper::Request<Body>| async move {
            let body = format!(r#"{{"metadata":{{"name":"{name}"}}}}"#);
            Ok::<_, Infallible>(hyper::Response::new(Body::from(body.into_bytes())))
        });
        Client::new(answer, "default")
    }

    async fn asked(client: &Client) -> String {
        let nodes: Api<k8s_openapi::api::core::v1::Node> = Api::all(client.clone());
        nodes.get("any").await.unwrap().metadata.name.unwrap()
    }

    #[tokio::test]
    async fn clients_that_are_there_go_by_the_new_way() {
        let (switch, client) = Switch::new(answers("old"));
        let (mut exchanges, earlier) = (switch.exchanges(), client.clone());
        assert_eq!(asked(&earlier).await, "old");
        assert!(!exchanges.any());
        switch.exchange(answers("new"));
        assert_eq!(asked(&earlier).await, "new");
        assert_eq!(asked(&client).await, "new");
        assert!(exchanges.any() && !exchanges.any());
        // Who exchanges may end before those who ask.
        drop(switch);
        assert_eq!(asked(&client).await, "new");
        assert!(!exchanges.any());
    }

    #[tokio::test]
    async fn an_error_behind_it_stays_what_it_is() {
        let refuses = service_fn(|_: hyper::Request<Body>| async {
            let body = r#"{"kind":"Status","code":403,"reason":"Forbidden","message":"no"}"#;
            let mut answer = hyper::Response::new(Body::from(body.as_bytes().to_vec()));
            *answer.status_mut() = hyper::StatusCode::FORBIDDEN;
            Ok::<_, Infallible>(answer)
        });
        let (_switch, client) = Switch::new(Client::new(refuses, "default"));
        let nodes: Api<k8s_openapi::api::core::v1::Node> = Api::all(client);
        let error = nodes.get("any").await.unwrap_err();
        assert!(crate::error::is_code(&error, 403), "{error:?}");
    }
}
