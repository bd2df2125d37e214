use std::sync::Arc;

use async_trait::async_trait;

use crate::{Error, Node, Path};

/// Files by path from somewhere.
///
/// - The root is a directory, even where nothing is in it.
/// - `open` gives the node that stands at the path itself. It follows no
///   symbolic link, neither the last component nor one on the way.
/// - What is absent is [`Error::NotFound`], and that alone: a source that
///   cannot be asked, or does not answer, is another error.
/// - Where an ancestor of the path is a file or a link, the error is
///   [`Error::NotDirectory`] and names the topmost such ancestor.
/// - What a directory lists can be opened, and has the kind that was listed,
///   as long as the source stays the same.
/// - A link keeps the text it has in the source, and tells what that means from
///   the root of the loader. One that leads out of the tree is an error.
/// - Calls may run at once, on any executor, and may be dropped at any time.
///
/// The suite in [`contract`](crate::contract) checks a loader for these.
///
/// A loader of one's own:
///
/// ```
/// use std::sync::Arc;
/// use ww_loader::{async_trait, Bytes, Error, Loader, LoaderExt, Node, Path};
///
/// /// Has one file, whatever its path.
/// struct Everywhere(Bytes);
///
/// #[async_trait]
/// impl Loader for Everywhere {
///     async fn open(&self, _: &Path) -> Result<Node, Error> {
///         Ok(Node::File(Arc::new(self.0.clone())))
///     }
/// }
///
/// # futures_lite::future::block_on(async {
/// let loader = Everywhere(Bytes::from_static(b"here"));
/// assert_eq!(loader.load(&Path::new("a/b")?, 1024).await?, "here");
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
#[async_trait]
pub trait Loader: Send + Sync {
    /// What stands at `path`.
    ///
    /// # Errors
    ///
    /// As the contract above says.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect beyond work already begun.
    async fn open(&self, path: &Path) -> Result<Node, Error>;
}

macro_rules! forward {
    ($($of:ty),*) => {$(
        #[async_trait]
        impl<L: Loader + ?Sized> Loader for $of {
            async fn open(&self, path: &Path) -> Result<Node, Error> {
                (**self).open(path).await
            }
        }
    )*};
}

forward!(&L, Arc<L>, Box<L>);
