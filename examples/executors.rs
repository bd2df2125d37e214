//! One cell, the same source, under three executors: tokio, smol, and a bare
//! `block_on`. Each time it is driven by the executor itself, on this thread.
//!
//! ```sh
//! cargo run -p ww-examples --bin executors
//! ```

use ww_core::cell::Builder;

/// Knows of no executor, and starts no thread for the cell.
async fn greet(whom: &str) -> Result<i32, ww_core::Error> {
    let (cell, start) = Builder::new()
        .image(example_images::path("hello"))
        .args([whom])
        .inherit_output()
        .prepare()
        .await?;
    start.drive().await;
    Ok(cell.wait().await?.code())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let tokio = tokio::runtime::Builder::new_current_thread().build()?;
    let codes = [
        tokio.block_on(greet("tokio"))?,
        smol::block_on(greet("smol"))?,
        futures_lite::future::block_on(greet("block_on"))?,
    ];
    assert_eq!(codes, [0, 0, 0]);
    Ok(())
}
