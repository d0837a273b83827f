//! The small languages within flags of `run`, turned into values of a group file.

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};

use crate::error::UsageError;

/// The variables of `--env-file` and `--env` in order; later ones replace earlier ones.
pub(super) fn env(
    files: &[String],
    given: &[String],
    here: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<(String, String)>> {
    let lines = files.iter().flat_map(|text| text.lines()).map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut all: Vec<(String, String)> = Vec::new();
    for entry in lines.chain(given.iter().map(String::as_str)) {
        let (name, value) = match entry.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (entry, here(entry)),
        };
        if name.is_empty() || name.contains(char::is_whitespace) {
            bail!(UsageError(format!(
                "--env {entry:?} has no name before `=`"
            )));
        }
        all.retain(|(earlier, _)| earlier != name);
        // As with docker, a name that is not set here is not set there.
        all.extend(value.map(|value| (name.to_owned(), value)));
    }
    Ok(all)
}

/// Text in which `$(NAME)` must stay as it is: shells use it, group files expand it.
pub(super) fn literal(text: &str) -> String {
    match text.contains("$$") || text.contains("$(") {
        true => text.replace('$', "$$"),
        false => text.to_owned(),
    }
}

/// `[IP:]HOST:CONTAINER[/PROTOCOL]`.
pub(super) fn port(text: &str) -> Result<Value> {
    let usage = || {
        UsageError(format!(
            "--publish {text:?} is not [IP:]HOST:CONTAINER[/PROTOCOL], as 8080:80 or \
             127.0.0.1:53:53/udp; ranges and ports chosen by chance are not offered"
        ))
    };
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let (rest, container) = ports.rsplit_once(':').ok_or_else(usage)?;
    let (ip, host) = match rest.rsplit_once(':') {
        Some((ip, host)) => (Some(ip.trim_start_matches('[').trim_end_matches(']')), host),
        None => (None, rest),
    };
    let number = |text: &str| {
        text.parse::<u16>()
            .ok()
            .filter(|n| *n > 0)
            .with_context(usage)
    };
    let mut port = json!({"containerPort": number(container)?, "hostPort": number(host)?});
    match protocol.to_ascii_uppercase().as_str() {
        "TCP" => {}
        other @ ("UDP" | "SCTP") => port["protocol"] = json!(other),
        _ => bail!(usage()),
    }
    if let Some(ip) = ip {
        port["hostIP"] = json!(ip.parse::<std::net::IpAddr>().ok().with_context(usage)?);
    }
    Ok(port)
}

/// A size with docker's units (`64m` is 64 MiB) or Kubernetes' (`64Mi`), as a quantity.
pub(super) fn size(flag: &str, text: &str) -> Result<String> {
    let usage = || {
        UsageError(format!(
            "{flag} {text:?} is not a size, as 64m, 1.5g or 512Mi"
        ))
    };
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    if number.parse::<f64>().is_err() {
        bail!(usage());
    }
    let unit = match unit {
        "" | "b" | "B" => "",
        "Ki" | "k" | "K" | "kb" | "KB" | "KiB" => "Ki",
        "Mi" | "m" | "M" | "mb" | "MB" | "MiB" => "Mi",
        "Gi" | "g" | "G" | "gb" | "GB" | "GiB" => "Gi",
        "Ti" | "t" | "T" | "tb" | "TB" | "TiB" => "Ti",
        _ => bail!(usage()),
    };
    Ok(format!("{number}{unit}"))
}

/// A number of cores, as `1.5` or `250m`.
pub(super) fn cores(text: &str) -> Result<String> {
    let number = text.strip_suffix('m').unwrap_or(text);
    let is_number = number
        .parse::<f64>()
        .is_ok_and(|n| n > 0.0 && n.is_finite());
    match is_number && number.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        true => Ok(text.to_owned()),
        false => bail!(UsageError(format!(
            "--cpus {text:?} is not a number of cores, as 2, 1.5 or 250m"
        ))),
    }
}

