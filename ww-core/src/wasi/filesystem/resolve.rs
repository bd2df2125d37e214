use ww_image::{Error, Image, Node, Path};

use super::code;
use crate::wasi::wit::filesystem::types::ErrorCode;

/// What a path leads to.
pub(super) enum Found {
    Node(Node),
    /// Where links are not followed, one that leads out of the image: at this path.
    Astray(Path),
}

impl Found {
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Node(node) => node.path(),
            Self::Astray(path) => path,
        }
    }
}

/// What `path` leads to from the directory `base`, which it cannot leave:
/// neither by `..`, nor as an absolute path, nor through a link.
///
/// A link at the end is followed where `follow` says so or the path ends like a
/// directory's. A path without `..` asks the image once.
pub(super) async fn resolve(
    image: &Image,
    base: &Path,
    path: &str,
    follow: bool,
) -> Result<Found, ErrorCode> {
    let mut left = steps(path)?;
    let mut here = base.clone();
    loop {
        let there = run(&mut left, &here)?;
        let next = left.pop();
        let found = match next {
            None if !follow => unfollowed(image, &there).await,
            _ => image.open(&there).await.map(Found::Node),
        };
        let found = found.map_err(|error| code(&error))?;
        if found.path().below(base).is_none() {
            return Err(ErrorCode::NotPermitted);
        }
        match (found, next) {
            (found, None) => return Ok(found),
            (Found::Node(node @ Node::Dir(_)), Some(Step::Here)) => return Ok(Found::Node(node)),
            (Found::Node(Node::Dir(dir)), Some(Step::Up)) if dir.path() != base => {
                here = dir.path().parent().ok_or(ErrorCode::NotPermitted)?;
            }
            (Found::Node(Node::Dir(_)), Some(_)) => return Err(ErrorCode::NotPermitted),
            (_, Some(_)) => return Err(ErrorCode::NotDirectory),
        }
    }
}

/// What stands at `path`: where that is a link, the link.
async fn unfollowed(image: &Image, path: &Path) -> Result<Found, Error> {
    let error = match image.open_link(path).await {
        Ok(node) => return Ok(Found::Node(node)),
        Err(error) => error,
    };
    // Where the way to it can be followed, it is the last link that leads out.
    if let ErrorCode::NotPermitted = code(&error)
        && let (Some(dir), Some(name)) = (path.parent(), path.name())
        && let Ok(Node::Dir(dir)) = image.open(&dir).await
    {
        return Ok(Found::Astray(dir.path().resolve(name)?));
    }
    Err(error)
}

enum Step<'a> {
    /// Nothing, but what stands before it must be a directory.
    Here,
    Up,
    Into(&'a str),
}

/// Refuses what no file system here takes as a path.
pub(super) fn check(path: &str) -> Result<(), ErrorCode> {
    match path {
        "" => Err(ErrorCode::NoEntry),
        _ if path.starts_with('/') => Err(ErrorCode::NotPermitted),
        _ if path.contains('\0') => Err(ErrorCode::Invalid),
        _ if path.len() > Path::MAX_LEN => Err(ErrorCode::NameTooLong),
        _ => Ok(()),
    }
}

/// The steps of `path`, the first one last.
fn steps(path: &str) -> Result<Vec<Step<'_>>, ErrorCode> {
    check(path)?;
    let steps = path.rsplit('/').map(|name| match name {
        "" | "." => Step::Here,
        ".." => Step::Up,
        name => Step::Into(name),
    });
    Ok(steps.collect())
}

/// Takes the names up to the next `..` or to the end, and gives the path they
/// lead to. What makes the last of them a directory is left behind.
fn run(left: &mut Vec<Step<'_>>, here: &Path) -> Result<Path, ErrorCode> {
    let mut names = Vec::new();
    while let Some(step) = left.pop() {
        match step {
            Step::Into(name) => names.push(name),
            Step::Here if !left.is_empty() => {}
            step => {
                left.push(step);
                break;
            }
        }
    }
    here.resolve(&names.join("/"))
        .map_err(|_| ErrorCode::NameTooLong)
}

#[cfg(test)]
mod tests {
    use futures_lite::future::block_on;
    use ww_loader::Memory;

    use super::*;

    fn image() -> Image {
        let mut tree = Memory::files([("etc/motd", "hello"), ("a/b/c", "deep")]).expect("paths");
        for (at, target) in [
            ("motd", "etc/motd"),
            ("self", "self"),
            ("dangling", "nowhere"),
            ("abs", "/etc"),
            ("a/in", "b"),
            ("a/out", "../etc"),
        ] {
            let at = Path::new(at).expect("a path");
            tree.link(&at, target).expect("a link");
        }
        Image::from(tree)
    }

    fn told(image: &Image, base: &str, path: &str, follow: bool) -> String {
        let base = Path::new(base).expect("a path");
        match block_on(resolve(image, &base, path, follow)) {
            Ok(Found::Node(node)) => format!("{} {}", node.kind(), node.path()),
            Ok(Found::Astray(path)) => format!("astray {path}"),
            Err(code) => format!("{code:?}"),
        }
    }

    #[test]
    fn a_path_leads_where_it_says_and_never_out_of_its_base() {
        use ErrorCode::*;
        let image = image();
        let ok = |text: &str| text.to_owned();
        let no = |code: ErrorCode| format!("{code:?}");
        let long = "n".repeat(256);
        for (base, path, expected) in [
            ("", "etc/motd", ok("file etc/motd")),
            ("", "etc", ok("directory etc")),
            ("", "etc/", ok("directory etc")),
            ("", "./etc//.", ok("directory etc")),
            ("", ".", ok("directory .")),
            ("", "etc/..", ok("directory .")),
            ("", "etc/../etc/motd", ok("file etc/motd")),
            ("", "motd", ok("file etc/motd")),
            ("", "abs/motd", ok("file etc/motd")),
            ("", "a/out/motd", ok("file etc/motd")),
            ("", "a/out/../a/in/c", ok("file a/b/c")),
            ("a", "in/c", ok("file a/b/c")),
            ("a", "b/../b/c", ok("file a/b/c")),
            ("", "", no(NoEntry)),
            ("", "nothing", no(NoEntry)),
            ("", "nothing/..", no(NoEntry)),
            ("", "dangling", no(NoEntry)),
            ("", "self", no(Loop)),
            ("", "etc/motd/", no(NotDirectory)),
            ("", "etc/motd/.", no(NotDirectory)),
            ("", "etc/motd/x", no(NotDirectory)),
            ("", "etc/motd/..", no(NotDirectory)),
            ("", "motd/", no(NotDirectory)),
            ("", "/etc/motd", no(NotPermitted)),
            ("", "..", no(NotPermitted)),
            ("", "etc/../..", no(NotPermitted)),
            ("", "etc/../../etc/motd", no(NotPermitted)),
            ("a", "../etc/motd", no(NotPermitted)),
            ("a", "out/motd", no(NotPermitted)),
            ("", "etc\0", no(Invalid)),
            ("", &long, no(NameTooLong)),
        ] {
            assert_eq!(told(&image, base, path, true), expected, "{base}:{path:?}");
        }
    }

    #[test]
    fn the_last_link_alone_is_left_when_it_is_not_to_be_followed() {
        let image = image();
        for (path, expected) in [
            ("motd", "link motd"),
            ("self", "link self"),
            ("dangling", "link dangling"),
            ("a/out", "link a/out"),
            ("a/out/", "directory etc"),
            ("a/out/motd", "file etc/motd"),
        ] {
            assert_eq!(told(&image, "", path, false), expected, "{path:?}");
        }
    }
}
