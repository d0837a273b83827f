//! A node's streams: how long a command takes through the kubelet port beside the same over gRPC,
//! and what one forwarded port carries beside a bare relay with TLS.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures_util::{SinkExt, StreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::api::AttachParams;
use kube::client::Connection;
use kube::{Api, Client};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio_tungstenite::tungstenite::Message;

use super::{client, relay};
use crate::clock::Instant;
use crate::groups::{Groups, connect};
use crate::latency::turns;
use crate::machine;
use crate::report::{Report, Table, median, milliseconds, percentile};

/// The channel of a command's outcome.
const STATUS: u8 = 3;
/// The channel of a forwarded port's bytes.
const DATA: u8 = 0;
/// Bytes of one piece that is read.
const PIECE_BYTES: usize = 64 << 10;
const MB: f64 = 1e6;

/// What is asked, and where.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Who asks, and the API server
    #[arg(long)]
    kubeconfig: PathBuf,
    /// The kubelet port, as `https://ADDRESS:PORT`
    #[arg(long)]
    port: String,
    /// The agent's socket
    #[arg(long)]
    socket: PathBuf,
    /// A pod of the default namespace that has `true`
    #[arg(long)]
    pod: String,
    /// The same pod's web server, as seen from here
    #[arg(long)]
    web: SocketAddr,
    /// A page of it; a large one
    #[arg(long)]
    page: String,
    /// How often each is measured
    #[arg(long, default_value_t = 100)]
    rounds: u32,
    /// How often the page is fetched by each
    #[arg(long, default_value_t = 5)]
    fetches: u32,
}

/// Measures, and prints tables.
pub(crate) fn run(args: &Args) -> Result<()> {
    ensure!(
        args.rounds > 0 && args.fetches > 0,
        "--rounds and --fetches must be at least 1"
    );
    let runtime = Runtime::new().context("start the runtime")?;
    let mut report = Report::new(vec![machine::describe()]);
    let port = runtime.block_on(client(&args.kubeconfig, Some(&args.port)))?;
    report.add(commands(args, &runtime, &port)?);
    report.add(ports(args, &runtime, &port)?);
    print!("{}", report.markdown());
    Ok(())
}

fn commands(args: &Args, runtime: &Runtime, port: &Client) -> Result<Table> {
    let channel = runtime.block_on(connect(&args.socket))?;
    let mut groups = Groups::over(channel);
    let server = runtime.block_on(client(&args.kubeconfig, None))?;
    let pods: Api<Pod> = Api::default_namespaced(server);
    let took = turns(args.rounds, 3, |who, _| {
        let asked = Instant::now();
        runtime.block_on(async {
            match who {
                0 => groups.exec(&args.pod, &["true"]).await.map(drop),
                1 => by_port(port, &args.pod).await,
                _ => by_server(&pods, &args.pod).await,
            }
        })?;
        Ok(Instant::now().since(asked))
    })?;
    let labels = [
        "gRPC, on a connection that is there",
        "kubelet port, a connection each",
        "API server and kubelet port",
    ];
    let title = "Exec of `true`: request to exit code";
    let mut table = Table::new(title, &["", "p50 ms", "p90 ms", "× gRPC"]);
    let first = median(&took[0]);
    for (label, took) in labels.iter().zip(&took) {
        let (p50, p90) = (median(took), percentile(took, 90));
        let times = format!("{:.2}", p50.as_secs_f64() / first.as_secs_f64());
        table.row(&[label, &milliseconds(p50), &milliseconds(p90), &times]);
    }
    Ok(table)
}

/// The command through the kubelet port.
async fn by_port(port: &Client, pod: &str) -> Result<()> {
    let path = format!("/exec/default/{pod}/main?command=true&output=1");
    let mut session = upgrade(port, &path).await?.into_stream();
    while let Some(message) = session.next().await {
        let bytes = message.context("read an exec")?.into_data();
        if let Some((&STATUS, status)) = bytes.split_first() {
            let status: serde_json::Value =
                serde_json::from_slice(status).context("parse the outcome")?;
            ensure!(status["status"] == "Success", "the command: {status}");
            return Ok(());
        }
    }
    anyhow::bail!("the session ended without an outcome")
}

