//! Terminals, as a person has them: `script` makes one for a program.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::PATIENCE;

/// A person at a terminal.
pub struct Person {
    child: Child,
    seen: Arc<Mutex<String>>,
}

impl Person {
    /// Starts a program with more arguments, as a shell reads them.
    #[must_use]
    pub fn at(program: &Command, arguments: &str) -> Self {
        let words = std::iter::once(program.get_program()).chain(program.get_args());
        let line: Vec<String> = words.map(quoted).collect();
        let mut script = Command::new("script");
        for (name, value) in program.get_envs() {
            match value {
                Some(value) => script.env(name, value),
                None => script.env_remove(name),
            };
        }
        let mut child = script
            .arg("-qefc")
            .arg(format!("{} {arguments}", line.join(" ")))
            .arg("/dev/null")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let seen = Arc::new(Mutex::new(String::new()));
        let mut output = child.stdout.take().unwrap();
        let shared = Arc::clone(&seen);
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(len @ 1..) = output.read(&mut buffer) {
                let text = String::from_utf8_lossy(&buffer[..len]);
                shared.lock().unwrap().push_str(&text);
            }
        });
        Self { child, seen }
    }

    /// Waits until the terminal has shown it.
    pub fn sees(&self, what: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.seen.lock().unwrap().contains(what) {
            let seen = self.seen.lock().unwrap().clone();
            assert!(Instant::now() < deadline, "{what:?} never came: {seen:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Presses keys.
    pub fn types(&mut self, keys: &str) {
        let input = self.child.stdin.as_mut().unwrap();
        input.write_all(keys.as_bytes()).unwrap();
        input.flush().unwrap();
    }

    /// Waits until the program has ended with this code.
    pub fn leaves(mut self, code: i32) {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().unwrap() {
                let seen = self.seen.lock().unwrap().clone();
                assert_eq!(status.code(), Some(code), "{seen:?}");
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("the program did not end: {:?}", self.seen.lock().unwrap());
    }
}

impl Drop for Person {
    /// Goes away; the terminal does, and so whatever runs on it.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn quoted(word: &OsStr) -> String {
    format!("'{}'", word.to_str().unwrap().replace('\'', r"'\''"))
}
