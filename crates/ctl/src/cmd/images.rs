//! `images`: what the node's store holds.

use anyhow::{Context, Result};
use burstlet_proto::v1::{Image, ListImagesRequest};
use pbjson_types::Timestamp;

use crate::client::Client;
use crate::error::Exit;
use crate::human;
use crate::output::{Listing, OutputArgs, document, print};
use crate::table::Table;

/// The flags of `images`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Only images of which a name contains this
    #[arg(default_value = "", hide_default_value = true)]
    name: String,
    #[command(flatten)]
    output: OutputArgs,
}

pub(crate) async fn run(args: &Args, client: &Client) -> Result<Exit> {
    let request = ListImagesRequest {
        name_contains: args.name.clone(),
    };
    let answer = client
        .images()
        .list(request)
        .await
        .context("list the images")?;
    let images = answer.into_inner().images;
    let listing = Listing {
        kind: "ImageList",
        items: &images,
        document: |image| document("Image", image),
        name: |image| image.names.first().unwrap_or(&image.digest).clone(),
    };
    let text = listing.render(args.output.output, |is_wide| {
        table(&images, is_wide, &human::now())
    })?;
    print(text)?;
    Ok(Exit::SUCCESS)
}

/// One line for each name.
fn table(images: &[Image], is_wide: bool, now: &Timestamp) -> String {
    let heading = [
        "IMAGE", "DIGEST", "SIZE", "AGE", "GROUPS", "PLATFORM", "UNPACKED", "USED",
    ];
    let mut table = Table::new(heading);
    for image in images {
        let names = match image.names.as_slice() {
            [] => vec![String::new()],
            names => names.to_vec(),
        };
        for name in names {
            table.row([
                name,
                if is_wide {
                    image.digest.clone()
                } else {
                    short(&image.digest).to_owned()
                },
                human::bytes(image.size_bytes),
                human::age(image.pulled_at.as_ref(), now),
                image.in_use_by.to_string(),
                image.platform.clone(),
                human::bytes(image.unpacked_bytes),
                human::age(image.last_used_at.as_ref(), now),
            ]);
        }
    }
    let table = if is_wide {
        table
    } else {
        table.without(&["PLATFORM", "UNPACKED", "USED"])
    };
    table.render("")
}

/// The first twelve digits, which tell images of one node apart.
pub(super) fn short(digest: &str) -> &str {
    let hex = digest.split_once(':').map_or(digest, |(_, hex)| hex);
    hex.get(..12).unwrap_or(hex)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cmd::fixtures::{NOW, at, digest};

    #[test]
    fn people_get_a_table() {
        let images = [
            Image {
                names: vec!["docker.io/library/nginx:1".into(), "localhost/web:2".into()],
                digest: digest('a'),
                platform: "linux/amd64".into(),
                size_bytes: 73_400_320,
                unpacked_bytes: 192_000_000,
                pulled_at: Some(at(-7200, 0)),
                last_used_at: Some(at(-60, 0)),
                in_use_by: 2,
                ..Image::default()
            },
            Image {
                digest: digest('b'),
                ..Image::default()
            },
        ];
        insta::assert_snapshot!("images", table(&images, false, &NOW));
        insta::assert_snapshot!("images_wide", table(&images, true, &NOW));
    }
}
