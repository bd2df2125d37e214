use ww_loader::{Kind, Path};

use crate::{Error, Image, Layer};

/// A directory of an image, merged from all layers that have it.
///
/// It holds nothing open; each listing asks the layers again.
#[derive(Clone, Debug)]
pub struct Dir {
    pub(crate) image: Image,
    pub(crate) path: Path,
    pub(crate) layers: Vec<Layer>,
}

/// One name in a directory of an image.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The name: one component of a path.
    pub name: String,
    /// What it names.
    pub kind: Kind,
    /// The layers that have the name, lowest first. A directory is merged from
    /// all of them; a file or link comes from the last.
    pub layers: Vec<Layer>,
}

impl Dir {
    /// Where the directory stands, with every link on the way followed.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The layers that have the directory, lowest first; none for the root of
    /// an image without layers.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// What is in the directory, sorted by name.
    ///
    /// # Errors
    ///
    /// As [`Image::read_dir`].
    pub async fn read(&self) -> Result<Vec<Entry>, Error> {
        self.image.read_dir(&self.path).await
    }
}
