//! `cp`: files to and from a container, by the `tar` of its image.

mod place;

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use burstlet_proto::v1::ExecStart;
use tokio::sync::mpsc;

use crate::client::Client;
use crate::error::{Exit, UsageError};
use crate::human::clean;
use crate::output::print;
use crate::safe_extract::Target;
use crate::session::{Piped, exec_piped};
use crate::tar_stream::{PIECE_BYTES, PIECES_MAX, PieceReader, PieceWriter};
use place::{Place, Remote};

/// The flags of `cp`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// A local path, GROUP:PATH, or `-` for an archive on standard input
    from: Place,
    /// A local path, GROUP:PATH, or `-` for an archive on standard output
    to: Place,
    /// Which container, if there are several
    #[arg(short, long, default_value = "", hide_default_value = true)]
    container: String,
}

pub(crate) async fn run(args: &Args, client: &Client) -> Result<Exit> {
    match (&args.from, &args.to) {
        (Place::Remote(from), Place::Local(to)) => download(args, client, from, to).await?,
        (Place::Remote(from), Place::Stream) => download_archive(args, client, from).await?,
        (Place::Local(from), Place::Remote(to)) => upload(args, client, Some(from), to).await?,
        (Place::Stream, Place::Remote(to)) => upload(args, client, None, to).await?,
        _ => bail!(UsageError(
            "one side must be a container's, as GROUP:PATH".to_owned()
        )),
    }
    Ok(Exit::SUCCESS)
}

async fn download(args: &Args, client: &Client, from: &Remote, to: &Path) -> Result<()> {
    let (_, base) = from.split();
    let target = target(base, to)?;
    let (send, receive) = mpsc::channel(PIECES_MAX);
    let written = tokio::task::spawn_blocking(move || target.extract(PieceReader::new(receive)));
    let sent = tar(
        args,
        client,
        from,
        pack(from),
        Piped {
            stdin: None,
            stdout: Some(send),
        },
    )
    .await;
    let written = written.await.context("write the files")?;
    sent?;
    for left_out in written?.left_out {
        eprintln!("burstctl: left out {}", clean(&left_out));
    }
    Ok(())
}

async fn download_archive(args: &Args, client: &Client, from: &Remote) -> Result<()> {
    let (send, mut receive) = mpsc::channel::<Vec<u8>>(PIECES_MAX);
    let shown = async {
        while let Some(piece) = receive.recv().await {
            print(piece)?;
        }
        // The sender is owned by the other future, which ends before or with this one.
        anyhow::Ok(())
    };
    let piped = Piped {
        stdin: None,
        stdout: Some(send),
    };
    tokio::try_join!(tar(args, client, from, pack(from), piped), shown)?;
    Ok(())
}

/// Sends a local path, or the archive on standard input.
async fn upload(args: &Args, client: &Client, from: Option<&Path>, to: &Remote) -> Result<()> {
    let is_directory =
        to.path.ends_with('/') || from.is_none() || is_directory(args, client, to).await?;
    let (directory, name) = match (is_directory, from) {
        (true, Some(from)) => (to.path.clone(), local_name(from)?),
        (true, None) => (to.path.clone(), OsString::new()),
        (false, _) => {
            let (parent, base) = to.split();
            (parent.to_owned(), base.into())
        }
    };
    let (send, receive) = mpsc::channel(PIECES_MAX);
    let local = from.map(Path::to_owned);
    let packed = tokio::task::spawn_blocking(move || {
        send_local(local.as_deref(), Path::new(&name), PieceWriter::new(send))
    });
    // Without the owners of this machine: they mean nothing there.
    let command = ["tar", "-xof", "-", "-C", &directory]
        .map(str::to_owned)
        .to_vec();
    let piped = Piped {
        stdin: Some(receive),
        stdout: None,
    };
    let unpacked = tar(args, client, to, command, piped).await;
    match packed.await.context("read the files")? {
        Err(fault) if fault.kind() != io::ErrorKind::ConnectionAborted => {
            Err(fault).context("read the files")
        }
        _ => unpacked,
    }
}

async fn tar(
    args: &Args,
    client: &Client,
    at: &Remote,
    command: Vec<String>,
    piped: Piped,
) -> Result<()> {
    let start = ExecStart {
        group: client.group(&at.group),
        container: args.container.clone(),
        command,
        ..ExecStart::default()
    };
    let ended = exec_piped(client, start, piped).await;
    let ended = ended.with_context(|| {
        format!(
            "run tar in {} (the container's image must have it)",
            at.group
        )
    })?;
    let complaint = if ended.complaint.is_empty() {
        "no word"
    } else {
        &ended.complaint
    };
    ensure!(
        ended.code == 0,
        "tar in {} ended with code {}: {complaint}",
        at.group,
        ended.code
    );
    Ok(())
}

