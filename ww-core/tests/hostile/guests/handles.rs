//! After the host's tables: one handle after the other, none of them dropped.

use ww_core::cell::Limit;
use ww_image::Image;
use ww_loader::Memory;

use crate::case::{Case, Fate};

pub(crate) fn cases() -> Vec<Case> {
    let take = |what, call: &str| {
        let core =
            format!(r#"(func (export "run") (result i32) (loop {call} (br 0)) unreachable)"#);
        Case::new(what, &core, Fate::Exceeds(Limit::Handles))
    };
    vec![
        take("streams without end", "(drop (call $stdout))"),
        take(
            "pollables without end",
            "(drop (call $after (i64.const -1)))",
        ),
        take(
            "pollables of one stream without end",
            "(drop (call $readable (call $stdin)))",
        ),
        take(
            "descriptors without end",
            "(call $directories (i32.const 16))",
        )
        .set(|builder| builder.image(empty_image())),
    ]
}

fn empty_image() -> Image {
    let files = Memory::files([("etc/motd", "nothing")]);
    Image::from(files.expect("this is a path"))
}
