//! Images of cells: a tree united from layers, read lazily.
//!
//! ```text
//!   Image ──► Layer "site"     etc/motd                    ▲ later wins
//!     │       Layer "base"     bin/main.wasm  etc/motd     │
//!     │         └─ ww_loader::Loader
//!     ├─ open, open_link ──► Node: File, Dir or Link
//!     ├─ read_dir ─────────► entries, each with its layers
//!     ├─ main ─────────────► the bytes of bin/main.wasm
//!     ├─ boot ─────────────► the peers that boot/ names
//!     ├─ service, nested ──► an image within the image
//!     └─ memo               what a runtime made of it
//! ```
//!
//! Directories merge, files and links replace, the later layer wins, and
//! nothing is ever deleted. A directory in one layer and something else at the
//! same path in another is an error that names both layers. Every layer is
//! asked about every path, and one that cannot answer is an error: what an
//! image holds never depends on which of its layers happened to be reachable.
//!
//! An image is identified by its content: [`Image::cid`] is the CID that UnixFS
//! gives it under a [`Profile`], wherever its files come from. One that is
//! [pinned](Image::pin) to a CID, or must be [signed](Builder::signed_by),
//! answers for nothing but what was hashed, also where a layer changes later.
//!
//! Links are followed inside the union: a target may stand in another layer
//! than the link, an absolute target starts at the root of the image, and one
//! that leaves the image is an error.
//!
//! ```
//! use ww_image::{Image, Layer, Path};
//! use ww_loader::Memory;
//!
//! # futures_lite::future::block_on(async {
//! let base = Memory::files([("bin/main.wasm", "\0asm"), ("etc/motd", "hello")])?;
//! let site = Memory::files([("etc/motd", "hello, site")])?;
//! let image = Image::new([Layer::new("base", base), Layer::new("site", site)]);
//!
//! assert_eq!(image.main().await?, "\0asm");
//! let motd = Path::new("etc/motd")?;
//! assert_eq!(image.read(&motd, 1024).await?, "hello, site");
//! # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
//! ```

mod boot;
mod builder;
mod chunks;
mod dir;
mod error;
pub mod fhs;
mod file;
mod hashing;
mod image;
mod import;
mod layer;
mod listing;
mod memo;
mod nested;
mod node;
mod pin;
mod profile;
pub mod signature;
mod tree;
mod union;
mod unixfs;

pub use boot::{Boot, BootFault, BootPeer};
pub use builder::Builder;
pub use dir::{Dir, Entry};
pub use error::Error;
pub use file::File;
pub use hashing::{Hashing, Progress};
pub use image::Image;
pub use layer::Layer;
pub use libp2p_identity::PeerId;
pub use memo::Memo;
pub use multiaddr::Multiaddr;
pub use node::{Link, Node};
pub use profile::Profile;
pub use signature::SignatureError;
pub use ww_loader::ipld::Cid;
pub use ww_loader::{Kind, Path, PathError};