fn pack(from: &Remote) -> Vec<String> {
    let (parent, base) = from.split();
    ["tar", "-cf", "-", "-C", parent, "--", base]
        .map(str::to_owned)
        .to_vec()
}

/// Whether the path is a directory there; without `test` in the image it is taken as none.
async fn is_directory(args: &Args, client: &Client, at: &Remote) -> Result<bool> {
    let start = ExecStart {
        group: client.group(&at.group),
        container: args.container.clone(),
        command: ["test", "-d", &at.path].map(str::to_owned).to_vec(),
        ..ExecStart::default()
    };
    match exec_piped(client, start, Piped::default()).await {
        Ok(ended) => Ok(ended.code == 0),
        Err(fault) if has_no_group(&fault) => Err(fault),
        Err(_) => Ok(false),
    }
}

/// Faults that any other command would meet as well.
fn has_no_group(fault: &anyhow::Error) -> bool {
    use tonic::Code;
    fault.downcast_ref::<tonic::Status>().is_some_and(|status| {
        matches!(
            status.code(),
            Code::NotFound | Code::FailedPrecondition | Code::Unavailable
        )
    })
}

/// Where what is called `base` there goes here: into a directory, or under a new name.
fn target(base: &str, to: &Path) -> Result<Target> {
    let is_whole = base == ".";
    let from = (!is_whole).then(|| OsString::from(base));
    if to.is_dir() {
        return Ok(Target {
            directory: to.to_owned(),
            from: from.clone(),
            to: from,
        });
    }
    let parent = match to.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    ensure!(parent.is_dir(), "{} is not a directory", parent.display());
    Ok(Target {
        directory: parent.to_owned(),
        from,
        to: Some(local_name(to)?),
    })
}

fn local_name(path: &Path) -> Result<OsString> {
    let absolute = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let name = absolute.file_name().map(OsString::from);
    name.with_context(|| format!("{} has no name to copy it as", path.display()))
}

fn send_local(from: Option<&Path>, name: &Path, mut writer: PieceWriter) -> io::Result<()> {
    let Some(from) = from else {
        let mut stdin = io::stdin().lock();
        let mut piece = vec![0; PIECE_BYTES];
        while let length @ 1.. = stdin.read(&mut piece)? {
            writer.write_all(piece.get(..length).unwrap_or_default())?;
        }
        return writer.flush();
    };
    let mut archive = tar::Builder::new(&mut writer);
    archive.follow_symlinks(false);
    match from.is_dir() {
        true => archive.append_dir_all(name, from)?,
        false => archive.append_path_with_name(from, name)?,
    }
    archive.finish()?;
    drop(archive);
    writer.flush()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn directories_are_copied_into_and_files_are_renamed() {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str| dir.path().join(path);
        let show = |base: &str, to: &Path| {
            let target = target(base, to).unwrap();
            (target.directory, target.from, target.to)
        };
        let name = |name: &str| Some(OsString::from(name));
        assert_eq!(
            show("etc", dir.path()),
            (dir.path().to_owned(), name("etc"), name("etc"))
        );
        assert_eq!(
            show("etc", &at("new")),
            (dir.path().to_owned(), name("etc"), name("new"))
        );
        assert_eq!(show(".", dir.path()), (dir.path().to_owned(), None, None));
        assert_eq!(
            show(".", &at("new")),
            (dir.path().to_owned(), None, name("new"))
        );
        assert!(target("etc", &at("no/such")).is_err());
    }

    #[test]
    fn local_trees_are_packed_under_their_new_name() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a"), "x").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", dir.path().join("l")).unwrap();
        let (send, receive) = mpsc::channel(PIECES_MAX);
        let from = dir.path().to_owned();
        let sender = std::thread::spawn(move || {
            send_local(Some(&from), Path::new("new"), PieceWriter::new(send)).unwrap();
        });
        let mut archive = tar::Archive::new(PieceReader::new(receive));
        let mut paths: Vec<_> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                (
                    entry.path().unwrap().display().to_string(),
                    entry.header().entry_type(),
                )
            })
            .collect();
        paths.sort_by(|a, b| a.0.cmp(&b.0));
        sender.join().unwrap();
        let kinds: Vec<_> = paths
            .iter()
            .map(|(path, kind)| (path.as_str(), *kind))
            .collect();
        let expected = [
            ("new/", tar::EntryType::Directory),
            ("new/a", tar::EntryType::Regular),
            ("new/l", tar::EntryType::Symlink),
        ];
        assert_eq!(kinds, expected);
    }
}
