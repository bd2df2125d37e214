//! Guests that make work for others: cells, and programs to compile.

use ww_core::cell::Limit;
use ww_image::Image;
use ww_loader::Memory;

use crate::case::{Case, Fate};

pub(crate) fn cases() -> Vec<Case> {
    let nests = |what, fate| Case::of(what, example_images::wasm("nests"), fate).spawns();
    vec![
        nests("cells without end", Fate::Spins)
            .set(|builder| {
                let child = example_images::wasm("echo-child");
                builder
                    .image(image("svc/echo-child/bin/main.wasm", child))
                    .args(["flood"])
            })
            .refused(Limit::Children),
        nests("compilations without end", Fate::Spins)
            .set(|builder| {
                builder
                    .image(image("etc/program.wasm", program()))
                    .args(["compile"])
            })
            .refused(Limit::Compilations),
    ]
}

fn image(path: &str, file: Vec<u8>) -> Image {
    Image::from(Memory::files([(path, file)]).expect("it is a path"))
}

/// What takes the compiler a while, and cannot be run: so no runtime keeps it.
fn program() -> Vec<u8> {
    let code = "(drop (i32.mul (i32.const 7) (i32.clz (local.get 0))))".repeat(100);
    let text = format!("(component (core module (func (param i32) {code})))");
    wat::parse_str(text).expect("this is a component")
}
