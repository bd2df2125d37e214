use libp2p_identity::PeerId;
use multiaddr::{Multiaddr, Protocol};
use ww_loader::{Kind, Path};

use crate::{Entry, Error, Image, Node, fhs};

/// The peers to connect to at first, as an image's `boot/` names them.
///
/// Each file there is named by a peer id in base58 and has a multiaddr on every
/// line; empty lines, and those that begin with `#`, are passed over. What is
/// malformed is told in `faults`, and the rest counts all the same. Where there
/// is too much of anything, the last fault says from where on nothing is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Boot {
    /// The peers, in the order of their files' names.
    pub peers: Vec<BootPeer>,
    /// What could not be understood, in the same order.
    pub faults: Vec<BootFault>,
}

/// A peer of [`Boot`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootPeer {
    /// Its identity.
    pub id: PeerId,
    /// Where it may be reached, each address once; none where the file has
    /// none. An address may end in the peer's own `/p2p/` part.
    pub addrs: Vec<Multiaddr>,
}

/// What is wrong with a file in `boot/`, or with a line of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}{}: {reason}", line.map(|line| format!(":{line}")).unwrap_or_default())]
pub struct BootFault {
    /// The file.
    pub file: Path,
    /// The line, counted from 1, where a line is at fault.
    pub line: Option<usize>,
    /// What is wrong.
    pub reason: String,
}

impl Boot {
    /// The most peers that are read of one image.
    pub const MAX_PEERS: usize = 1024;
    /// The most addresses that are read of one peer.
    pub const MAX_ADDRS: usize = 64;
    /// The most faults that are told, not counting the one that says that there
    /// are more.
    pub const MAX_FAULTS: usize = 1024;
    /// The longest file that is read, in bytes.
    pub const MAX_FILE: u64 = 64 << 10;
}

impl Image {
    /// The peers to connect to at first; none where the image has no
    /// [`fhs::BOOT`].
    ///
    /// # Errors
    ///
    /// [`Error::Listing`] if there are more names than fit
    /// [`LISTING_LIMIT`](Self::LISTING_LIMIT); otherwise as [`Image::read_dir`] and
    /// [`Image::read`]. What the files say is no error but a [`BootFault`].
    pub async fn boot(&self) -> Result<Boot, Error> {
        let dir = Path::new(fhs::BOOT)?;
        let entries = match self.read_dir_within(&dir, Self::LISTING_LIMIT).await {
            Err(error) if error.is_not_found() => return Ok(Boot::default()),
            entries => entries?,
        };
        let mut boot = Boot::default();
        for entry in entries {
            let file = dir.resolve(&entry.name)?;
            if boot.peers.len() == Boot::MAX_PEERS {
                let reason = format!(
                    "it and what follows is not read: there are {} peers before it",
                    Boot::MAX_PEERS
                );
                boot.fault(&file, None, reason);
                break;
            }
            self.boot_file(&mut boot, file, &entry).await?;
        }
        Ok(boot)
    }

    async fn boot_file(&self, boot: &mut Boot, file: Path, entry: &Entry) -> Result<(), Error> {
        let id: PeerId = match entry.name.parse() {
            Ok(id) => id,
            Err(error) => {
                boot.fault(&file, None, format!("its name is no peer id: {error}"));
                return Ok(());
            }
        };
        let bytes = match self.open(&file).await {
            Ok(Node::File(content)) => content.read(Boot::MAX_FILE).await,
            Ok(other) => {
                let kind = other.kind();
                boot.fault(&file, None, format!("it is a {kind}, not a file"));
                return Ok(());
            }
            Err(error) => Err(error),
        };
        let bytes = match bytes {
            // A link that leads nowhere is this file's fault alone.
            Err(error) if entry.kind == Kind::Link && error.is_of_the_path() => {
                boot.fault(&file, None, error.to_string());
                return Ok(());
            }
            Err(error @ Error::TooLarge { .. }) => {
                boot.fault(&file, None, error.to_string());
                return Ok(());
            }
            bytes => bytes?,
        };
        let mut addrs = Vec::new();
        for (number, line) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
            match addr(id, line) {
                Ok(Some(addr)) if addrs.contains(&addr) => {}
                Ok(Some(_)) if addrs.len() == Boot::MAX_ADDRS => {
                    let reason = format!(
                        "it and what follows is not read: there are {} addresses before it",
                        Boot::MAX_ADDRS
                    );
                    boot.fault(&file, Some(number), reason);
                    break;
                }
                Ok(Some(addr)) => addrs.push(addr),
                Ok(None) => {}
                Err(reason) => boot.fault(&file, Some(number), reason),
            }
        }
        boot.peers.push(BootPeer { id, addrs });
        Ok(())
    }
}

impl Boot {
    fn fault(&mut self, file: &Path, line: Option<usize>, reason: String) {
        let file = file.clone();
        let reason = match self.faults.len() {
            ..Self::MAX_FAULTS => reason,
            Self::MAX_FAULTS => format!(
                "it and what follows is not told: there are {} faults before it",
                Self::MAX_FAULTS
            ),
            _ => return,
        };
        self.faults.push(BootFault { file, line, reason });
    }
}

/// The address on a line of the file of peer `id`, if one is there.
fn addr(id: PeerId, line: &[u8]) -> Result<Option<Multiaddr>, String> {
    let text = std::str::from_utf8(line).map_err(|_| "it is not UTF-8".to_owned())?;
    let text = text.trim();
    if text.is_empty() || text.starts_with('#') {
        return Ok(None);
    }
    let addr: Multiaddr = text
        .parse()
        .map_err(|error| format!("{:?} is no multiaddr: {error}", clip(text)))?;
    match addr.iter().last() {
        Some(Protocol::P2p(other)) if other != id => Err(format!(
            "the address leads to peer {other}, not to the one that the file is named by"
        )),
        _ => Ok(Some(addr)),
    }
}

/// A line may be as long as the file.
fn clip(text: &str) -> String {
    text.chars().take(128).collect()
}
