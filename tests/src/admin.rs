//! The admin port of an agent under test.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::{Agent, PATIENCE};

impl Agent {
    /// What the admin port answers to a GET, which must be a success.
    #[must_use]
    pub fn admin(&self, path: &str) -> String {
        let mut stream = TcpStream::connect_timeout(&self.admin_address(), PATIENCE).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.lines().next().unwrap();
        assert!(status.contains(" 200 "), "{path}: {answer}");
        body.to_owned()
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
