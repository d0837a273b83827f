//! What was found of everybody who was asked, and what of it counts: what was found several times in a
//! row, for a packet that was lost is no news. Pure.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use burstlet_image::registry::RegistryHost;
use burstlet_kube_node::Finding;

/// Looks in a row that find something else than what counts, until that counts.
const LOOKS_UNTIL_TOLD: u32 = 3;
/// The condition that all answer, or that somebody does not.
const SELF_TEST: &str = "burstlet.dev/SelfTestFailed";
/// The same of registries alone.
const REGISTRIES: &str = "burstlet.dev/RegistryUnreachable";

/// Who is asked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Subject {
    /// One of the cluster's name servers.
    NameServer(SocketAddr),
    /// The Service that leads to the API server.
    ApiService(SocketAddr),
    /// A registry that images come from.
    Registry(RegistryHost),
}

/// What was found so far.
#[derive(Debug, Default)]
pub(super) struct Record(BTreeMap<Subject, Steady>);

/// What counts of one of them.
#[derive(Debug, Default)]
struct Steady {
    /// What it said when it was found wanting. Kept as it is while that counts, so that nothing is
    /// written because of other words.
    trouble: Option<String>,
    /// Looks in a row that found the opposite.
    against: u32,
}

impl Record {
    /// Takes what was found now. Who was not asked is forgotten. What counts from now on is told.
    pub(super) fn see(&mut self, found: Vec<(Subject, Result<(), String>)>) -> Vec<String> {
        let mut before = std::mem::take(&mut self.0);
        let mut news = Vec::new();
        for (subject, said) in found {
            let mut steady = before.remove(&subject).unwrap_or_default();
            if steady.see(said) {
                news.push(steady.describe(&subject));
            }
            self.0.insert(subject, steady);
        }
        news
    }

    /// The node's conditions; none of what nobody was asked about.
    pub(super) fn findings(&self) -> Vec<Finding> {
        let is_registry = |subject: &&Subject| matches!(subject, Subject::Registry(_));
        let mut findings = Vec::new();
        if !self.0.is_empty() {
            let all = self.0.iter();
            findings.push(finding(SELF_TEST, all, "all that pods need answers"));
        }
        if self.0.keys().any(|subject| is_registry(&subject)) {
            let all = self.0.iter().filter(|(subject, _)| is_registry(subject));
            findings.push(finding(REGISTRIES, all, "the registries answer"));
        }
        findings
    }
}

impl Steady {
    /// Whether something else counts from now on.
    fn see(&mut self, said: Result<(), String>) -> bool {
        if said.is_ok() == self.trouble.is_none() {
            self.against = 0;
            return false;
        }
        self.against += 1;
        if self.against < LOOKS_UNTIL_TOLD {
            return false;
        }
        self.against = 0;
        self.trouble = said.err();
        true
    }

    fn describe(&self, subject: &Subject) -> String {
        let name = match subject {
            Subject::NameServer(at) => format!("the name server {at}"),
            Subject::ApiService(at) => format!("the API server's Service {at}"),
            Subject::Registry(host) => format!("the registry {host}"),
        };
        match &self.trouble {
            Some(trouble) => format!("{name} does not answer: {trouble}"),
            None => format!("{name} answers"),
        }
    }
}

fn finding<'a>(
    kind: &'static str,
    all: impl Iterator<Item = (&'a Subject, &'a Steady)>,
    well: &str,
) -> Finding {
    let troubles: Vec<String> = all
        .filter(|(_, steady)| steady.trouble.is_some())
        .map(|(subject, steady)| steady.describe(subject))
        .collect();
    match troubles.is_empty() {
        true => Finding {
            kind,
            reason: "EverybodyAnswers",
            message: well.to_owned(),
            is_so: false,
        },
        false => Finding {
            kind,
            reason: "NoAnswer",
            message: troubles.join("; "),
            is_so: true,
        },
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn registry() -> Subject {
        Subject::Registry("r.io".parse().unwrap())
    }

    fn server() -> Subject {
        Subject::NameServer("10.96.0.10:53".parse().unwrap())
    }

    fn is_so(record: &Record) -> Vec<(&'static str, bool)> {
        let findings = record.findings().into_iter();
        findings.map(|found| (found.kind, found.is_so)).collect()
    }

    #[test]
    fn trouble_counts_when_it_was_found_several_times_in_a_row() {
        let mut record = Record::default();
        let mut see = |said: Result<(), &str>| {
            let said = said.map_err(str::to_owned);
            let news = record.see(vec![(registry(), said)]);
            (news.len(), record.findings()[0].is_so)
        };
        assert_eq!(see(Err("one")), (0, false));
        assert_eq!(see(Err("two")), (0, false));
        assert_eq!(see(Ok(())), (0, false));
        assert_eq!(see(Err("one")), (0, false));
        assert_eq!(see(Err("two")), (0, false));
        assert_eq!(see(Err("three")), (1, true));
        assert_eq!(see(Ok(())), (0, true));
        assert_eq!(see(Err("four")), (0, true));
        assert_eq!(see(Ok(())), (0, true));
        assert_eq!(see(Ok(())), (0, true));
        assert_eq!(see(Ok(())), (1, false));
    }

    #[test]
    fn the_words_stay_while_the_trouble_does() {
        let mut record = Record::default();
        let mut see = |text: &str| {
            record.see(vec![(server(), Err(text.to_owned()))]);
            record.findings().remove(0).message
        };
        for text in ["a", "b"] {
            see(text);
        }
        let told = see("c");
        assert!(told.ends_with("does not answer: c"), "{told}");
        assert_eq!(see("d"), told);
    }

    #[test]
    fn registries_have_a_condition_of_their_own() {
        let mut record = Record::default();
        assert_eq!(is_so(&record), []);
        record.see(vec![(server(), Ok(()))]);
        assert_eq!(is_so(&record), [(SELF_TEST, false)]);
        for _ in 0..LOOKS_UNTIL_TOLD {
            let silent = (server(), Err("silent".to_owned()));
            record.see(vec![silent, (registry(), Ok(()))]);
        }
        assert_eq!(is_so(&record), [(SELF_TEST, true), (REGISTRIES, false)]);
        // Who is not asked any more is in nobody's way.
        record.see(vec![(registry(), Ok(()))]);
        assert_eq!(is_so(&record), [(SELF_TEST, false), (REGISTRIES, false)]);
    }
}
