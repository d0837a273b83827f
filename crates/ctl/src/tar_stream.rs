//! Archives between the tar crate, which blocks, and streams, which do not.

use std::io::{self, ErrorKind, Read, Write};

use tokio::sync::mpsc;

/// The size of a piece on its way; well below the largest message.
pub(crate) const PIECE_BYTES: usize = 256 * 1024;
/// Pieces on their way.
pub(crate) const PIECES_MAX: usize = 4;

/// Takes what is written into pieces. To be used on a thread that may block.
pub(crate) struct PieceWriter {
    pieces: mpsc::Sender<Vec<u8>>,
    piece: Vec<u8>,
}

/// Gives pieces to be read. To be used on a thread that may block.
pub(crate) struct PieceReader {
    pieces: mpsc::Receiver<Vec<u8>>,
    piece: io::Cursor<Vec<u8>>,
}

impl PieceWriter {
    pub(crate) fn new(pieces: mpsc::Sender<Vec<u8>>) -> Self {
        Self {
            pieces,
            piece: Vec::with_capacity(PIECE_BYTES),
        }
    }
}

impl PieceReader {
    pub(crate) fn new(pieces: mpsc::Receiver<Vec<u8>>) -> Self {
        Self {
            pieces,
            piece: io::Cursor::default(),
        }
    }
}

impl Write for PieceWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = PIECE_BYTES - self.piece.len();
        let taken = bytes.get(..room.min(bytes.len())).unwrap_or_default();
        self.piece.extend_from_slice(taken);
        if self.piece.len() == PIECE_BYTES {
            self.flush()?;
        }
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE_BYTES));
        // Not a broken pipe: who reads says itself what went wrong.
        let gone = |_| io::Error::new(ErrorKind::ConnectionAborted, "the receiver has gone");
        self.pieces.blocking_send(piece).map_err(gone)
    }
}

impl Read for PieceReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let length = self.piece.read(buffer)?;
            if length > 0 || buffer.is_empty() {
                return Ok(length);
            }
            match self.pieces.blocking_recv() {
                Some(piece) => self.piece = io::Cursor::new(piece),
                None => return Ok(0),
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let (send, receive) = mpsc::channel(PIECES_MAX);
        let written: Vec<u8> = (0..3 * PIECE_BYTES + 5).map(|n| (n % 251) as u8).collect();
        let expected = written.clone();
        let writer = std::thread::spawn(move || {
            let mut writer = PieceWriter::new(send);
            writer.write_all(&written).unwrap();
            writer.flush().unwrap();
        });
        let mut read = Vec::new();
        PieceReader::new(receive).read_to_end(&mut read).unwrap();
        writer.join().unwrap();
        assert_eq!(read, expected);
    }

    #[test]
    fn a_receiver_that_has_gone_is_an_error() {
        let (send, receive) = mpsc::channel(PIECES_MAX);
        drop(receive);
        let mut writer = PieceWriter::new(send);
        assert!(writer.write_all(&vec![0; PIECE_BYTES]).is_err());
    }
}