/// `DOMAIN/NAME[=NUMBER]`: so many devices of an extended resource, one without a number.
pub(super) fn device(text: &str) -> Result<(String, u32)> {
    let usage = || {
        UsageError(format!(
            "--device {text:?} is not RESOURCE[=NUMBER], as example.com/gpu=2; a path of the host is \
             not taken: the operator names devices, and which of them are free is the node's to know"
        ))
    };
    let (resource, number) = text.split_once('=').unwrap_or((text, "1"));
    let parts = resource.split_once('/');
    parts
        .filter(|(domain, name)| !domain.is_empty() && !name.is_empty())
        .with_context(usage)?;
    let number = number.parse().ok().filter(|number| *number > 0);
    Ok((resource.to_owned(), number.with_context(usage)?))
}

/// `UID[:GID]`.
pub(super) fn user(text: &str) -> Result<(u32, Option<u32>)> {
    let usage = || {
        UsageError(format!(
            "--user {text:?} is not UID[:GID] in numbers; a name is looked up in the image, which \
             only the image's own USER can ask for"
        ))
    };
    let (uid, gid) = match text.split_once(':') {
        Some((uid, gid)) => (uid, Some(gid)),
        None => (text, None),
    };
    let number = |text: &str| text.parse::<u32>().ok().with_context(usage);
    Ok((number(uid)?, gid.map(number).transpose()?))
}

/// `KEY=VALUE` pairs.
pub(super) fn pairs(flag: &str, given: &[String]) -> Result<Map<String, Value>> {
    let pair = |entry: &String| match entry.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), json!(value))),
        _ => bail!(UsageError(format!("{flag} {entry:?} is not KEY=VALUE"))),
    };
    given.iter().map(pair).collect()
}

/// A volume and its mount: `/HOST:/PATH[:ro]` or `/PATH`.
pub(super) fn volume(name: &str, text: &str) -> Result<(Value, Value)> {
    let parts: Vec<&str> = text.split(':').collect();
    let (source, path, options) = match parts.as_slice() {
        [path] => (None, *path, ""),
        [source, path] => (Some(*source), *path, ""),
        [source, path, options] => (Some(*source), *path, *options),
        _ => bail!(UsageError(format!(
            "--volume {text:?} is not /HOST:/PATH[:ro]"
        ))),
    };
    let mut mount = json!({"name": name, "mountPath": path});
    for option in options
        .split(',')
        .filter(|option| !option.is_empty() && *option != "rw")
    {
        match option {
            "ro" => mount["readOnly"] = json!(true),
            _ => bail!(UsageError(format!(
                "--volume {text:?}: the option {option:?} is not offered, only ro and rw are"
            ))),
        }
    }
    let volume = match source {
        None => json!({"name": name, "emptyDir": {}}),
        Some(host) if host.starts_with('/') => json!({"name": name, "hostPath": {"path": host}}),
        Some(_) => bail!(UsageError(format!(
            "--volume {text:?}: volumes with names are not offered; give a path of the host that \
             begins with /, or --tmpfs"
        ))),
    };
    Ok((volume, mount))
}

