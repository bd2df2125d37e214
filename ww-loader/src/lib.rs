//! Files by path from somewhere: a directory of the host, memory, IPFS, or a
//! chain of loaders.
//!
//! ```text
//!                       ┌─ HostDir      a directory of the host
//!   Path ──► Loader ────┼─ Memory       a tree held in memory
//!              │        ├─ Ipfs         a tree named by its content
//!              │        ├─ ChainLoader  the first loader that has it
//!              │        ├─ Mount, Patient  around another loader
//!              │        └─ your own
//!              ▼
//!            Node ──┬─ File   read by range
//!                   ├─ Dir    a stream of entries
//!                   └─ Link   a path in the same tree, never followed here
//! ```
//!
//! A loader answers for what stands at one path and follows no links; uniting
//! trees and following links is the work of an image.
//!
//! ```
//! use ww_loader::{ChainLoader, Loader, LoaderExt, Memory, Node, Path};
//!
//! # futures_lite::future::block_on(async {
//! let site = Memory::files([("etc/motd", "hello, site")])?;
//! let defaults = Memory::files([("etc/motd", "hello"), ("etc/hosts", "localhost")])?;
//! let loader = ChainLoader::new().then(site).then(defaults);
//!
//! assert_eq!(loader.load(&Path::new("etc/motd")?, 1024).await?, "hello, site");
//!
//! let Node::File(hosts) = loader.open(&Path::new("etc/hosts")?).await? else {
//!     panic!("etc/hosts is a file");
//! };
//! assert_eq!(hosts.read_at(5, 100).await?, "host");
//!
//! let missing = loader.open(&Path::new("etc/passwd")?).await.unwrap_err();
//! assert!(missing.is_not_found());
//! # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
//! ```

mod chain;
pub mod clock;
pub mod contract;
mod error;
mod ext;
mod file;
mod flights;
#[cfg(unix)]
mod host_dir;
pub mod http;
pub mod ipfs;
pub mod ipld;
mod link;
mod loader;
mod memory;
mod mount;
mod node;
mod path;
mod path_error;
mod patient;
#[cfg_attr(not(unix), path = "private_dir/elsewhere.rs")]
mod private_dir;
pub mod stem;

pub use async_trait::async_trait;
pub use bytes::Bytes;

pub use chain::ChainLoader;
pub use error::Error;
pub use ext::LoaderExt;
pub use file::File;
pub use flights::Flights;
#[cfg(unix)]
pub use host_dir::HostDir;
pub use ipfs::Ipfs;
pub use link::Link;
pub use loader::Loader;
pub use memory::Memory;
pub use mount::Mount;
pub use node::{Entry, Kind, Node};
pub use path::Path;
pub use path_error::PathError;
pub use patient::Patient;
pub use private_dir::PrivateDir;
