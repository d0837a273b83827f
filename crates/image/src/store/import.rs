//! Images that somebody brings along instead of a registry's name.

use std::sync::Arc;

use burstlet_model::{ImageRef, WallTime};
use tokio::sync::watch;
use tokio::time::Instant;

use super::install::Install;
use super::source::Source;
use super::{ImageStore, PullProgress, Pulled, StoreError};
use crate::import::Import;

/// A wish to keep what an archive or layout has.
pub struct ImportRequest {
    /// The archive or layout.
    pub import: Import,
    /// What the image is to be called; empty for what it is called there. Only for an import
    /// with one image.
    pub references: Vec<ImageRef>,
    /// Told how far the import is, image by image.
    pub progress: Option<watch::Sender<PullProgress>>,
    /// The time of the request.
    pub now: WallTime,
}

impl ImageStore {
    /// Keeps all images of an archive or layout; everyone may use them.
    ///
    /// # Errors
    /// A part is missing or not what it is named, an image is refused, or the disk fails. Images
    /// before the one that failed are kept.
    pub async fn import(&self, request: ImportRequest) -> Result<Vec<Pulled>, StoreError> {
        let images = request.import.images().to_vec();
        if images.len() != 1 && !request.references.is_empty() {
            return Err(StoreError::NamesForMany(images.len()));
        }
        let progress = request
            .progress
            .unwrap_or_else(|| watch::channel(Default::default()).0);
        let import = Arc::new(request.import);
        let mut imported = Vec::with_capacity(images.len());
        for image in images {
            let named = !request.references.is_empty();
            let source = Source::Import {
                import: import.clone(),
                document: image.document,
            };
            let install = Install {
                inner: self.inner.clone(),
                source: Arc::new(source),
                references: if named {
                    request.references.clone()
                } else {
                    image.references
                },
                now: request.now,
                begun: Instant::now(),
            };
            imported.push(install.run(progress.clone()).await?.pulled);
        }
        Ok(imported)
    }
}
