use serde::Deserialize;

/// Bytes of one size, with whatever space is around it; clients send forty.
const SIZE_BYTES_MAX: usize = 1 << 10;

/// A terminal's size in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct TerminalSize {
    /// Columns.
    #[serde(rename = "Width", alias = "width")]
    pub columns: u16,
    /// Lines.
    #[serde(rename = "Height", alias = "height")]
    pub rows: u16,
}

/// Reads sizes, one JSON document after the other, wherever the pieces are cut. What is no such
/// document ends it: what follows cannot be told apart any more.
#[derive(Debug, Default)]
pub(super) struct SizeReader {
    begun: Vec<u8>,
    is_broken: bool,
}

impl SizeReader {
    /// Every size that ends in this piece, but those of nothing.
    pub(super) fn read(&mut self, mut piece: &[u8]) -> Vec<TerminalSize> {
        let mut sizes = Vec::new();
        while !piece.is_empty() && !self.is_broken {
            let room = SIZE_BYTES_MAX.saturating_sub(self.begun.len());
            let (now, later) = piece.split_at(room.min(piece.len()));
            piece = later;
            self.begun.extend_from_slice(now);
            self.is_broken = !self.take_documents(&mut sizes) || self.begun.len() >= SIZE_BYTES_MAX;
        }
        if self.is_broken {
            self.begun = Vec::new();
        }
        sizes
    }

    fn take_documents(&mut self, sizes: &mut Vec<TerminalSize>) -> bool {
        let mut documents =
            serde_json::Deserializer::from_slice(&self.begun).into_iter::<TerminalSize>();
        let mut is_good = true;
        for document in &mut documents {
            match document {
                Ok(size) if size.columns == 0 && size.rows == 0 => {}
                Ok(size) => sizes.push(size),
                Err(error) => {
                    is_good = error.is_eof();
                    break;
                }
            }
        }
        let read = documents.byte_offset();
        self.begun.drain(..read);
        is_good
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text in two pieces, wherever it is cut.
    fn check(text: &str, expected: &[(u16, u16)]) {
        for cut in 0..=text.len() {
            let mut reader = SizeReader::default();
            let (one, two) = text.as_bytes().split_at(cut);
            let sizes = [reader.read(one), reader.read(two)].concat();
            let sizes: Vec<(u16, u16)> = sizes.iter().map(|s| (s.columns, s.rows)).collect();
            assert_eq!(sizes, expected, "{text:?} cut at {cut}");
        }
    }

    #[test]
    fn sizes_are_read_wherever_they_are_cut() {
        check("{\"Width\":120,\"Height\":40}\n", &[(120, 40)]);
        check(
            "{\"width\":1,\"height\":2}{\"Height\":4,\"Width\":3}",
            &[(1, 2), (3, 4)],
        );
        check(
            "\n {\"Width\":0,\"Height\":0} {\"Width\":7,\"Height\":0}",
            &[(7, 0)],
        );
    }

    #[test]
    fn what_is_no_size_ends_it() {
        check(
            "{\"Width\":5,\"Height\":5}\nx{\"Width\":6,\"Height\":6}",
            &[(5, 5)],
        );
        check(
            "{\"Width\":70000,\"Height\":1}{\"Width\":6,\"Height\":6}",
            &[],
        );
        let spaces = " ".repeat(SIZE_BYTES_MAX);
        let long = format!("{{{spaces}\"Width\":6,\"Height\":6}}{{\"Width\":6,\"Height\":6}}");
        check(&long, &[]);
    }
}
