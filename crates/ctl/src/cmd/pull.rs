//! `pull`: an image into the node's store, with a bar for each layer.

use std::collections::BTreeMap;
use std::io::Read;

use anyhow::{Context, Result, bail, ensure};
use burstlet_proto::v1::layer_progress::State;
use burstlet_proto::v1::pull_image_response::Progress;
use burstlet_proto::v1::{Image, LayerProgress, PullCredential, PullImageRequest};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::images::short;
use crate::client::Client;
use crate::error::{Exit, UsageError};
use crate::human;
use crate::output::print;

/// The longest password that is read.
const PASSWORD_BYTES_MAX: u64 = 64 * 1024;

/// The flags of `pull`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The image
    image: String,
    /// Show no progress
    #[arg(short, long)]
    quiet: bool,
    /// The user at the registry; for this pull only
    #[arg(long, value_name = "NAME", requires = "password_stdin")]
    username: Option<String>,
    /// Read the password from standard input
    #[arg(long, requires = "username")]
    password_stdin: bool,
}

pub(crate) async fn run(args: &Args, client: &Client) -> Result<Exit> {
    let request = PullImageRequest {
        image: args.image.clone(),
        pull_policy: "Always".to_owned(),
        credential: args.username.as_deref().map(credential).transpose()?,
        namespace: client.namespace().to_owned(),
    };
    let answers = client.images().pull(request).await;
    let mut answers = answers
        .with_context(|| format!("pull {}", args.image))?
        .into_inner();
    let mut bars = Bars::new(args.quiet);
    loop {
        let answer = answers
            .message()
            .await
            .with_context(|| format!("pull {}", args.image))?;
        match answer.and_then(|answer| answer.progress) {
            Some(Progress::Layers(progress)) => bars.show(&progress.layers),
            Some(Progress::Image(image)) => {
                bars.finish();
                print(pulled(&image, args.quiet))?;
                return Ok(Exit::SUCCESS);
            }
            None => bail!("the agent ended the pull without an answer"),
        }
    }
}

fn credential(username: &str) -> Result<PullCredential> {
    let mut password = String::new();
    let stdin = std::io::stdin().lock();
    stdin
        .take(PASSWORD_BYTES_MAX)
        .read_to_string(&mut password)
        .context("read the password")?;
    let password = password.trim_end_matches(['\r', '\n']).to_owned();
    ensure!(
        !password.is_empty(),
        UsageError("standard input holds no password".to_owned())
    );
    Ok(PullCredential {
        username: username.to_owned(),
        password,
    })
}

fn pulled(image: &Image, quiet: bool) -> String {
    let name = image.names.first().unwrap_or(&image.digest);
    match quiet {
        true => format!("{name}\n"),
        false => {
            let size = human::bytes(image.size_bytes);
            let layers = image.layers.len();
            format!(
                "{name}\n{}, {size} in {layers} layers, {}\n",
                image.digest, image.platform
            )
        }
    }
}

/// A bar for each layer, on a terminal; elsewhere nothing is drawn.
struct Bars {
    quiet: bool,
    all: MultiProgress,
    layers: BTreeMap<String, ProgressBar>,
}

impl Bars {
    fn new(quiet: bool) -> Self {
        Self {
            quiet,
            all: MultiProgress::new(),
            layers: BTreeMap::new(),
        }
    }

    fn show(&mut self, layers: &[LayerProgress]) {
        if self.quiet {
            return;
        }
        for layer in layers {
            let bar = self.layers.entry(layer.digest.clone()).or_insert_with(|| {
                let bar = self.all.add(ProgressBar::new(layer.total_bytes));
                bar.set_style(style());
                bar.set_prefix(short(&layer.digest).to_owned());
                bar
            });
            bar.set_length(layer.total_bytes);
            bar.set_position(layer.done_bytes);
            bar.set_message(state_word(layer.state()));
            if matches!(layer.state(), State::Done | State::Cached) {
                bar.set_position(layer.total_bytes);
                bar.abandon();
            }
        }
    }

    fn finish(&self) {
        // Ended bars stay where they are; the image's name comes below.
        for bar in self.layers.values().filter(|bar| !bar.is_finished()) {
            bar.abandon();
        }
    }
}

fn style() -> ProgressStyle {
    let template = "{prefix} {bar:30} {bytes:>10}/{total_bytes:<10} {msg}";
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}

fn state_word(state: State) -> &'static str {
    match state {
        State::Unspecified | State::Waiting => "waiting",
        State::Downloading => "downloading",
        State::Unpacking => "unpacking",
        State::Done => "done",
        State::Cached => "in the store already",
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::cmd::fixtures::digest;

    #[test]
    fn bars_follow_the_layers() {
        ProgressStyle::with_template("{prefix} {bar:30} {bytes:>10}/{total_bytes:<10} {msg}")
            .unwrap();
        let mut bars = Bars::new(false);
        let layer = |state: State, done| LayerProgress {
            digest: digest('a'),
            state: state.into(),
            done_bytes: done,
            total_bytes: 10,
        };
        bars.show(&[layer(State::Downloading, 4)]);
        let bar = bars.layers.values().next().unwrap().clone();
        assert_eq!((bar.position(), bar.message().as_str()), (4, "downloading"));
        bars.show(&[layer(State::Done, 4)]);
        assert_eq!((bar.position(), bar.is_finished()), (10, true));
    }

    #[test]
    fn the_image_is_named() {
        let image = Image {
            names: vec!["docker.io/library/busybox:1".into()],
            digest: digest('a'),
            platform: "linux/amd64".into(),
            size_bytes: 2_200_000,
            ..Image::default()
        };
        assert_eq!(pulled(&image, true), "docker.io/library/busybox:1\n");
        assert!(pulled(&image, false).ends_with("2.1MiB in 0 layers, linux/amd64\n"));
    }
}
