//! The kernel's own price: six namespaces and a program, without a runtime.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::command::{Output, first_number};
use crate::engine::Starter;
use crate::scratch::Scratch;

/// Namespaces and `execve`, nothing else.
pub(crate) struct Floor<'a> {
    pub(crate) payload: PathBuf,
    pub(crate) scratch: &'a Scratch,
}

impl Starter for Floor<'_> {
    fn label(&self) -> &'static str {
        "floor: 6 namespaces + execve"
    }

    fn start(&self, _name: &str) -> Result<Duration> {
        let mut command = Command::new(&self.payload);
        let text = Output::new(self.scratch.path()).of(command.arg("floor"))?;
        let (began, asked) = text
            .split_once('\n')
            .context("the floor's payload printed one time only")?;
        Ok(first_number(began)?.since(first_number(asked)?))
    }
}
