//! What opening a ledger does about what it found, before anything is written to it.

use super::error::OpenError;
use super::scan::Scan;
use super::segment;
use super::status::Outcome;
use super::storage::Storage;

/// Sets damaged segments aside and wipes what a power cut tore.
pub(super) fn repair(storage: &mut impl Storage, found: &Scan) -> Result<Outcome, OpenError> {
    let failed = |what: &'static str, name: &str| {
        let path = name.to_owned();
        move |source| OpenError::Storage { what, path, source }
    };
    let mut set_aside = Vec::new();
    for number in &found.spoilt {
        let (from, to) = (segment::name(*number), segment::damaged_name(*number));
        storage
            .rename(&from, &to)
            .map_err(failed("set aside", &from))?;
        set_aside.push(to);
    }
    let torn = found
        .last
        .and_then(|last| Some((last, last.end.filter(|end| last.torn > *end)?)));
    let mut outcome = match found.last {
        None if found.damages.is_empty() && found.carried.is_none() => Outcome::Fresh,
        None => Outcome::Corrupt { set_aside },
        Some(_) if set_aside.is_empty() => Outcome::Loaded,
        Some(_) => Outcome::Corrupt { set_aside },
    };
    if let Some((last, end)) = torn {
        let (file, bytes) = (segment::name(last.number), last.torn - end);
        let zeros = vec![0; usize::try_from(bytes).unwrap_or_default()];
        storage
            .write(&file, end, &zeros)
            .and_then(|()| storage.sync(&file))
            .map_err(failed("cut the torn end of", &file))?;
        if outcome == Outcome::Loaded {
            outcome = Outcome::TornTail { file, bytes };
        }
    }
    Ok(outcome)
}
