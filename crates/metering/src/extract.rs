//! What a tenant may see of a ledger, in a form that he can check against a published head.

use std::collections::BTreeSet;
use std::io::{self, Write};

use burstlet_model::{ErrorKind, Namespace};

use crate::carried::Carried;
use crate::chain::{self, Hash};
use crate::ledger::{Entered, Files, Found, OpenError, Scan, scan};
use crate::record::{Fact, Record, SessionFact, SessionId};

/// Why there is no extract.
#[derive(Debug, thiserror::Error)]
pub enum ExtractError {
    /// The ledger cannot be read.
    #[error("read the ledger for an extract")]
    Read(#[source] OpenError),
    /// It cannot be written.
    #[error("write the extract")]
    Write(#[source] io::Error),
}

impl ExtractError {
    /// What class of failure it is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Read(error) => error.kind(),
            Self::Write(_) => ErrorKind::Internal,
        }
    }
}

/// Writes the records of a namespace's sessions, and of all others only what stands for them in
/// the chain.
///
/// # Errors
/// The ledger cannot be read or the extract not written.
pub fn extract(
    files: &impl Files,
    namespace: &Namespace,
    to: &mut impl Write,
) -> Result<Scan, ExtractError> {
    let mut lines = Lines {
        to,
        namespace,
        own: BTreeSet::new(),
        head: None,
        result: Ok(()),
    };
    let found = scan(files, |found| match found {
        Found::Carried(carried) => lines.carried(carried),
        Found::Record(entered) => lines.record(&entered),
    });
    let found = found.map_err(ExtractError::Read)?;
    lines.finish(&found).map_err(ExtractError::Write)?;
    Ok(found)
}

struct Lines<'a, W> {
    to: &'a mut W,
    namespace: &'a Namespace,
    /// The namespace's sessions.
    own: BTreeSet<SessionId>,
    /// Where the chain is; `None` before the first record.
    head: Option<Hash>,
    /// The first failure; nothing is written after it.
    result: io::Result<()>,
}

impl<W: Write> Lines<'_, W> {
    /// What came before the first record that is there.
    fn carried(&mut self, carried: &Carried) {
        self.result = self.write_carried(carried);
        self.head = Some(carried.head);
    }

    fn write_carried(&mut self, carried: &Carried) -> io::Result<()> {
        let sealed = carried.sealed().map_err(io::Error::other)?;
        writeln!(self.to, "burstlet-extract 1")?;
        writeln!(self.to, "ledger {}", Hex(&carried.ledger.0))?;
        writeln!(self.to, "carried {}", Hex(&sealed))?;
        for record in &carried.records {
            let body = record.encode().map_err(io::Error::other)?;
            match self.may_see(record) {
                true => writeln!(self.to, "c {}", Hex(&body))?,
                false => writeln!(self.to, "l {}", Hex(&chain::leaf(&body)))?,
            }
        }
        writeln!(self.to, "from {} {}", carried.seq, Hex(&carried.head))
    }

    fn record(&mut self, entered: &Entered<'_>) {
        let may_see = self.may_see(entered.record);
        if self.result.is_ok() {
            self.result = self.write(entered, may_see);
        }
        self.head = Some(entered.head);
    }

    fn write(&mut self, entered: &Entered<'_>, may_see: bool) -> io::Result<()> {
        if self.head.is_none() {
            writeln!(self.to, "burstlet-extract 1")?;
            writeln!(self.to, "ledger {}", Hex(&entered.ledger.0))?;
        }
        if self.head != Some(entered.before) {
            let seq = entered.record.seq - 1;
            writeln!(self.to, "from {seq} {}", Hex(&entered.before))?;
        }
        match may_see {
            true => writeln!(self.to, "r {}", Hex(entered.body)),
            false => writeln!(self.to, "h {}", Hex(&chain::leaf(entered.body))),
        }
    }

    /// Facts about the ledger itself are everybody's.
    fn may_see(&mut self, record: &Record) -> bool {
        let Fact::Session { id, fact } = &record.fact else {
            return true;
        };
        if let SessionFact::Opened(opened) = fact
            && opened.group.namespace == *self.namespace
        {
            self.own.insert(id.clone());
        }
        self.own.contains(id)
    }

    fn finish(self, found: &Scan) -> io::Result<()> {
        self.result?;
        writeln!(self.to, "to {} {}", found.seq, Hex(&found.head))?;
        self.to.flush()
    }
}

/// A number and a head as they are published: `NUMBER:HEAD`, the head in hexadecimal.
#[must_use]
pub fn published(text: &str) -> Option<(u64, Hash)> {
    let (seq, digits) = text.split_once(':')?;
    let mut head = Hash::default();
    if digits.len() != 2 * head.len() || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, pair) in head.iter_mut().zip(digits.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some((seq.parse().ok()?, head))
}

/// Bytes as people and scripts read them.
pub struct Hex<'a>(pub &'a [u8]);

impl std::fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
