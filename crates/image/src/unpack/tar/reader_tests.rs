#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use crate::unpack::UnpackLimits;

fn names(archive: &[u8]) -> Result<Vec<Vec<u8>>, LayerFault> {
    let mut budget = Budget::new(UnpackLimits::default());
    let mut reader = Reader::new(archive);
    let mut names = Vec::new();
    while let Some(entry) = reader.next(&mut budget)? {
        names.push(entry.name);
    }
    Ok(names)
}

#[test]
fn an_archive_without_an_end_is_cut() {
    assert_eq!(names(&[0; 1024]).unwrap(), Vec::<Vec<u8>>::new());
    for length in [0, 1, 511, 512, 1023] {
        let cut = vec![0; length];
        assert_eq!(
            names(&cut),
            Err(LayerFault::Truncated {
                offset: length as u64
            })
        );
    }
}
