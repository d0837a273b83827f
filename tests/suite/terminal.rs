//! Terminals, as a person has them: `script` makes one for `burstctl`.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use burstlet_tests::{Agent, PATIENCE};

use super::{IMAGE, agent, create};

/// A person at a terminal.
struct Person {
    child: Child,
    seen: Arc<Mutex<String>>,
}

impl Person {
    fn at(agent: &Agent, command: &str) -> Self {
        let inner = agent.ctl_command(&[]);
        let program = inner.get_program().to_str().unwrap().to_owned();
        let mut script = Command::new("script");
        for (name, value) in inner.get_envs() {
            match value {
                Some(value) => script.env(name, value),
                None => script.env_remove(name),
            };
        }
        let mut child = script
            .args(["-qefc", &format!("{program} {command}"), "/dev/null"])
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

    fn sees(&self, what: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.seen.lock().unwrap().contains(what) {
            let seen = self.seen.lock().unwrap().clone();
            assert!(Instant::now() < deadline, "{what:?} never came: {seen:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn types(&mut self, keys: &str) {
        let input = self.child.stdin.as_mut().unwrap();
        input.write_all(keys.as_bytes()).unwrap();
        input.flush().unwrap();
    }

    fn leaves(mut self, code: i32) {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().unwrap() {
                let seen = self.seen.lock().unwrap().clone();
                assert_eq!(status.code(), Some(code), "{seen:?}");
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.child.kill().unwrap();
        panic!("burstctl did not end: {:?}", self.seen.lock().unwrap());
    }
}

#[test]
fn a_terminal_shows_its_first_prompt_and_gives_the_code() {
    let agent = agent();
    // The prompt comes once, long before anybody can be attached.
    let program = "sh -c 'printf \"name? \"; read x; echo hi $x; exit 5'";
    let mut person = Person::at(&agent, &format!("run --rm -it {IMAGE} {program}"));
    person.sees("name? ");
    person.types("me\n");
    person.sees("hi me");
    person.leaves(5);
    agent.finish();
}

#[test]
fn a_terminal_can_be_left_and_come_back_to() {
    let agent = agent();
    let mut person = Person::at(&agent, &format!("run -it --name left {IMAGE} sh"));
    person.sees("# ");
    person.types("\x10\x11");
    person.leaves(0);
    let mut person = Person::at(&agent, "attach left");
    std::thread::sleep(Duration::from_millis(300));
    person.types("echo $((40+2))\n");
    person.sees("42");
    person.types("exit 4\n");
    person.leaves(4);
    agent.ok(&["rm", "-f", "left"]);
    agent.finish();
}

#[test]
fn exec_on_a_terminal_takes_keys_and_gives_the_code() {
    let agent = agent();
    create(
        &agent,
        "box",
        "sleep 1000",
        "  terminationGracePeriodSeconds: 0\n",
    );
    agent.ok(&["wait", "box", "--for", "running", "--timeout", "30s"]);
    let mut person = Person::at(&agent, "exec -it box -- sh");
    person.sees("# ");
    person.types("tty; sleep 1000\n");
    person.sees("/dev/pts/");
    person.types("\x03");
    person.types("exit 6\n");
    person.leaves(6);
    agent.ok(&["rm", "-f", "box"]);
    agent.finish();
}
