//! What becomes of the node's identity: judged by what its kubeconfig says, and the time.

use burstlet_model::WallTime;

use crate::certificate::Certificate;

/// Certificates are renewed when this much of their life is over, in percent, and up to
const RENEWED_FROM_PERCENT: u8 = 70;
/// this much later: the nodes of a cluster that were made together do not all come at once.
const RENEWED_WITHIN_PERCENT: u8 = 20;

/// Who a node shows itself as, by its kubeconfig.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Held {
    /// The certificate that it shows, if it shows one that can be read.
    pub(super) certificate: Option<Certificate>,
    pub(super) keeper: Keeper,
}

/// Who sees to it that a certificate is renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keeper {
    /// The agent: it is in a file of the agent's, or it is the node's own and in the kubeconfig itself.
    Agent,
    /// Whoever wrote the files that the kubeconfig names, or issues its tokens.
    Operator,
}

/// How the agent comes to an identity at its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// By the kubeconfig that is there.
    Use,
    /// By asking for one, as the bootstrap kubeconfig allows.
    Join,
    /// Not at all: there is no kubeconfig.
    Missing,
    /// Not at all: the certificate is good no more, since then.
    Expired(WallTime),
}

/// Whose word a new certificate is asked for with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// The node's own, which is still good.
    Itself,
    /// The bootstrap's.
    Bootstrap,
}

/// What the agent begins with.
pub(super) fn entry(held: Option<&Held>, has_bootstrap: bool, now: WallTime) -> Entry {
    let Some(held) = held else {
        return if has_bootstrap {
            Entry::Join
        } else {
            Entry::Missing
        };
    };
    let may_join = has_bootstrap && held.keeper == Keeper::Agent;
    match &held.certificate {
        Some(certificate) if certificate.life.is_over(now) => match may_join {
            true => Entry::Join,
            false => Entry::Expired(certificate.life.until),
        },
        // A file of ours that holds no certificate any more.
        None if may_join => Entry::Join,
        _ => Entry::Use,
    }
}

/// Whether it is time for a new certificate, and how it is asked for.
pub(super) fn renewal(held: &Held, has_bootstrap: bool, now: WallTime) -> Option<By> {
    let certificate = held.certificate.as_ref()?;
    if held.keeper == Keeper::Operator || now < due(certificate) {
        return None;
    }
    match certificate.life.is_over(now) && has_bootstrap {
        true => Some(By::Bootstrap),
        // Once it is over the API server does not know us any more; it says so, and we say it again.
        false => Some(By::Itself),
    }
}

/// When it is renewed: chosen by the certificate, so that a restart does not choose again.
fn due(certificate: &Certificate) -> WallTime {
    let later = certificate.lot() % (RENEWED_WITHIN_PERCENT + 1);
    certificate.life.at(RENEWED_FROM_PERCENT + later)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::certificate::Life;
    use crate::certificate::tests::pair;

    const UNTIL: WallTime = WallTime(10_000);

    /// Good from 0 to 10 000.
    fn held(keeper: Keeper) -> Held {
        let (pem, _) = pair("system:node:edge-1");
        let mut certificate = Certificate::read(pem.as_bytes()).unwrap();
        certificate.life = Life {
            from: WallTime(0),
            until: UNTIL,
        };
        Held {
            certificate: Some(certificate),
            keeper,
        }
    }

    #[test]
    fn how_the_agent_begins() {
        let nothing = |keeper| Held {
            certificate: None,
            keeper,
        };
        let before = WallTime(9_999);
        for (held, has_bootstrap, now, entry) in [
            (None, true, before, Entry::Join),
            (None, false, before, Entry::Missing),
            (Some(held(Keeper::Agent)), true, before, Entry::Use),
            (Some(held(Keeper::Agent)), true, UNTIL, Entry::Join),
            (Some(held(Keeper::Agent)), false, before, Entry::Use),
            (
                Some(held(Keeper::Agent)),
                false,
                UNTIL,
                Entry::Expired(UNTIL),
            ),
            // The operator's files are the operator's: nothing is put in their place.
            (Some(held(Keeper::Operator)), true, before, Entry::Use),
            (
                Some(held(Keeper::Operator)),
                true,
                UNTIL,
                Entry::Expired(UNTIL),
            ),
            (Some(nothing(Keeper::Operator)), true, before, Entry::Use),
            (Some(nothing(Keeper::Agent)), true, before, Entry::Join),
            (Some(nothing(Keeper::Agent)), false, before, Entry::Use),
        ] {
            let is = super::entry(held.as_ref(), has_bootstrap, now);
            assert_eq!(is, entry, "{held:?}, {has_bootstrap}, {now:?}");
        }
    }

    #[test]
    fn when_a_certificate_is_renewed() {
        let own = held(Keeper::Agent);
        for (now, has_bootstrap, by) in [
            (-1, true, None),
            (6_999, true, None),
            (9_000, true, Some(By::Itself)),
            (9_999, false, Some(By::Itself)),
            (10_000, true, Some(By::Bootstrap)),
            (10_000, false, Some(By::Itself)),
            (i64::MAX, true, Some(By::Bootstrap)),
        ] {
            let is = renewal(&own, has_bootstrap, WallTime(now));
            assert_eq!(is, by, "at {now}");
            let others = renewal(&held(Keeper::Operator), has_bootstrap, WallTime(now));
            assert_eq!(others, None, "the operator's, at {now}");
        }
    }

    /// Each certificate has a time of its own, all of them within the bounds.
    #[test]
    fn renewals_are_spread() {
        let times: Vec<i64> = (0..20)
            .map(|_| due(held(Keeper::Agent).certificate.as_ref().unwrap()).0)
            .collect();
        assert!(times.iter().all(|at| (7_000..=9_000).contains(at)));
        assert!(times.iter().any(|at| at != &times[0]), "{times:?}");
        let one = held(Keeper::Agent);
        let one = one.certificate.as_ref().unwrap();
        assert_eq!(due(one), due(&one.clone()));
    }
}
