//! What is promised of where Services lead.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

use super::site::{CLIENT, GATEWAY, Site, WHO, ip_of, name_of};
use super::world::{HOST, OUTSIDE};
use crate::kubectl::PATIENCE;
use crate::node::IMAGE;

/// The Service that leads to the pod that asks.
const MIRROR: &str = "mirror";
/// The ports of the node that lead to the Service `door`, and to `mirror`.
const DOOR: u16 = 30_080;
const ECHO: u16 = 30_900;
const OWN: u16 = 30_081;

/// Pods reach a Service by its names and its address, as themselves, and the host reaches it. A pod that
/// is not ready is left alone until it is again.
pub(super) fn services_lead_to_ready_pods(site: &Site<'_>) {
    let own = ip_of(&site.admin.get(&["pod", CLIENT]).unwrap());
    let address = site.address_of("web");
    let names = ["web", "web.default", "web.default.svc.cluster.local"];
    for host in names
        .map(str::to_owned)
        .iter()
        .chain([&address.to_string()])
    {
        let answer = site.answer(host);
        assert!(answer.pod.starts_with("web-"), "{host}: {answer:?}");
        assert_eq!(answer.from, own, "{host}");
    }
    let to_host = site.answer_to_host((address, 80).into());
    assert!(to_host.pod.starts_with("web-"), "{to_host:?}");

    let pods = site.pods_of("web");
    let [one, other] = [name_of(&pods[0]), name_of(&pods[1])];
    site.answered_by("web", &[one, other]);
    site.inside(one, &["rm", "/tmp/ready"]).unwrap();
    is_shown_ready(site, one, false);
    site.answered_by("web", &[other]);
    site.inside(one, &["touch", "/tmp/ready"]).unwrap();
    is_shown_ready(site, one, true);
    site.answered_by("web", &[one, other]);
}

/// Waits until the EndpointSlice of `web` says so of a pod.
fn is_shown_ready(site: &Site<'_>, pod: &str, is_ready: bool) {
    let slices = ["endpointslices", "-l", "kubernetes.io/service-name=web"];
    site.admin.wait_until(&slices, "told", |slices| {
        let slices = slices.unwrap()["items"].as_array().unwrap().iter();
        let endpoints = slices.filter_map(|slice| slice["endpoints"].as_array());
        let mut of_pod = endpoints
            .flatten()
            .filter(|e| e["targetRef"]["name"] == pod);
        of_pod.any(|endpoint| endpoint["conditions"]["ready"] == Value::Bool(is_ready))
    });
}

/// A pod may be led back to itself. It is asked by the node then, or it would answer itself directly.
pub(super) fn a_pod_reaches_itself(site: &Site<'_>) {
    let (port, address) = (format!("{HOST}:{OWN}"), site.address_of(MIRROR).to_string());
    for host in [MIRROR, &address, &port] {
        let answer = site.answer(host);
        assert_eq!(answer.pod, CLIENT, "{host}");
        assert_eq!(answer.from, GATEWAY, "{host}");
    }
}

/// Another machine, the host and pods reach a Service by a port of the node. The other machine is seen as
/// what it is if the Service says so, and stays with one pod if it says so. A session lasts meanwhile.
pub(super) fn ports_of_the_node_lead_to_pods(site: &Site<'_>) {
    let door = SocketAddr::from((HOST, DOOR));
    let seen = site.answer_outside(door, |answer| answer.from == GATEWAY);
    assert!(seen.pod.starts_with("web-"), "{seen:?}");
    let mut session = site.world.outside(|| {
        let stream = TcpStream::connect_timeout(&(HOST, ECHO).into(), PATIENCE).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    });
    echo(&mut session, "before");
    let local = "{\"externalTrafficPolicy\": \"Local\", \"sessionAffinity\": \"ClientIP\"}";
    site.patch("door", local);
    let first = site.answer_outside(door, |answer| answer.from == OUTSIDE);
    let own = ip_of(&site.admin.get(&["pod", CLIENT]).unwrap());
    let from_pod = site.answer(&format!("{HOST}:{DOOR}"));
    assert!(from_pod.pod.starts_with("web-"), "{from_pod:?}");
    assert!(
        [own, GATEWAY.into()].contains(&from_pod.from),
        "{from_pod:?}"
    );
    let to_host = site.answer_to_host(door);
    assert!(to_host.pod.starts_with("web-"), "{to_host:?}");
    for _ in 0..8 {
        assert_eq!(site.answer_outside(door, |_| true), first);
    }
    let cluster = "{\"externalTrafficPolicy\": \"Cluster\", \"sessionAffinity\": \"None\"}";
    site.patch("door", cluster);
    site.answer_outside(door, |answer| answer.from == GATEWAY);
    echo(&mut session, "after");
}

/// Says something, and hears it again.
fn echo(session: &mut TcpStream, words: &str) {
    session.write_all(words.as_bytes()).unwrap();
    let mut heard = vec![0; words.len()];
    session.read_exact(&mut heard).unwrap();
    assert_eq!(heard, words.as_bytes());
}

/// Groups that are no pods are not led to pods.
pub(super) fn groups_take_no_part(site: &Site<'_>) {
    let address = site.address_of("web");
    site.answer(&address.to_string());
    let url = format!("http://{address}{WHO}");
    // What is the first in a container hears no signal that it does not expect.
    let script = format!("timeout 2 wget -q -O - {url}; exit $?");
    let run = ["run", "--rm", IMAGE, "sh", "-c", &script];
    let asked = site.node.borrow().ctl(&run);
    assert_ne!(asked.code, Some(0), "{asked:?}");
    assert_eq!(asked.stdout, "");
}

/// Pods reach each other without any Service.
pub(super) fn pods_go_on(site: &Site<'_>) {
    for pod in site.pods_of("web") {
        let answer = site.answer(&format!("{}:8080", ip_of(&pod)));
        assert_eq!(answer.pod, name_of(&pod));
    }
}
