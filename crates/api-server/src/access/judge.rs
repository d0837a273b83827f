//! Whether somebody may make a call at all. What he then sees is another question.

use burstlet_access::{Identity, Reach, Role};
use burstlet_proto::Call;
use burstlet_proto::v1;

/// Why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Denied {
    /// His role is none of those that may.
    Role,
    /// It is about the whole node, and he is bound to a namespace.
    NodeOnly,
}

/// Whether somebody may make this call.
pub(crate) fn judge(identity: &Identity, call: &Call) -> Result<(), Denied> {
    if !call.roles.iter().any(|role| is(*role, identity.role)) {
        return Err(Denied::Role);
    }
    match (call.reach, &identity.reach) {
        (v1::Reach::Namespace | v1::Reach::Any, _) | (v1::Reach::Node, Reach::Node) => Ok(()),
        (v1::Reach::Node | v1::Reach::Unspecified, _) => Err(Denied::NodeOnly),
    }
}

const fn is(stated: v1::Role, role: Role) -> bool {
    matches!(
        (stated, role),
        (v1::Role::Viewer, Role::Viewer)
            | (v1::Role::Operator, Role::Operator)
            | (v1::Role::Meter, Role::Meter)
            | (v1::Role::Admin, Role::Admin)
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use burstlet_model::Namespace;
    use burstlet_proto::CALLS;

    use super::*;

    fn identity(role: Role, reach: Reach) -> Identity {
        Identity {
            role,
            reach,
            ..Identity::of_socket(0)
        }
    }

    /// The calls, without their services, that a role may make on the node.
    fn allowed(role: Role, reach: &Reach) -> Vec<&'static str> {
        let identity = identity(role, reach.clone());
        let may = CALLS.iter().filter(|call| judge(&identity, call).is_ok());
        may.map(|call| call.method.strip_prefix("burstlet.v1.").unwrap())
            .collect()
    }

    #[test]
    fn an_admin_of_the_node_may_call_everything() {
        assert_eq!(allowed(Role::Admin, &Reach::Node).len(), CALLS.len());
    }

    #[test]
    fn whoever_may_change_something_is_no_viewer_and_no_meter() {
        for call in CALLS.iter().filter(|call| call.audited) {
            for role in [v1::Role::Viewer, v1::Role::Meter] {
                assert!(!call.roles.contains(&role), "{}", call.method);
            }
        }
    }

    #[test]
    fn a_meter_sees_the_bill_and_no_group() {
        let shop = Reach::Namespace(Namespace::new("shop").unwrap());
        let own = [
            "Node/Info",
            "Node/Capabilities",
            "Metering/Usage",
            "Metering/Quote",
            "Metering/PriceBooks",
            "Metering/Head",
        ];
        assert_eq!(allowed(Role::Meter, &shop), own);
        let mut of_node = allowed(Role::Meter, &Reach::Node);
        of_node.retain(|call| !own.contains(call));
        let whole = [
            "Metering/Budgets",
            "Metering/ExportFocus",
            "Metering/Verify",
        ];
        assert_eq!(of_node, whole, "the bill of all");
    }

    #[test]
    fn who_has_a_namespace_does_not_call_what_is_of_the_node() {
        let shop = Reach::Namespace(Namespace::new("shop").unwrap());
        for role in Role::ALL {
            for call in CALLS.iter().filter(|call| call.reach == v1::Reach::Node) {
                assert!(
                    judge(&identity(role, shop.clone()), call).is_err(),
                    "{call:?}"
                );
            }
        }
    }
}
