//! What a point does when a test has armed it.

use std::io;

use fail::FailScenario;
use rustix::process::{Signal, getpid, kill_process};

use crate::Point;

/// The kernel's number for "input/output error", which stands for any failure.
const EIO: i32 = 5;

pub(crate) fn arm() {
    // What is armed stays so until the process ends.
    std::mem::forget(FailScenario::setup());
}

/// Does what the point is armed with. Says so on standard error, for tests that wait for it.
pub(crate) fn act(point: Point) -> io::Result<()> {
    fail::fail_point!(point.name(), |what| done(point, what.as_deref()));
    Ok(())
}

fn done(point: Point, what: Option<&str>) -> io::Result<()> {
    let what = what.unwrap_or_default();
    eprintln!("failpoint {} does {what:?}", point.name());
    if what == "crash" {
        // It does not return from this; if it does, the test sees an agent that lives.
        kill_process(getpid(), Signal::KILL)?;
    }
    Err(io::Error::from_raw_os_error(what.parse().unwrap_or(EIO)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn an_armed_point_fails_as_it_is_told_and_others_do_not() {
        let scenario = FailScenario::setup();
        let (armed, other) = (Point::RecordBegun, Point::RecordWritten);
        fail::cfg(armed.name(), "1*off->1*return(28)->1*return").unwrap();
        crate::pass(armed).unwrap();
        let full = crate::pass(armed).unwrap_err();
        assert_eq!(full.kind(), io::ErrorKind::StorageFull);
        assert_eq!(crate::pass(armed).unwrap_err().raw_os_error(), Some(EIO));
        crate::pass(armed).unwrap();
        crate::pass(other).unwrap();
        scenario.teardown();
    }
}
