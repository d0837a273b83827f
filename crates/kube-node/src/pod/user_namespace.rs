//! Whether a pod has a user namespace of its own. On a kubelet it has one if it asks for that; here
//! it has one unless it asks for what cannot be had with it.

use serde_json::{Map, Value};

use super::needs::items;
use crate::config::UserNamespaces;

const ASKED: &str = "hostUsers";

/// Says for a pod that does not whether it uses the host's users. `open` is that the operator leaves
/// it to the cluster what pods may ask for: there a privileged container is what it is on a kubelet.
/// Whether it may be so is for the translator to say.
pub(crate) fn settle(spec: &mut Map<String, Value>, rule: UserNamespaces, open: bool) {
    if spec.get(ASKED).is_some_and(|asked| !asked.is_null()) {
        return;
    }
    let host_users = match rule {
        UserNamespaces::Require => false,
        UserNamespaces::Prefer => needs_host_users(spec, open),
        UserNamespaces::AsAsked => true,
    };
    if host_users {
        spec.insert(ASKED.to_owned(), true.into());
    }
}

/// The kernel has the host's network and mounts of NFS servers only for the users of the host.
fn needs_host_users(spec: &Map<String, Value>, open: bool) -> bool {
    let of_host = spec.get("hostNetwork") == Some(&Value::Bool(true));
    let nfs = items(spec.get("volumes")).any(|volume| !volume["nfs"].is_null());
    let lists = ["initContainers", "containers"];
    let mut containers = lists.iter().flat_map(|list| items(spec.get(*list)));
    let privileged = containers.any(|container| container["securityContext"]["privileged"] == true);
    of_host || nfs || (open && privileged)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use serde_json::json;

    use super::*;

    fn settled(spec: &Value, rule: UserNamespaces, open: bool) -> Option<bool> {
        let mut spec = spec.as_object().unwrap().clone();
        settle(&mut spec, rule, open);
        spec.get(ASKED).and_then(Value::as_bool)
    }

    #[test]
    fn what_cannot_be_had_with_one_goes_without() {
        use UserNamespaces::{AsAsked, Prefer, Require};
        let plain = json!({"containers": [{"name": "a"}]});
        let network = json!({"hostNetwork": true});
        let nfs = json!({"volumes": [{"name": "v", "nfs": {"server": "s", "path": "/"}}]});
        let privileged =
            json!({"initContainers": [{"name": "a", "securityContext": {"privileged": true}}]});
        // Each with the host's users or not: preferred, preferred where all is open, as asked.
        for (spec, preferred, open) in [
            (&plain, None, None),
            (&network, Some(true), Some(true)),
            (&nfs, Some(true), Some(true)),
            (&privileged, None, Some(true)),
        ] {
            assert_eq!(settled(spec, Prefer, false), preferred, "{spec}");
            assert_eq!(settled(spec, Prefer, true), open, "{spec}");
            assert_eq!(settled(spec, AsAsked, false), Some(true), "{spec}");
            assert_eq!(settled(spec, Require, true), None, "{spec}");
        }
    }

    #[test]
    fn what_a_pod_says_stays() {
        for asked in [true, false] {
            let spec = json!({"hostUsers": asked, "hostNetwork": true});
            for rule in [
                UserNamespaces::Prefer,
                UserNamespaces::Require,
                UserNamespaces::AsAsked,
            ] {
                assert_eq!(settled(&spec, rule, true), Some(asked));
            }
        }
        let unsaid = json!({"hostUsers": null});
        assert_eq!(settled(&unsaid, UserNamespaces::AsAsked, false), Some(true));
    }
}
