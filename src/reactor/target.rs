//! Where a connection attempt goes, and from where.
//!
//! This module touches nothing.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use crate::sys::Family;

/// Where a connection attempt goes, and from where.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    /// The address as events and errors show it: as the user wrote it, or as the lookup gave it.
    pub(crate) text: String,
    pub(crate) local: Local,
}

/// The local end that the user asked for (rule C5).
#[derive(Clone, Default, Debug)]
pub(crate) struct Local {
    pub(crate) address: Option<IpAddr>,
    pub(crate) port: Option<u16>,
}

/// The unix socket that a connection attempt goes to.
#[derive(Clone, Debug)]
pub(crate) struct PathTarget {
    pub(crate) path: PathBuf,
    /// The path as events and errors show it.
    pub(crate) text: String,
}

impl Target {
    pub(crate) fn family(&self) -> Family {
        Family::of(&self.address)
    }
}

impl PathTarget {
    pub(crate) fn new(path: PathBuf) -> PathTarget {
        let text = path.to_string_lossy().into_owned();
        PathTarget { path, text }
    }
}
