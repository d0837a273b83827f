//! Terminals, as a person has them.

use std::time::Duration;

use burstlet_tests::{Agent, Person};

use super::{IMAGE, agent, create};

fn sit(agent: &Agent, arguments: &str) -> Person {
    Person::at(&agent.ctl_command(&[]), arguments)
}

#[test]
fn a_terminal_shows_its_first_prompt_and_gives_the_code() {
    let agent = agent();
    // The prompt comes once, long before anybody can be attached.
    let program = "sh -c 'printf \"name? \"; read x; echo hi $x; exit 5'";
    let mut person = sit(&agent, &format!("run --rm -it {IMAGE} {program}"));
    person.sees("name? ");
    person.types("me\n");
    person.sees("hi me");
    person.leaves(5);
    agent.finish();
}

#[test]
fn a_terminal_can_be_left_and_come_back_to() {
    let agent = agent();
    let mut person = sit(&agent, &format!("run -it --name left {IMAGE} sh"));
    person.sees("# ");
    person.types("\x10\x11");
    person.leaves(0);
    let mut person = sit(&agent, "attach left");
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
    let mut person = sit(&agent, "exec -it box -- sh");
    person.sees("# ");
    person.types("tty; sleep 1000\n");
    person.sees("/dev/pts/");
    person.types("\x03");
    person.types("exit 6\n");
    person.leaves(6);
    agent.ok(&["rm", "-f", "box"]);
    agent.finish();
}
