//! What the image store holds, looked up at each scrape.

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Gauge, IntGauge};

/// What the image store holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct StoreUse {
    /// How many images.
    pub(crate) images: usize,
    /// What their unpacked layers take on the disk.
    pub(crate) bytes: u64,
}

pub(super) struct ImagesNow<F> {
    look: F,
    images: IntGauge,
    bytes: Gauge,
}

impl<F> ImagesNow<F> {
    pub(super) fn new(look: F) -> Result<Self, prometheus::Error> {
        Ok(Self {
            look,
            images: IntGauge::new("burstlet_images", "Images in the store.")?,
            bytes: Gauge::new(
                "burstlet_image_store_bytes",
                "What the unpacked layers of all images take on the disk.",
            )?,
        })
    }

    fn metrics(&self) -> [&dyn Collector; 2] {
        [&self.images, &self.bytes]
    }
}

impl<F: Fn() -> StoreUse + Send + Sync> Collector for ImagesNow<F> {
    fn desc(&self) -> Vec<&Desc> {
        let metrics = self.metrics().into_iter();
        metrics.flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let StoreUse { images, bytes } = (self.look)();
        self.images.set(i64::try_from(images).unwrap_or(i64::MAX));
        self.bytes.set(bytes as f64);
        let metrics = self.metrics().into_iter();
        metrics.flat_map(Collector::collect).collect()
    }
}
