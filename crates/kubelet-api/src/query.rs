//! Queries, as the API server sends them.

use burstlet_model::WallTime;
use burstlet_stream_wire::Wanted;

use crate::backend::{LogRequest, LogStream, Since};
use crate::refused::Refused;

/// Ports in one query, and arguments of one command.
const VALUES_MAX: usize = 4096;

/// A query's pairs of names and values.
#[derive(Clone, Debug)]
pub(crate) struct Query(Vec<(String, String)>);

/// What a log is asked for, and how it is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LogQuery {
    pub(crate) request: LogRequest,
    pub(crate) timestamps: bool,
    pub(crate) limit_bytes: Option<u64>,
}

impl Query {
    pub(crate) fn parse(query: Option<&str>) -> Result<Self, Refused> {
        let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        let pairs: Vec<(String, String)> = pairs.into_owned().take(VALUES_MAX + 1).collect();
        if pairs.len() > VALUES_MAX {
            return Err(Refused::invalid("the query has too many values"));
        }
        Ok(Self(pairs))
    }

    /// The streams that an exec or attach asks for.
    pub(crate) fn wanted(&self) -> Result<Wanted, Refused> {
        let is_set = |name| self.get(name) == Some("1");
        let tty = is_set("tty");
        let wanted = Wanted {
            stdin: is_set("input"),
            stdout: is_set("output"),
            // A terminal has one stream for both; clients ask for two all the same.
            stderr: is_set("error") && !tty,
            tty,
        };
        if !wanted.stdin && !wanted.stdout && !wanted.stderr {
            let message = "you must specify at least 1 of stdin, stdout, stderr";
            return Err(Refused::invalid(message));
        }
        Ok(wanted)
    }

    /// Program and arguments of an exec.
    pub(crate) fn command(&self) -> Result<Vec<String>, Refused> {
        let command: Vec<String> = self.all("command").map(str::to_owned).collect();
        if command.is_empty() {
            return Err(Refused::invalid("you must specify a command to run"));
        }
        Ok(command)
    }

    /// The ports of a port-forward by channels.
    pub(crate) fn ports(&self) -> Result<Vec<u16>, Refused> {
        let values = self.all("port").flat_map(|value| value.split(','));
        let port = |text: &str| match text.trim().parse() {
            Ok(0) | Err(_) => Err(Refused::invalid(format!(
                "unable to parse {text:?} as a port"
            ))),
            Ok(port) => Ok(port),
        };
        values.map(port).collect()
    }

    pub(crate) fn only_cpu_and_memory(&self) -> Result<bool, Refused> {
        self.flag("only_cpu_and_memory")
    }

    pub(crate) fn log(&self) -> Result<LogQuery, Refused> {
        let stream = match self.get("stream") {
            None | Some("" | "All") => None,
            Some("Stdout") => Some(LogStream::Stdout),
            Some("Stderr") => Some(LogStream::Stderr),
            Some(other) => return Err(unfit("stream", other, "All, Stdout or Stderr")),
        };
        let request = LogRequest {
            follow: self.flag("follow")?,
            previous: self.flag("previous")?,
            tail_lines: self.tail_lines()?,
            since: self.since()?,
            stream,
        };
        if stream.is_some() && request.tail_lines.is_some() {
            return Err(Refused::unprocessable(
                "tailLines and one stream exclude each other",
            ));
        }
        let limit_bytes = self.number("limitBytes", 1)?;
        let timestamps = self.flag("timestamps")?;
        Ok(LogQuery {
            request,
            timestamps,
            limit_bytes,
        })
    }

    fn tail_lines(&self) -> Result<Option<u64>, Refused> {
        match (self.get("tailLines"), self.get("tail")) {
            (None, Some("all")) => Ok(None),
            (None, Some(_)) => self.number("tail", 0),
            _ => self.number("tailLines", 0),
        }
    }

    fn since(&self) -> Result<Option<Since>, Refused> {
        let seconds = self.number("sinceSeconds", 1)?;
        let time = self.get("sinceTime").filter(|text| !text.is_empty());
        let time = time.map(wall_time).transpose()?;
        match (seconds, time) {
            (Some(_), Some(_)) => Err(Refused::unprocessable(
                "sinceSeconds and sinceTime exclude each other",
            )),
            (Some(seconds), None) => Ok(Some(Since::Seconds(seconds))),
            (None, time) => Ok(time.map(Since::Time)),
        }
    }

    fn flag(&self, name: &str) -> Result<bool, Refused> {
        match self.get(name) {
            None | Some("" | "0" | "f" | "F" | "false" | "False" | "FALSE") => Ok(false),
            Some("1" | "t" | "T" | "true" | "True" | "TRUE") => Ok(true),
            Some(other) => Err(unfit(name, other, "true or false")),
        }
    }

