//! A ledger that was closed in order and then changed: every change is found, what is whole still
//! counts, and nothing is ever guessed.

use std::collections::BTreeMap;

use super::shim::Disk;
use super::*;

type Image = BTreeMap<String, Vec<u8>>;

/// A closed ledger of several segments.
fn closed() -> (Image, Vec<(Record, Hash)>) {
    let disk = Disk::default();
    let (mut writer, _, _) = open(disk.clone());
    for number in 0..40 {
        writer
            .commit(vec![vec![entry(number)]])
            .pop()
            .unwrap()
            .unwrap();
    }
    writer.close().unwrap();
    let truth = contents(&disk).1;
    (disk.files(), truth)
}

/// What a change leads to: it must be found, and no false record be shown. Then the ledger must go
/// on behind the hole, in a chain that a later load follows.
fn check(image: Image, truth: &[(Record, Hash)], what: &str) {
    let disk = Disk::with(image);
    let (mut writer, opening, shown) = open(disk.clone());
    assert_ne!(opening.damages, [], "{what} was not found");
    let mut all = truth.iter().map(|(record, _)| record);
    for record in &shown {
        assert!(
            all.any(|known| known == record),
            "{what} made up {record:?}"
        );
    }
    let result = writer.commit(vec![vec![entry(9)]]).pop().unwrap().unwrap();
    let (scan, after) = contents(&disk);
    assert!(!scan.damages.is_empty(), "{what} was forgotten");
    assert_eq!(after.last().unwrap().1, result.head, "{what}");
    assert_eq!(after.len(), shown.len() + 2, "{what}");
    assert!(
        result.seq > truth.len() as u64,
        "{what}: a number was given twice"
    );
}

fn segments(image: &Image) -> Vec<String> {
    let names = image.keys().filter(|name| name.starts_with("segment"));
    names.cloned().collect()
}

/// Bytes of a segment that are used.
fn used(file: &[u8]) -> usize {
    file.iter().rposition(|byte| *byte != 0).unwrap() + 1
}

/// Where each frame of a segment begins, and where the last one ends.
fn frames(file: &[u8]) -> Vec<usize> {
    let mut places = vec![128];
    loop {
        let at = *places.last().unwrap();
        let length = u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
        if length == 0 {
            return places;
        }
        places.push(at + 40 + length as usize);
    }
}

#[test]
fn every_flipped_byte_is_found() {
    let (image, truth) = closed();
    for name in segments(&image) {
        for at in 0..used(&image[&name]) {
            // The header's padding holds nothing.
            if (76..128).contains(&at) {
                continue;
            }
            let mut image = image.clone();
            image.get_mut(&name).unwrap()[at] ^= 0x10;
            // Another format is refused by its checksum, as nobody wrote that.
            check(image, &truth, &format!("byte {at} of {name}"));
        }
    }
}

#[test]
fn an_edited_record_with_a_new_checksum_is_found() {
    let (image, truth) = closed();
    for name in segments(&image) {
        let places = frames(&image[&name]);
        for frame in places.windows(2) {
            let mut image = image.clone();
            let file = image.get_mut(&name).unwrap();
            let (begin, end) = (frame[0], frame[1]);
            // The state, the last byte of the body: a cheaper one.
            file[end - 33] ^= 1;
            let sum = crc32c::crc32c(&file[begin + 8..end]);
            file[begin + 4..begin + 8].copy_from_slice(&sum.to_le_bytes());
            check(image, &truth, &format!("an edit at {begin} of {name}"));
        }
    }
}

#[test]
fn records_deleted_or_reordered_are_found() {
    let (image, truth) = closed();
    for name in segments(&image) {
        let places = frames(&image[&name]);
        for frame in places.windows(3) {
            let file = &image[&name];
            let (a, b) = (&file[frame[0]..frame[1]], &file[frame[1]..frame[2]]);
            let swapped = [&file[..frame[0]], b, a, &file[frame[2]..]].concat();
            let gap = vec![0; a.len()];
            let deleted = [&file[..frame[0]], &file[frame[1]..], &gap].concat();
            for (what, file) in [("a swap", swapped), ("a deletion", deleted)] {
                let mut image = image.clone();
                image.insert(name.clone(), file);
                check(image, &truth, &format!("{what} at {} of {name}", frame[0]));
            }
        }
    }
}

#[test]
fn a_shorter_end_is_found() {
    let (image, truth) = closed();
    let last = segments(&image).pop().unwrap();
    for at in frames(&image[&last]).into_iter().rev().skip(1) {
        let mut image = image.clone();
        image.get_mut(&last).unwrap()[at..].fill(0);
        check(image, &truth, &format!("zeros from {at} of {last}"));
    }
}

#[test]
fn missing_segments_are_found() {
    let (image, truth) = closed();
    for name in segments(&image) {
        let mut image = image.clone();
        image.remove(&name);
        check(image, &truth, &format!("{name} gone"));
    }
    let mut image = image.clone();
    image.retain(|name, _| !name.starts_with("segment"));
    check(image, &truth, "all segments gone");
}

/// Somebody who can compute hashes writes a whole new history: the mark, like every head that was
/// published, is of the old one.
#[test]
fn a_history_that_is_written_anew_is_not_the_one_that_was_marked() {
    let (image, _) = closed();
    let disk = Disk::default();
    let (mut writer, _, _) = open(disk.clone());
    for number in 0..40 {
        writer
            .commit(vec![vec![entry(number + 1)]])
            .pop()
            .unwrap()
            .unwrap();
    }
    writer.close().unwrap();
    let mut forged = disk.files();
    forged.insert("mark".to_owned(), image["mark"].clone());
    let (scan, _) = contents(&Disk::with(forged));
    assert!(
        scan.damages.iter().any(|d| d.what.contains("marked")),
        "{:?}",
        scan.damages
    );
}

#[test]
fn a_newer_format_is_refused_and_left_alone() {
    let (mut image, _) = closed();
    let name = segments(&image).pop().unwrap();
    let file = image.get_mut(&name).unwrap();
    file[8] = 2;
    let sum = crc32c::crc32c(&file[..72]);
    file[72..76].copy_from_slice(&sum.to_le_bytes());
    let disk = Disk::with(image.clone());
    let (observer, _) = observer();
    let error = Writer::open(disk.clone(), options(SMALL), observer)
        .err()
        .unwrap();
    assert!(matches!(error, OpenError::Newer { format: 2, .. }));
    assert_eq!(disk.files(), image);
}
