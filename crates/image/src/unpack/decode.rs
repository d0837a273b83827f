//! From a compressed blob to a hashed stream. Decompression runs in a thread of its own, so that
//! it overlaps with hashing and writing; a few recycled buffers go back and forth.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use sha2::{Digest as _, Sha256};

use super::fault::{LayerFault, Limit};
use super::limits::{UnpackLimits, ZSTD_WINDOW_LOG_MAX};
use crate::LayerPacking;

/// What is read and handed over at once.
const CHUNK_BYTES: usize = 256 << 10;
/// Chunks on their way at most.
const CHUNKS_MAX: usize = 6;

type Chunk = io::Result<Vec<u8>>;

/// The uncompressed stream.
pub(crate) struct LayerStream {
    chunks: Receiver<Chunk>,
    used: SyncSender<Vec<u8>>,
    current: Vec<u8>,
    at: usize,
    hash: Sha256,
}

impl LayerStream {
    /// Starts to decompress `blob`, which may not grow more than `limits` allow.
    pub(crate) fn start(
        blob: File,
        packing: LayerPacking,
        limits: UnpackLimits,
    ) -> io::Result<Self> {
        let (send, chunks) = sync_channel(CHUNKS_MAX);
        let (used, unused) = sync_channel(CHUNKS_MAX + 2);
        let read = Arc::new(AtomicU64::new(0));
        let source = BufReader::with_capacity(
            CHUNK_BYTES,
            Counted {
                source: blob,
                read: Arc::clone(&read),
            },
        );
        thread::Builder::new()
            .name("decode".to_owned())
            .spawn(move || {
                let pump = Pump {
                    send,
                    unused,
                    read,
                    limits,
                };
                match packing {
                    LayerPacking::None => pump.run(source),
                    LayerPacking::Gzip => pump.run(flate2::bufread::MultiGzDecoder::new(source)),
                    LayerPacking::Zstd => match zstd_decoder(source) {
                        Ok(decoder) => pump.run(decoder),
                        Err(error) => pump.fail(error),
                    },
                }
            })?;
        Ok(Self {
            chunks,
            used,
            current: Vec::new(),
            at: 0,
            hash: Sha256::new(),
        })
    }

    /// The digest of all that came; the whole stream once its end was seen.
    pub(crate) fn digest(self) -> String {
        format!("sha256:{}", hex::encode(self.hash.finalize()))
    }
}

impl BufRead for LayerStream {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.current.len() {
            let next = self.chunks.recv().unwrap_or_else(|_ended| Ok(Vec::new()))?;
            self.hash.update(&next);
            self.at = 0;
            let used = std::mem::replace(&mut self.current, next);
            // The decoder may have ended, and then needs no buffer.
            let _unwanted = self.used.try_send(used);
        }
        Ok(self.current.get(self.at..).unwrap_or_default())
    }

    fn consume(&mut self, amount: usize) {
        self.at = self.current.len().min(self.at + amount);
    }
}

impl Read for LayerStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = {
            let ready = self.fill_buf()?;
            let length = ready.len().min(buffer.len());
            if let (Some(to), Some(from)) = (buffer.get_mut(..length), ready.get(..length)) {
                to.copy_from_slice(from);
            }
            length
        };
        self.consume(length);
        Ok(length)
    }
}

fn zstd_decoder<R: BufRead>(source: R) -> io::Result<zstd::stream::read::Decoder<'static, R>> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(source)?;
    decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
    Ok(decoder)
}

/// The decoding thread's ends of the channels.
struct Pump {
    send: SyncSender<Chunk>,
    unused: Receiver<Vec<u8>>,
    read: Arc<AtomicU64>,
    limits: UnpackLimits,
}

impl Pump {
    fn run(self, mut decoder: impl Read) {
        let mut out = 0;
        loop {
            let mut chunk = self.unused.try_recv().unwrap_or_default();
            let filled = fill(&mut decoder, &mut chunk);
            out += chunk.len() as u64;
            let bombed = out > self.limits.ratio_floor_bytes
                && out / self.read.load(Ordering::Relaxed).max(1) > self.limits.ratio;
            if bombed {
                let fault = LayerFault::TooLarge {
                    limit: Limit::Ratio,
                    max: self.limits.ratio,
                };
                return self.fail(io::Error::other(fault));
            }
            if !chunk.is_empty() && self.send.send(Ok(chunk)).is_err() {
                return;
            }
            match filled {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => return self.fail(error),
            }
        }
    }

    /// The reader hears of it unless it has given up itself.
    fn fail(&self, error: io::Error) {
        let _nobody_listens = self.send.send(Err(error));
    }
}

/// Fills a chunk; false at the stream's end.
fn fill(decoder: &mut impl Read, chunk: &mut Vec<u8>) -> io::Result<bool> {
    chunk.resize(CHUNK_BYTES, 0);
    let mut filled = 0;
    let ended = loop {
        match decoder.read(chunk.get_mut(filled..).unwrap_or_default()) {
            Ok(0) => break Ok(filled == CHUNK_BYTES),
            Ok(length) => filled += length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => break Err(error),
        }
    };
    chunk.truncate(filled);
    ended
}

/// Counts what is read, so that the ratio can be told.
struct Counted<R> {
    source: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.source.read(buffer)?;
        self.read.fetch_add(length as u64, Ordering::Relaxed);
        Ok(length)
    }
}
