//! Values made of files that others replace: certificates, keys, tokens. The files are looked at from
//! time to time, and what is made of them is swapped while it is in use.
//!
//! A renewal writes one file after the other, and may go wrong; so what cannot be used changes
//! nothing, and is told of once, when the next look finds the same.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use ring::digest::{self, SHA256};
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// Between looks at the files.
const PERIOD: Duration = Duration::from_secs(5);
/// Bytes of one file: as many as a list of hundreds of thousands of revoked certificates has.
const FILE_BYTES_MAX: u64 = 16 << 20;
/// Looks that find the same trouble until it is told of.
const LOOKS_UNTIL_TOLD: u32 = 2;

/// What was in the files.
pub(crate) struct Contents(BTreeMap<PathBuf, Vec<u8>>);

impl Contents {
    /// What was in one of them.
    pub(crate) fn of(&self, path: &Path) -> &[u8] {
        self.0.get(path).map(Vec::as_slice).unwrap_or_default()
    }
}

/// A value made of files.
pub(crate) struct Reloaded<T> {
    /// For the log.
    what: &'static str,
    paths: Vec<PathBuf>,
    make: Make<T>,
    /// Of what the value in use was made.
    used: Option<Fingerprint>,
    trouble: Trouble,
    value: watch::Sender<T>,
}

type Make<T> = Box<dyn Fn(&Contents) -> anyhow::Result<T> + Send + Sync>;
type Fingerprint = [u8; 32];

/// What was found that cannot be used, and how often in a row; without a fingerprint the files could
/// not be read.
#[derive(Debug, Default)]
struct Trouble {
    with: Option<Fingerprint>,
    looks: u32,
}

impl<T: Send + Sync + 'static> Reloaded<T> {
    /// Makes the first value.
    ///
    /// # Errors
    /// A file cannot be read, or they make no value.
    pub(crate) fn open(
        what: &'static str,
        paths: Vec<PathBuf>,
        make: impl Fn(&Contents) -> anyhow::Result<T> + Send + Sync + 'static,
    ) -> anyhow::Result<Self> {
        let contents = read(&paths)?;
        let value = make(&contents).with_context(|| format!("use {what}"))?;
        Ok(Self {
            what,
            paths,
            make: Box::new(make),
            used: Some(fingerprint(&contents)),
            trouble: Trouble::default(),
            value: watch::Sender::new(value),
        })
    }

    /// The value, as it is at the time.
    pub(crate) fn value(&self) -> watch::Receiver<T> {
        self.value.subscribe()
    }

    /// Keeps the value as the files are, until the shutdown.
    pub(crate) async fn follow(mut self, shutdown: CancellationToken) {
        let mut ticks = interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = shutdown.cancelled() => return,
            }
            // A file may be long, or on a disk that does not answer.
            let looking = spawn_blocking(move || {
                self.look();
                self
            });
            tokio::select! {
                Ok(looked) = looking => self = looked,
                () = shutdown.cancelled() => return,
            }
        }
    }

    /// One look at the files.
    fn look(&mut self) {
        let what = self.what;
        let contents = read(&self.paths);
        let found = contents.as_ref().ok().map(fingerprint);
        if found.is_some() && found == self.used {
            self.trouble = Trouble::default();
            return;
        }
        match contents.and_then(|contents| (self.make)(&contents)) {
            Ok(value) => {
                tracing::info!("{what} changed and is in use");
                self.used = found;
                self.trouble = Trouble::default();
                self.value.send_replace(value);
            }
            Err(error) if self.trouble.is_to_be_told(found) => {
                let error = format!("{error:#}");
                tracing::warn!(
                    error,
                    "{what} cannot be used as it is now, and stays as it was"
                );
            }
            Err(_) => {}
        }
    }
}

impl Trouble {
    /// Takes note of one more look; whether it is the one to tell of.
    fn is_to_be_told(&mut self, found: Option<Fingerprint>) -> bool {
        match self.looks > 0 && self.with == found {
            true => self.looks = self.looks.saturating_add(1),
            false => {
                *self = Self {
                    with: found,
                    looks: 1,
                }
            }
        }
        self.looks == LOOKS_UNTIL_TOLD
    }
}

fn read(paths: &[PathBuf]) -> anyhow::Result<Contents> {
    let read = |path: &PathBuf| {
        let bytes = read_one(path).with_context(|| format!("read {}", path.display()))?;
        Ok((path.clone(), bytes))
    };
    let contents: anyhow::Result<_> = paths.iter().map(read).collect();
    contents.map(Contents)
}

fn read_one(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(path)?;
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    ensure!(
        bytes.len() as u64 <= FILE_BYTES_MAX,
        "it has more than {FILE_BYTES_MAX} bytes"
    );
    Ok(bytes)
}

fn fingerprint(contents: &Contents) -> Fingerprint {
    let mut all = digest::Context::new(&SHA256);
    for bytes in contents.0.values() {
        all.update(&(bytes.len() as u64).to_be_bytes());
        all.update(bytes);
    }
    let mut print = Fingerprint::default();
    print.copy_from_slice(all.finish().as_ref());
    print
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;

    /// The sum of two numbers in two files, if it is even.
    fn sum(directory: &TempDir) -> anyhow::Result<Reloaded<u32>> {
        let [a, b] = ["a", "b"].map(|name| directory.path().join(name));
        Reloaded::open("the sum", vec![a.clone(), b.clone()], move |contents| {
            let number = |path: &PathBuf| {
                anyhow::Ok(std::str::from_utf8(contents.of(path))?.parse::<u32>()?)
            };
            let sum = number(&a)? + number(&b)?;
            ensure!(sum.is_multiple_of(2), "{sum} is odd");
            Ok(sum)
        })
    }

    fn put(directory: &TempDir, name: &str, text: &str) {
        fs::write(directory.path().join(name), text).unwrap();
    }

    #[test]
    fn what_cannot_be_used_changes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        put(&directory, "a", "1");
        assert!(sum(&directory).is_err(), "a file is missing");
        put(&directory, "b", "3");
        let mut sum = sum(&directory).unwrap();
        let value = sum.value();
        let mut look = |expected: u32, looks: u32| {
            sum.look();
            assert_eq!((*value.borrow(), sum.trouble.looks), (expected, looks));
        };
        look(4, 0);
        put(&directory, "a", "2");
        look(4, 1);
        put(&directory, "b", "4");
        look(6, 0);
        put(&directory, "b", "junk");
        look(6, 1);
        look(6, 2);
        look(6, 3);
        fs::remove_file(directory.path().join("b")).unwrap();
        look(6, 1);
        put(&directory, "b", "4");
        look(6, 0);
        put(&directory, "b", &"0".repeat(FILE_BYTES_MAX as usize + 1));
        look(6, 1);
        put(&directory, "b", "8");
        look(10, 0);
    }

    #[test]
    fn trouble_is_told_of_once() {
        let mut trouble = Trouble::default();
        let looks = [
            Some([1; 32]),
            Some([1; 32]),
            Some([1; 32]),
            None,
            None,
            None,
        ];
        let told = looks.map(|found| trouble.is_to_be_told(found));
        assert_eq!(told, [false, true, false, false, true, false]);
    }

    #[test]
    fn files_are_told_apart() {
        let print = |a: &str, b: &str| {
            let part = |name: &str, text: &str| (PathBuf::from(name), text.as_bytes().to_vec());
            fingerprint(&Contents(BTreeMap::from([part("a", a), part("b", b)])))
        };
        assert_ne!(print("1", "23"), print("12", "3"));
    }
}
