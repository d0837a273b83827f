//! The page that people read is the matrix. `UPDATE=1 cargo test -p burstlet-manifest` writes it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::path::Path;

use burstlet_manifest::Support;
use burstlet_manifest::matrix::rows;

#[test]
fn the_page_is_the_matrix() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/fields.md");
    let expected = burstlet_manifest::document();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(page.parent().unwrap()).unwrap();
        std::fs::write(&page, &expected).unwrap();
    }
    let found = std::fs::read_to_string(&page).unwrap_or_default();
    assert!(
        found == expected,
        "docs/fields.md is not what the matrix says; run with UPDATE=1"
    );
}

#[test]
fn every_row_says_why() {
    let mut paths = BTreeSet::new();
    for row in rows() {
        assert!(
            paths.insert(row.path.clone()),
            "{} is there twice",
            row.path
        );
        assert!(
            row.field.note.ends_with('.'),
            "{}: {:?}",
            row.path,
            row.field.note
        );
        let refused = row.field.support == Support::Refused;
        assert_eq!(
            refused,
            !row.field.way_out.is_empty(),
            "{} needs a way out",
            row.path
        );
    }
}
