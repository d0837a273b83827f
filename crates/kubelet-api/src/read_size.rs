/// How much is read at once: little while a session is quiet, as most are, and more while reads
/// come full.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadSize(usize);

impl ReadSize {
    const MIN: usize = 2 << 10;
    const MAX: usize = 32 << 10;

    pub(crate) const fn new() -> Self {
        Self(Self::MIN)
    }

    pub(crate) const fn bytes(self) -> usize {
        self.0
    }

    /// So much came of one read.
    pub(crate) const fn came(&mut self, count: usize) {
        if count >= self.0 && self.0 < Self::MAX {
            self.0 *= 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_with_full_reads_to_its_end() {
        let mut size = ReadSize::new();
        size.came(ReadSize::MIN - 1);
        assert_eq!(size.bytes(), ReadSize::MIN);
        for _ in 0..20 {
            size.came(size.bytes());
        }
        assert_eq!(size.bytes(), ReadSize::MAX);
    }
}