/// The command through the API server.
async fn by_server(pods: &Api<Pod>, pod: &str) -> Result<()> {
    let params = AttachParams::default().stderr(false);
    let mut session = pods.exec(pod, ["true"], &params).await.context("exec")?;
    let status = session.take_status().context("ask for the outcome")?;
    let status = status
        .await
        .context("the session ended without an outcome")?;
    ensure!(
        status.status.as_deref() == Some("Success"),
        "the command: {status:?}"
    );
    Ok(())
}

fn ports(args: &Args, runtime: &Runtime, port: &Client) -> Result<Table> {
    let mut bytes = 0;
    let took = turns(args.fetches, 3, |who, _| {
        let asked = Instant::now();
        bytes = runtime.block_on(async {
            match who {
                0 => fetch(TcpStream::connect(args.web).await?, &args.page).await,
                1 => fetch(&mut relay::connect(args.web).await?.stream, &args.page).await,
                _ => forwarded(port, args).await,
            }
        })?;
        Ok(Instant::now().since(asked))
    })?;
    let title = format!("One connection: a page of {:.0} MB", bytes as f64 / MB);
    let mut table = Table::new(&title, &["", "MB/s", "× bare relay"]);
    let rate = |took: &[Duration]| bytes as f64 / MB / median(took).as_secs_f64();
    let bound = rate(&took[1]);
    let labels = [
        "no TLS, no relay",
        "bare relay with TLS",
        "port-forward by the kubelet port",
    ];
    for (label, took) in labels.iter().zip(&took) {
        let rate = rate(took);
        let times = format!("{:.2}", rate / bound);
        table.row(&[label, &format!("{rate:.0}"), &times]);
    }
    Ok(table)
}

/// Reads a page to its end, and counts it.
async fn fetch<S: AsyncRead + tokio::io::AsyncWrite + Unpin>(
    mut stream: S,
    page: &str,
) -> Result<u64> {
    stream.write_all(&request(page)).await.context("ask")?;
    stream.flush().await.context("ask")?;
    let mut piece = vec![0; PIECE_BYTES];
    let mut count = 0;
    loop {
        match stream.read(&mut piece).await {
            Ok(0) => return Ok(count),
            Ok(len) => count += len as u64,
            // A relay that is done closes without more words.
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(count),
            Err(error) => return Err(error).context("read a page"),
        }
    }
}

/// Reads the page through the kubelet port.
async fn forwarded(port: &Client, args: &Args) -> Result<u64> {
    let path = format!("/portForward/default/{}?port={}", args.pod, args.web.port());
    let mut session = upgrade(port, &path).await?.into_stream();
    let ask = [&[DATA], request(&args.page).as_slice()].concat();
    session
        .send(Message::binary(ask))
        .await
        .context("ask by a forwarded port")?;
    let mut count = 0;
    while let Some(message) = session.next().await {
        let bytes = match message.context("read a forwarded port")? {
            Message::Close(_) => break,
            message => message.into_data(),
        };
        match bytes.split_first() {
            Some((&DATA, data)) => count += data.len() as u64,
            Some((_, error)) if error.len() > PORT_BYTES => {
                anyhow::bail!("the port: {}", String::from_utf8_lossy(error));
            }
            _ => {}
        }
    }
    // The channel begins with the port's number.
    Ok(count - PORT_BYTES as u64)
}

/// What each channel of a port begins with.
const PORT_BYTES: usize = 2;

fn request(page: &str) -> Vec<u8> {
    format!("GET /{page} HTTP/1.0\r\nHost: web\r\n\r\n").into_bytes()
}

async fn upgrade(port: &Client, path: &str) -> Result<Connection> {
    let request = http::Request::get(path)
        .body(Vec::new())
        .context("make a request")?;
    let connection = port.connect(request).await;
    connection.with_context(|| format!("ask the kubelet port for {path}"))
}
