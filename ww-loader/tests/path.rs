//! Paths: what is accepted, what is refused, and what it all means.

use ww_loader::{Path, PathError};

#[test]
fn texts_are_normalised() {
    let cases = [
        ("", ""),
        (".", ""),
        ("./", ""),
        ("a", "a"),
        ("a/", "a"),
        ("./a//b/./c/", "a/b/c"),
        (".hidden/...", ".hidden/..."),
        ("a b/\u{e9}", "a b/\u{e9}"),
        ("a\\b", "a\\b"),
    ];
    for (text, normal) in cases {
        assert_eq!(Path::new(text).unwrap().as_str(), normal, "{text:?}");
    }
}

#[test]
fn texts_that_are_no_paths_are_refused_with_the_reason() {
    let long_name = "x".repeat(Path::MAX_COMPONENT + 1);
    let long_path = "x/".repeat(Path::MAX_LEN);
    let cases = [
        ("/etc", "absolute"),
        ("..", "`..`"),
        ("a/../b", "`..`"),
        ("a\0b", "NUL"),
        (&long_name, "255 bytes"),
        (&long_path, "4096 bytes"),
    ];
    for (text, reason) in cases {
        let error = Path::new(text).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
        assert!(error.len() < 500, "an error quotes a bounded part: {error}");
    }
    let error = Path::from_bytes(b"caf\xe9").unwrap_err();
    assert!(matches!(error, PathError::NotUtf8 { .. }));
}

#[test]
fn texts_resolve_inside_the_tree_or_not_at_all() {
    let cases = [
        ("usr/lib", "x", Some("usr/lib/x")),
        ("usr/lib", "../share/x", Some("usr/share/x")),
        ("usr/lib", "../..", Some("")),
        ("usr/lib", "../../..", None),
        ("usr/lib", "/etc", Some("etc")),
        ("usr/lib", "/..", None),
        ("", "..", None),
        ("", "a/..", Some("")),
        ("a", "../../a", None),
    ];
    for (dir, text, resolved) in cases {
        let seen = Path::new(dir).unwrap().resolve(text);
        match resolved {
            Some(path) => assert_eq!(seen.unwrap().as_str(), path, "{text} in {dir}"),
            None => assert!(
                matches!(seen, Err(PathError::Escape { .. })),
                "{text} in {dir}"
            ),
        }
    }
}

#[test]
fn paths_come_apart_and_together() {
    let path = Path::new("a/bc/d").unwrap();
    assert_eq!(path.name(), Some("d"));
    assert_eq!(path.parent(), Path::new("a/bc").ok());
    assert_eq!(Path::root().parent(), None);
    assert_eq!(Path::root().components().count(), 0);
    let prefixes: Vec<_> = (0..5).map(|count| path.prefix(count).to_string()).collect();
    assert_eq!(prefixes, [".", "a", "a/bc", "a/bc/d", "a/bc/d"]);
    let below = |base| {
        path.below(&Path::new(base).unwrap())
            .map(|rest| rest.to_string())
    };
    assert_eq!(below("a"), Some("bc/d".into()));
    assert_eq!(below("a/b"), None);
    assert_eq!(below(""), Some("a/bc/d".into()));
    assert_eq!(below("a/bc/d"), Some(".".into()));
    let long = Path::new(&"x/".repeat(1500)).unwrap();
    assert!(matches!(long.join(&long), Err(PathError::TooLong { .. })));
}
