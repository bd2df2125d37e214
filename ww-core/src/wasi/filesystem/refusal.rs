use ww_image::{Image, Node, Path};

use super::Failure;
use super::resolve::{Found, check, resolve};
use crate::wasi::wit::filesystem::types::ErrorCode;

/// Refuses to make anything at `path`, from the directory `base`: for what is in the
/// way in any case, and otherwise because an image is read only.
pub(super) async fn make(image: &Image, base: &Path, path: &str) -> Result<(), Failure> {
    vacant(image, base, path).await?;
    Err(ErrorCode::ReadOnly.into())
}

/// Refuses to change, move or remove what stands at `path`, in the same way.
pub(super) async fn change(
    image: &Image,
    base: &Path,
    path: &str,
    follow: bool,
) -> Result<(), Failure> {
    resolve(image, base, path, follow).await?;
    Err(ErrorCode::ReadOnly.into())
}

/// Refuses a path where something stands, and one whose directory is not there.
async fn vacant(image: &Image, base: &Path, path: &str) -> Result<(), ErrorCode> {
    check(path)?;
    // A link at the end is not followed, whatever the path ends like.
    let path = path.trim_end_matches('/');
    match resolve(image, base, path, false).await {
        Ok(_) => return Err(ErrorCode::Exist),
        Err(ErrorCode::NoEntry) => {}
        Err(code) => return Err(code),
    }
    let dir = path.rsplit_once('/').map_or(".", |(dir, _)| dir);
    match resolve(image, base, dir, true).await? {
        Found::Node(Node::Dir(_)) => Ok(()),
        _ => Err(ErrorCode::NotDirectory),
    }
}

#[cfg(test)]
mod tests {
    use futures_lite::future::block_on;
    use ww_loader::Memory;

    use super::*;

    fn image() -> Image {
        let mut tree = Memory::files([("etc/motd", "hello")]).expect("paths");
        for (at, target) in [("dangling", "nowhere"), ("way", "etc")] {
            let at = Path::new(at).expect("a path");
            tree.link(&at, target).expect("a link");
        }
        Image::from(tree)
    }

    fn code(refused: Result<(), Failure>) -> ErrorCode {
        match refused {
            Err(Failure::Code(code)) => code,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn nothing_is_made_for_the_reason_that_comes_first() {
        use ErrorCode::*;
        let image = image();
        for (path, expected) in [
            ("new", ReadOnly),
            ("new/", ReadOnly),
            ("etc/new", ReadOnly),
            ("way/../new", ReadOnly),
            ("way/new", ReadOnly),
            ("etc", Exist),
            ("etc/", Exist),
            ("etc/.", Exist),
            (".", Exist),
            ("etc/motd", Exist),
            ("etc/motd/", Exist),
            ("dangling", Exist),
            ("dangling/", Exist),
            ("dangling/new", NoEntry),
            ("nothing/new", NoEntry),
            ("nothing/.", NoEntry),
            ("nothing/..", NoEntry),
            ("", NoEntry),
            ("etc/motd/new", NotDirectory),
            ("/new", NotPermitted),
            ("/", NotPermitted),
            ("../new", NotPermitted),
            ("new\0", Invalid),
        ] {
            let told = block_on(make(&image, &Path::root(), path));
            assert_eq!(code(told), expected, "{path:?}");
        }
    }

    #[test]
    fn what_is_there_is_read_only() {
        use ErrorCode::*;
        let image = image();
        for (path, follow, expected) in [
            ("etc/motd", false, ReadOnly),
            ("etc", false, ReadOnly),
            ("dangling", false, ReadOnly),
            ("dangling", true, NoEntry),
            ("nothing", false, NoEntry),
            ("etc/motd/", false, NotDirectory),
            ("..", false, NotPermitted),
        ] {
            let told = block_on(change(&image, &Path::root(), path, follow));
            assert_eq!(code(told), expected, "{path:?}");
        }
    }
}
