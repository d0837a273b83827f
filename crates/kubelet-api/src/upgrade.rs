//! Which wire a client asks for, and the head of the answer that grants it.

use burstlet_stream_wire::{ChannelProtocol, CommandProtocol, first_known};
use hyper::header::{
    CONNECTION, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::{HeaderMap, StatusCode};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::body::{Answer, TEXT, answer, empty};

const STREAM_PROTOCOL: HeaderName = HeaderName::from_static("x-stream-protocol-version");
const ACCEPTED_PROTOCOLS: HeaderName =
    HeaderName::from_static("x-accepted-stream-protocol-versions");
/// Port-forward over SPDY.
const PORT_FORWARD: &str = "portforward.k8s.io";
/// The same in the messages of a WebSocket.
const TUNNEL: &str = "SPDY/3.1+portforward.k8s.io";

/// The wire of an exec or attach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CommandUpgrade {
    Spdy(CommandProtocol),
    WebSocket(ChannelProtocol),
}

/// The wire of a port-forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ForwardUpgrade {
    Spdy,
    Tunnel,
    WebSocket(ChannelProtocol),
}

/// What was agreed on, and the answer that says so.
type Agreed<T> = Result<(T, Answer), Box<Answer>>;

pub(crate) fn command(headers: &HeaderMap) -> Agreed<CommandUpgrade> {
    if is_websocket(headers) {
        let known = ChannelProtocol::FOR_COMMANDS;
        let (protocol, answer) = websocket(headers, &known, ChannelProtocol::name)?;
        let protocol = protocol.unwrap_or(ChannelProtocol::UNNAMED);
        return Ok((CommandUpgrade::WebSocket(protocol), answer));
    }
    let known = CommandProtocol::ALL;
    let (protocol, answer) = spdy(headers, &known, |known| known.name())?;
    Ok((CommandUpgrade::Spdy(protocol), answer))
}

pub(crate) fn forward(headers: &HeaderMap) -> Agreed<ForwardUpgrade> {
    if !is_websocket(headers) {
        let ((), answer) = spdy(headers, &[()], |()| PORT_FORWARD)?;
        return Ok((ForwardUpgrade::Spdy, answer));
    }
    let [v4, base64] = ChannelProtocol::FOR_PORTS.map(ForwardUpgrade::WebSocket);
    let known = [ForwardUpgrade::Tunnel, v4, base64];
    let (upgrade, answer) = websocket(headers, &known, ForwardUpgrade::name)?;
    let unnamed = ForwardUpgrade::WebSocket(ChannelProtocol::UNNAMED);
    Ok((upgrade.unwrap_or(unnamed), answer))
}

impl ForwardUpgrade {
    const fn name(&self) -> &'static str {
        match self {
            Self::Spdy => PORT_FORWARD,
            Self::Tunnel => TUNNEL,
            Self::WebSocket(protocol) => protocol.name(),
        }
    }
}

fn is_websocket(headers: &HeaderMap) -> bool {
    has(headers, &UPGRADE, "websocket") && has(headers, &CONNECTION, "upgrade")
}

/// Whether a header's list has this word.
fn has(headers: &HeaderMap, name: &HeaderName, word: &str) -> bool {
    let mut words = values(headers, name)
        .into_iter()
        .flat_map(|value| value.split(','));
    words.any(|have| have.trim().eq_ignore_ascii_case(word))
}

fn values<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Vec<&'a str> {
    let values = headers.get_all(name).into_iter();
    values.filter_map(|value| value.to_str().ok()).collect()
}

fn spdy<T: Copy>(headers: &HeaderMap, known: &[T], name: fn(&T) -> &'static str) -> Agreed<T> {
    let (upgrade, connection) = (
        has(headers, &UPGRADE, "SPDY/3.1"),
        has(headers, &CONNECTION, "upgrade"),
    );
    if !upgrade || !connection {
        return Err(bad("missing upgrade headers in request"));
    }
    let offered = values(headers, &STREAM_PROTOCOL);
    if offered.iter().all(|value| value.trim().is_empty()) {
        return Err(bad(
            "header X-Stream-Protocol-Version does not exist in request",
        ));
    }
    let chosen = choose(&offered, known, name).ok_or_else(|| {
        let mut refusal = no_agreement(&offered, known, name);
        for protocol in known {
            let value = HeaderValue::from_static(name(protocol));
            refusal.headers_mut().append(ACCEPTED_PROTOCOLS, value);
        }
        refusal
    })?;
    let mut answer = switching("SPDY/3.1");
    let value = HeaderValue::from_static(name(&chosen));
    answer.headers_mut().insert(STREAM_PROTOCOL, value);
    Ok((chosen, answer))
}

/// `None` is agreed on with a client that names no protocol.
fn websocket<T: Copy>(
    headers: &HeaderMap,
    known: &[T],
    name: fn(&T) -> &'static str,
) -> Agreed<Option<T>> {
    if !has(headers, &SEC_WEBSOCKET_VERSION, "13") {
        return Err(bad("a WebSocket of another version than 13"));
    }
    let key = headers.get(SEC_WEBSOCKET_KEY);
    let key = key.ok_or_else(|| bad("header Sec-WebSocket-Key does not exist in request"))?;
    let offered = values(headers, &SEC_WEBSOCKET_PROTOCOL);
    let chosen = choose(&offered, known, name);
    if chosen.is_none() && offered.iter().any(|value| !value.trim().is_empty()) {
        return Err(no_agreement(&offered, known, name));
    }
    let accept = HeaderValue::try_from(derive_accept_key(key.as_bytes()));
    let accept = accept.map_err(|_| bad("header Sec-WebSocket-Key is malformed"))?;
    let mut answer = switching("websocket");
    answer.headers_mut().insert(SEC_WEBSOCKET_ACCEPT, accept);
    if let Some(chosen) = &chosen {
        let value = HeaderValue::from_static(name(chosen));
        answer.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, value);
    }
    Ok((chosen, answer))
}

/// The first that the client offers, as its order is by preference.
fn choose<T: Copy>(offered: &[&str], known: &[T], name: fn(&T) -> &'static str) -> Option<T> {
    first_known(offered.iter().copied(), |wanted| {
        known.iter().find(|known| name(known) == wanted).copied()
    })
}

fn switching(protocol: &'static str) -> Answer {
    let mut answer = empty(StatusCode::SWITCHING_PROTOCOLS);
    let headers = answer.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static(protocol));
    answer
}

fn bad(why: &str) -> Box<Answer> {
    let text = format!("unable to upgrade: {why}");
    Box::new(answer(StatusCode::BAD_REQUEST, TEXT, text))
}

fn no_agreement<T>(offered: &[&str], known: &[T], name: fn(&T) -> &'static str) -> Box<Answer> {
    let accepts: Vec<&str> = known.iter().map(name).collect();
    let text = format!(
        "unable to upgrade: unable to negotiate protocol: client supports [{}], server accepts [{}]",
        offered.join(" "),
        accepts.join(" ")
    );
    Box::new(answer(StatusCode::FORBIDDEN, TEXT, text))
}