/// A volume in memory and its mount: `/PATH[:size=SIZE]`.
pub(super) fn tmpfs(name: &str, text: &str) -> Result<(Value, Value)> {
    let (path, options) = text.split_once(':').unwrap_or((text, ""));
    let mut source = json!({"medium": "Memory"});
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option.split_once('=') {
            Some(("size", value)) => source["sizeLimit"] = json!(size("--tmpfs size", value)?),
            _ => bail!(UsageError(format!(
                "--tmpfs {text:?}: the option {option:?} is not offered, only size= is"
            ))),
        }
    }
    let mount = json!({"name": name, "mountPath": path});
    Ok((json!({"name": name, "emptyDir": source}), mount))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn shown<T: std::fmt::Debug>(result: Result<T>) -> String {
        match result {
            Ok(value) => format!("{value:?}"),
            Err(_) => "refused".to_owned(),
        }
    }

    #[test]
    fn ports() {
        let check = |text, expected: Value| assert_eq!(port(text).unwrap(), expected, "{text}");
        check("8080:80", json!({"containerPort": 80, "hostPort": 8080}));
        check(
            "53:5353/udp",
            json!({"containerPort": 5353, "hostPort": 53, "protocol": "UDP"}),
        );
        let ip = |ip| json!({"containerPort": 80, "hostPort": 81, "hostIP": ip});
        check("127.0.0.1:81:80", ip("127.0.0.1"));
        check("[::1]:81:80/tcp", ip("::1"));
        for text in [
            "80", "0:80", "1:2/icmp", "1-3:1-3", "host:1:2", ":80", "70000:1", "",
        ] {
            assert_eq!(shown(port(text)), "refused", "{text}");
        }
    }

    #[test]
    fn sizes_and_cores() {
        let read = |text| size("--memory", text).unwrap_or_else(|_| "refused".to_owned());
        let texts = [
            "64m", "1.5g", "512Mi", "1GB", "4096", "10b", "1x", "m", "-1m", "1.2.3m",
        ];
        let sizes = ["64Mi", "1.5Gi", "512Mi", "1Gi", "4096", "10"];
        assert_eq!(texts.map(read)[..6], sizes);
        assert_eq!(texts.map(read)[6..], ["refused"; 4]);
        let read = |text| cores(text).unwrap_or_else(|_| "refused".to_owned());
        assert_eq!(
            ["2", "1.5", "250m", ".5"].map(read),
            ["2", "1.5", "250m", ".5"]
        );
        assert_eq!(["0", "-1", "x", "1e3", "inf", ""].map(read), ["refused"; 6]);
    }

    #[test]
    fn devices_are_numbers_of_a_resource() {
        let two = ("example.com/gpu".to_owned(), 2);
        assert_eq!(device("example.com/gpu=2").unwrap(), two);
        assert_eq!(device("example.com/gpu").unwrap(), (two.0, 1));
        for text in [
            "gpu",
            "/dev/gpu0:/dev/x",
            "/gpu=1",
            "a/=1",
            "a/b=0",
            "a/b=",
            "a/b=all",
            "",
        ] {
            assert_eq!(shown(device(text)), "refused", "{text}");
        }
    }

    #[test]
    fn users_are_numbers() {
        assert_eq!(user("1000").unwrap(), (1000, None));
        assert_eq!(user("0:5").unwrap(), (0, Some(5)));
        for text in ["nobody", "1:users", "-1", ""] {
            assert_eq!(shown(user(text)), "refused", "{text}");
        }
    }

    #[test]
    fn variables_come_from_files_flags_and_here() {
        let here = |name: &str| (name == "HOME").then(|| "/root".to_owned());
        let file = "# c\nA=1\n\nB = x\nHOME\n"
            .replace("B = x", "B=x y")
            .clone();
        let given = ["A=2", "EMPTY=", "UNSET"].map(str::to_owned);
        let all = env(&[file], &given, &here).unwrap();
        let shown: Vec<_> = all
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        assert_eq!(shown, ["B=x y", "HOME=/root", "A=2", "EMPTY="]);
        assert!(env(&[], &["=x".to_owned()], &here).is_err());
    }

    #[test]
    fn shell_syntax_survives_the_group_file() {
        assert_eq!(literal("echo $HOME"), "echo $HOME");
        assert_eq!(literal("echo $(date) $$ $X"), "echo $$(date) $$$$ $$X");
    }

    #[test]
    fn volumes() {
        let (source, mount) = volume("v", "/srv:/data:ro").unwrap();
        assert_eq!(source, json!({"name": "v", "hostPath": {"path": "/srv"}}));
        assert_eq!(
            mount,
            json!({"name": "v", "mountPath": "/data", "readOnly": true})
        );
        let (source, _) = volume("v", "/cache").unwrap();
        assert_eq!(source, json!({"name": "v", "emptyDir": {}}));
        for text in ["data:/data", "/a:/b:z", "/a:/b:ro:x", "./x:/y"] {
            assert_eq!(shown(volume("v", text)), "refused", "{text}");
        }
        let (source, mount) = tmpfs("t", "/tmp:size=64m").unwrap();
        let empty_dir = json!({"medium": "Memory", "sizeLimit": "64Mi"});
        assert_eq!(source, json!({"name": "t", "emptyDir": empty_dir}));
        assert_eq!(mount, json!({"name": "t", "mountPath": "/tmp"}));
        assert_eq!(shown(tmpfs("t", "/tmp:mode=1777")), "refused");
    }
}