    fn number(&self, name: &str, min: i64) -> Result<Option<u64>, Refused> {
        let Some(text) = self.get(name).filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        let number: i64 = text.parse().map_err(|_| unfit(name, text, "a number"))?;
        if number < min {
            let message = format!("{name}: {number}: must be greater than or equal to {min}");
            return Err(Refused::unprocessable(message));
        }
        Ok(u64::try_from(number).ok())
    }

    fn get(&self, name: &str) -> Option<&str> {
        let named = self.0.iter().find(|(have, _)| have == name);
        named.map(|(_, value)| value.as_str())
    }

    fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let named = self.0.iter().filter(move |(have, _)| have == name);
        named.map(|(_, value)| value.as_str())
    }
}

fn wall_time(text: &str) -> Result<WallTime, Refused> {
    let parsed: Result<jiff::Timestamp, _> = text.parse();
    let time = parsed.map_err(|_| unfit("sinceTime", text, "a time as in RFC 3339"))?;
    // No line is from a time that is further away than what we count.
    let (least, most) = (i64::MIN.into(), i64::MAX.into());
    let nanoseconds = time.as_nanosecond().clamp(least, most);
    Ok(WallTime(i64::try_from(nanoseconds).unwrap_or(i64::MAX)))
}

fn unfit(name: &str, value: &str, wanted: &str) -> Refused {
    Refused::invalid(format!("{name}: {value:?} is not {wanted}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn query(text: &str) -> Query {
        Query::parse(Some(text)).unwrap()
    }

    #[test]
    fn streams_are_those_with_a_one() {
        let wanted = query("input=1&output=1&error=1&tty=true").wanted().unwrap();
        assert!(wanted.stdin && wanted.stdout && wanted.stderr && !wanted.tty);
        let wanted = query("output=1&error=1&tty=1").wanted().unwrap();
        assert!(!wanted.stdin && wanted.stdout && !wanted.stderr && wanted.tty);
        let refused = query("tty=1&input=true").wanted().unwrap_err();
        let message = "you must specify at least 1 of stdin, stdout, stderr";
        assert_eq!(refused.to_string(), message);
    }

    #[test]
    fn a_command_keeps_its_order_and_its_spaces() {
        let command = query("command=sh&command=-c&output=1&command=echo+a%20b").command();
        assert_eq!(command.unwrap(), ["sh", "-c", "echo a b"]);
        assert!(query("output=1").command().is_err());
    }

    #[test]
    fn ports_are_joined_by_commas_and_repeated() {
        assert_eq!(query("port=80,81&port=82").ports().unwrap(), [80, 81, 82]);
        for bad in ["port=0", "port=65536", "port=http"] {
            assert!(query(bad).ports().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_log_is_asked_for_in_all_ways() {
        let all = "follow=true&previous=1&timestamps=true&tailLines=0&limitBytes=5&sinceSeconds=9";
        let log = query(all).log().unwrap();
        let expected = LogRequest {
            follow: true,
            previous: true,
            tail_lines: Some(0),
            since: Some(Since::Seconds(9)),
            stream: None,
        };
        assert_eq!(
            (log.request, log.timestamps, log.limit_bytes),
            (expected, true, Some(5))
        );
        let log = query("sinceTime=1970-01-01T00:00:01.5Z&stream=Stderr")
            .log()
            .unwrap();
        assert_eq!(
            log.request.since,
            Some(Since::Time(WallTime(1_500_000_000)))
        );
        assert_eq!(log.request.stream, Some(LogStream::Stderr));
        assert_eq!(query("tail=all").log().unwrap(), LogQuery::default());
        assert_eq!(query("tail=3").log().unwrap().request.tail_lines, Some(3));
        assert_eq!(
            query("insecureSkipTLSVerifyBackend=x").log().unwrap(),
            LogQuery::default()
        );
    }

    #[test]
    fn what_a_log_cannot_be_asked_for_is_said() {
        for (text, expected) in [
            (
                "tailLines=-1",
                "tailLines: -1: must be greater than or equal to 0",
            ),
            (
                "limitBytes=0",
                "limitBytes: 0: must be greater than or equal to 1",
            ),
            (
                "sinceSeconds=1&sinceTime=1970-01-01T00:00:00Z",
                "exclude each other",
            ),
            ("stream=Stdout&tailLines=1", "exclude each other"),
            ("sinceTime=yesterday", "is not a time as in RFC 3339"),
            ("follow=perhaps", "is not true or false"),
            ("stream=Both", "is not All, Stdout or Stderr"),
        ] {
            let refused = query(text).log().unwrap_err().to_string();
            assert!(refused.contains(expected), "{text}: {refused}");
        }
    }
}
