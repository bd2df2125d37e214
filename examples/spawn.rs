//! The whole of it: an image, a cell, its exit code.
//!
//! ```sh
//! cargo run -p ww-examples --bin spawn
//! ```

use ww_core::cell::Builder;

async fn hello() -> Result<i32, ww_core::Error> {
    let image = example_images::path("hello");
    let cell = Builder::new().image(image).inherit_output().spawn().await?;
    Ok(cell.wait().await?.code())
}

fn main() -> Result<(), ww_core::Error> {
    let code = futures_lite::future::block_on(hello())?;
    std::process::exit(code);
}
