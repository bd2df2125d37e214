//! A calculator that one cell exports, used by the host and by another cell.
//! Both make all their calls at once, on values that are still to be answered,
//! and wait for the last.
//!
//! ```sh
//! cargo run -p ww-examples --bin calculator
//! ```

use example_services::calculator_capnp::{calculator, value};
use futures_lite::AsyncReadExt;
use ww_core::Error;
use ww_core::cell::{Builder, Output};

fn number(calculator: &calculator::Client, number: f64) -> value::Client {
    let mut request = calculator.number_request();
    request.get().set_number(number);
    request.send().pipeline.get_value()
}

fn plus(one: &value::Client, other: value::Client) -> value::Client {
    let mut request = one.plus_request();
    request.get().set_other(other);
    request.send().pipeline.get_value()
}

fn times(one: &value::Client, other: value::Client) -> value::Client {
    let mut request = one.times_request();
    request.get().set_other(other);
    request.send().pipeline.get_value()
}

async fn host() -> Result<String, Error> {
    let service = Builder::new().image(example_images::path("calculator"));
    let service = service.spawn().await?;
    let calculator = service.exported::<calculator::Client>();

    let total = calculator.call(async |calculator| {
        let [two, three, four] = [2.0, 3.0, 4.0].map(|value| number(&calculator, value));
        let total = times(&plus(&two, three), four);
        let response = total.read_request().send().promise.await?;
        Ok(response.get()?.get_number())
    });
    let total = total.await?;

    // A cell that has the calculator, and nothing else.
    let squares = Builder::new()
        .image(example_images::path("squares"))
        .args(["1", "2", "3"])
        .stdout(Output::piped())
        .bootstrap(move |local| Ok(calculator.bridge(local)))
        .spawn()
        .await?;
    let mut sum = String::new();
    if let Some(mut stdout) = squares.take_stdout() {
        // Where that fails, so does the cell.
        let _ = stdout.read_to_string(&mut sum).await;
    }
    squares.wait().await?;

    service.shut_down();
    service.wait().await?;
    Ok(format!("(2 + 3) * 4 = {total}\n1² + 2² + 3² = {sum}"))
}

#[allow(clippy::print_stdout, reason = "the results are the point")]
fn main() -> Result<(), Error> {
    print!("{}", futures_lite::future::block_on(host())?);
    Ok(())
}
