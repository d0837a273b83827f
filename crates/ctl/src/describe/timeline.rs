//! Where the time of a launch went.

use burstlet_proto::v1::{ImagePullTook, LaunchTimeline};

use super::Lines;
use crate::human;

/// Each step with the time since the request and what it took itself, then the images.
pub(super) fn describe(lines: &mut Lines, launch: &LaunchTimeline) {
    let Some(accepted) = &launch.accepted else {
        return;
    };
    lines.field("accepted", &human::moment(accepted));
    let mut before = accepted;
    for (name, at) in [
        ("admitted", &launch.admitted),
        ("pulled", &launch.pulled),
        ("sandbox", &launch.sandbox_created),
        ("network", &launch.network_ready),
        ("created", &launch.container_created),
        ("started", &launch.started),
        ("ready", &launch.ready),
    ] {
        let Some(at) = at else { continue };
        let since = human::span(human::between(accepted, at));
        let took = human::span(human::between(before, at));
        lines.field(name, &format!("+{since:<9} {took}"));
        before = at;
    }
    if let Some(again) = &launch.begun_again {
        let since = human::span(human::between(accepted, again));
        lines.field("again", &format!("+{since:<9} all containers, together"));
    }
    for pull in &launch.pulls {
        lines.field("image", &pull_text(pull));
    }
}

fn pull_text(pull: &ImagePullTook) -> String {
    let took = pull
        .duration
        .as_ref()
        .map(human::duration)
        .unwrap_or_default();
    let unpack = pull
        .unpack
        .as_ref()
        .map(human::duration)
        .unwrap_or_default();
    let (image, layers, cached) = (&pull.image, pull.layers, pull.layers_cached);
    if layers == cached {
        return format!("{image}: in the store already, {}", human::span(took));
    }
    let bytes = human::bytes(pull.bytes);
    let (took, unpack) = (human::span(took), human::span(unpack));
    format!("{image}: {bytes} in {layers} layers, {cached} cached; {took}, {unpack} to unpack")
}
