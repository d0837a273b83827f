//! The agent's side: connecting to the launcher, creating and adopting groups, and a handle to
//! each group's keeper.
//!
//! Nothing here forks, except that [`Launcher::ensure`] starts the launcher if there is none.
//! Dropping a [`Keeper`] leaves its group alone.

mod connection;
mod error;
mod keeper;
mod launcher;
mod outside;

pub use error::ClientError;
pub use keeper::{
    Adopted, AttachHandle, Connected, ExecExit, ExecHandle, Keeper, KeeperEvent, StdioFds,
};
pub use launcher::{Launcher, LauncherConfig};
