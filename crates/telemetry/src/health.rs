//! Health: loops that must move, and things that must answer.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::Item;

/// The heartbeats and checks of a process.
#[derive(Clone, Debug, Default)]
pub struct Health {
    inner: Arc<Mutex<Inner>>,
}

/// Tells that a loop moves. Dropping it counts as the loop's end, which is a fault.
#[derive(Debug)]
#[must_use = "a heartbeat that is dropped at once reports its loop as ended"]
pub struct Heartbeat {
    of: Health,
    index: usize,
}

#[derive(Debug, Default)]
struct Inner {
    loops: Vec<Loop>,
    checks: Vec<Check>,
}

#[derive(Debug)]
struct Loop {
    name: String,
    silence_max: Duration,
    beat_at: Instant,
    ended: bool,
}

#[derive(Clone)]
struct Check {
    name: String,
    run: Arc<dyn Fn() -> Result<(), String> + Send + Sync>,
}

impl Health {
    /// Watches a loop, which promises to beat at least this often.
    pub fn heartbeat(&self, name: impl Into<String>, silence_max: Duration) -> Heartbeat {
        let mut inner = self.lock();
        inner.loops.push(Loop {
            name: name.into(),
            silence_max,
            beat_at: Instant::now(),
            ended: false,
        });
        Heartbeat {
            of: self.clone(),
            index: inner.loops.len() - 1,
        }
    }

    /// Adds a check. It is called for each request of the admin port, so it must look at something
    /// known and not wait; it answers what is wrong.
    pub fn check(
        &self,
        name: impl Into<String>,
        run: impl Fn() -> Result<(), String> + Send + Sync + 'static,
    ) {
        self.lock().checks.push(Check {
            name: name.into(),
            run: Arc::new(run),
        });
    }

    /// How the loops are, in the order in which they were added.
    #[must_use]
    pub fn heartbeats(&self) -> Vec<Item> {
        let now = Instant::now();
        let item = |l: &Loop| Item {
            name: l.name.clone(),
            fault: l.fault(now),
        };
        self.lock().loops.iter().map(item).collect()
    }

    /// How the checks come out, in the order in which they were added.
    #[must_use]
    pub fn checks(&self) -> Vec<Item> {
        // Run outside the lock: a check is foreign code.
        let checks = self.lock().checks.clone();
        checks
            .into_iter()
            .map(|c| Item {
                fault: (c.run)().err(),
                name: c.name,
            })
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Heartbeat {
    /// Tells that the loop went round.
    pub fn beat(&self) {
        if let Some(l) = self.of.lock().loops.get_mut(self.index) {
            l.beat_at = Instant::now();
        }
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        if let Some(l) = self.of.lock().loops.get_mut(self.index) {
            l.ended = true;
        }
    }
}

impl Loop {
    fn fault(&self, now: Instant) -> Option<String> {
        let silence = now.duration_since(self.beat_at);
        if self.ended {
            Some("ended".to_owned())
        } else if silence > self.silence_max {
            let (silence, silence_max) = (silence.as_secs_f64(), self.silence_max.as_secs_f64());
            Some(format!(
                "silent for {silence:.1} s, at most {silence_max:.1} s are right"
            ))
        } else {
            None
        }
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Check")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_late_or_ended_loop_is_a_fault() {
        let health = Health::default();
        let beat = health.heartbeat("reaper", Duration::from_secs(5));
        let fault = || health.heartbeats().pop().unwrap().fault;
        assert_eq!(fault(), None);
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(fault(), None);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(
            fault().unwrap(),
            "silent for 7.0 s, at most 5.0 s are right"
        );
        beat.beat();
        assert_eq!(fault(), None);
        drop(beat);
        assert_eq!(fault().unwrap(), "ended");
    }

    #[test]
    fn a_check_answers_what_is_wrong_now() {
        let health = Health::default();
        let up = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&up);
        health.check("launcher", move || match seen.load(Ordering::Relaxed) {
            true => Ok(()),
            false => Err("its socket is closed".to_owned()),
        });
        let fault = || health.checks().pop().unwrap().fault;
        assert_eq!(fault().unwrap(), "its socket is closed");
        up.store(true, Ordering::Relaxed);
        assert_eq!(fault(), None);
    }
}
