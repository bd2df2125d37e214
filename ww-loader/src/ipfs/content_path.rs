use std::fmt;
use std::str::FromStr;

use super::Error;
use crate::Path;
use crate::ipld::Cid;

/// An immutable path: `/ipfs/<cid>`, or `/ipfs/<cid>/<path>`.
///
/// Nothing in it is percent-encoded: a `%` is a character of a name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IpfsPath {
    /// The root of the tree.
    pub cid: Cid,
    /// Where in the tree.
    pub path: Path,
}

impl FromStr for IpfsPath {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let fault = |reason: String| Error::Path {
            text: text.chars().take(Path::MAX_COMPONENT).collect(),
            reason,
        };
        let rest = text
            .strip_prefix("/ipfs/")
            .ok_or_else(|| fault("it does not begin with /ipfs/".into()))?;
        let (cid, path) = rest.split_once('/').unwrap_or((rest, ""));
        let cid = cid.parse().map_err(|error| fault(format!("{error}")))?;
        let path =
            Path::new(path.trim_start_matches('/')).map_err(|error| fault(error.to_string()))?;
        Ok(Self { cid, path })
    }
}

impl From<Cid> for IpfsPath {
    fn from(cid: Cid) -> Self {
        let path = Path::root();
        Self { cid, path }
    }
}

impl fmt::Display for IpfsPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.is_root() {
            true => write!(f, "/ipfs/{}", self.cid),
            false => write!(f, "/ipfs/{}/{}", self.cid, self.path),
        }
    }
}
