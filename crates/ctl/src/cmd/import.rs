//! `import`: images from archives, or from the directory of an OCI layout.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use burstlet_proto::v1::{ImportImagesRequest, ImportStart, import_images_request::Request};
use futures_util::{StreamExt, stream};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::client::Client;
use crate::error::Exit;
use crate::output::print;
use crate::tar_stream::{PIECES_MAX, PieceWriter};

/// The flags of `import`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// An OCI or docker archive, or the directory of an OCI layout; `-` is standard input
    path: PathBuf,
    /// Name the image, in place of the archive's own names
    #[arg(long, default_value = "", hide_default_value = true)]
    name: String,
}

pub(crate) async fn run(args: &Args, client: &Client) -> Result<Exit> {
    let (send, pieces) = mpsc::channel(PIECES_MAX);
    let path = args.path.clone();
    let sent = tokio::task::spawn_blocking(move || send_archive(&path, PieceWriter::new(send)));
    let start = Request::Start(ImportStart {
        name: args.name.clone(),
    });
    let data = ReceiverStream::new(pieces).map(Request::Data);
    let requests = stream::once(async { start }).chain(data);
    let requests = requests.map(|request| ImportImagesRequest {
        request: Some(request),
    });
    let answer = client.images().import(requests).await;
    // What could not be read here explains an archive that was cut off there.
    match sent.await.context("read the archive")? {
        Err(fault) if fault.kind() != io::ErrorKind::ConnectionAborted => {
            return Err(fault).with_context(|| format!("read {}", args.path.display()));
        }
        _ => {}
    }
    let answer = answer
        .with_context(|| format!("import {}", args.path.display()))?
        .into_inner();
    for image in &answer.images {
        let names = match image.names.as_slice() {
            [] => std::slice::from_ref(&image.digest),
            names => names,
        };
        print(
            names
                .iter()
                .map(|name| format!("{name}\n"))
                .collect::<String>(),
        )?;
    }
    Ok(Exit::SUCCESS)
}

fn send_archive(path: &Path, mut writer: PieceWriter) -> io::Result<()> {
    if path.as_os_str() != "-" && path.is_dir() {
        let mut archive = tar::Builder::new(&mut writer);
        archive.append_dir_all(".", path)?;
        archive.finish()?;
        drop(archive);
        return writer.flush();
    }
    let mut source: Box<dyn Read> = match path.as_os_str() == "-" {
        true => Box::new(io::stdin()),
        false => Box::new(File::open(path)?),
    };
    io::copy(&mut source, &mut writer)?;
    writer.flush()
}
