//! `man`: manual pages.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Command, CommandFactory};
use clap_mangen::Man;

use crate::cli::Cli;
use crate::error::Exit;
use crate::output::print;

/// The flags of `man`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Write a page for each verb into this directory, in place of one page to standard output
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Result<Exit> {
    match &args.dir {
        Some(dir) => write_all(dir)?,
        None => print(page(Cli::command())?)?,
    }
    Ok(Exit::SUCCESS)
}

fn write_all(dir: &Path) -> Result<()> {
    std::fs::create_dir_all(dir).with_context(|| format!("create {}", dir.display()))?;
    let write = |name: &str, page: Vec<u8>| {
        let path = dir.join(format!("{name}.1"));
        std::fs::write(&path, page).with_context(|| format!("write {}", path.display()))
    };
    let mut all = Cli::command();
    all.build();
    write("burstctl", page(all.clone())?)?;
    for verb in all.get_subcommands() {
        write(
            &format!("burstctl-{}", verb.get_name()),
            page(verb.clone())?,
        )?;
    }
    Ok(())
}

fn page(command: Command) -> Result<Vec<u8>> {
    let mut page = Vec::new();
    Man::new(command)
        .render(&mut page)
        .context("write the manual page")?;
    Ok(page)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn every_verb_has_a_page() {
        let dir = tempfile::tempdir().unwrap();
        write_all(dir.path()).unwrap();
        let pages = std::fs::read_dir(dir.path()).unwrap().count();
        assert_eq!(pages, Cli::command().get_subcommands().count() + 1);
        let run = std::fs::read_to_string(dir.path().join("burstctl-run.1")).unwrap();
        assert!(run.contains("Remove the group when it has ended"), "{run}");
    }
}
