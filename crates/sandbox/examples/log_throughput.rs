//! How fast the log writer is without a container: `cargo run --release -p burstlet-sandbox
//! --example log_throughput [DIR]`. DIR should be on a file system of the kind that logs are
//! written to; a temporary directory if not given.

use std::error::Error;
use std::time::Instant;

use burstlet_model::WallTime;
use burstlet_sandbox::logs::{LogPlan, LogQuery, LogReader, LogWriter, Progress, Stream};

const READ_BYTES: usize = 64 * 1024;
const TOTAL_BYTES: usize = 2 << 30;
const LINE_BYTES: [usize; 4] = [16, 128, 1024, 16 * 1024];

fn main() -> Result<(), Box<dyn Error>> {
    let parent = match std::env::args_os().nth(1) {
        Some(dir) => tempfile::tempdir_in(dir)?,
        None => tempfile::tempdir()?,
    };
    for line_bytes in LINE_BYTES {
        let plan = LogPlan {
            dir: parent.path().join(line_bytes.to_string()),
            bytes_max: 64 << 20,
            files_max: 4,
        };
        let written = write(&plan, line_bytes)?;
        let read = read(&plan)?;
        println!(
            "lines of {line_bytes:>5} bytes: written {written:>5.0} MB/s, read {read:>5.0} MB/s"
        );
    }
    Ok(())
}

/// Pushes one drained pipe after the other, and gives megabytes of output per second.
fn write(plan: &LogPlan, line_bytes: usize) -> Result<f64, Box<dyn Error>> {
    let mut piece = vec![b'x'; READ_BYTES];
    for end in piece.chunks_mut(line_bytes).filter_map(<[u8]>::last_mut) {
        *end = b'\n';
    }
    let mut log = LogWriter::open(plan)?;
    let begin = Instant::now();
    for turn in 0..TOTAL_BYTES / READ_BYTES {
        log.push(Stream::Stdout, &piece, WallTime(i64::try_from(turn)?))?;
    }
    log.finish(WallTime(i64::MAX))?;
    Ok(TOTAL_BYTES as f64 / 1e6 / begin.elapsed().as_secs_f64())
}

fn read(plan: &LogPlan) -> Result<f64, Box<dyn Error>> {
    let mut reader = LogReader::open(&plan.dir, LogQuery::default())?;
    let begin = Instant::now();
    let mut bytes = 0;
    while reader.read(|record| bytes += record.text.len())? == Progress::More {}
    Ok(bytes as f64 / 1e6 / begin.elapsed().as_secs_f64())
}
