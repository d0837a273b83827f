//! The admin port of an agent under test.

use std::net::SocketAddr;

use crate::{Agent, fetch};

impl Agent {
    /// What the admin port answers to a GET, which must be a success.
    #[must_use]
    pub fn admin(&self, path: &str) -> String {
        fetch(self.admin_address(), path).unwrap()
    }

    /// Where it is. The kernel chose its port; the agent logs it.
    #[must_use]
    pub fn admin_address(&self) -> SocketAddr {
        let log = self.whole_log();
        let line = log
            .lines()
            .rfind(|line| line.contains("serving the admin port"));
        let line = line.unwrap_or_else(|| panic!("no admin port: {log}"));
        let address = line.split("127.0.0.1:").nth(1).unwrap();
        let digits = address.chars().take_while(char::is_ascii_digit);
        let port = digits.collect::<String>().parse().unwrap();
        SocketAddr::from(([127, 0, 0, 1], port))
    }
}
