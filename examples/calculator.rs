//! A calculator that one cell exports, used by the host and by another cell.
//! Both make all their calls at once, on values that are still to be answered,
//! and wait for the last.
//!
//! ```sh
//! cargo run -p ww-examples --bin calculator
//! ```

mod beside;

use example_services::calculator_capnp::{calculator, value};
use ww_core::cell::{Builder, Input, Local};

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

/// On the thread of the calculator's cell, where its capabilities are.
async fn calculate(local: Local) -> Result<(f64, String), ww_core::Error> {
    let calculator: calculator::Client = local.exported();

    let [two, three, four] = [2.0, 3.0, 4.0].map(|value| number(&calculator, value));
    let total = times(&plus(&two, three), four);
    let response = total.read_request().send().promise.await?;
    let total = response.get()?.get_number();

    let executor = beside::executor(&local)?;
    let squares = beside::run(&executor, "squares", &["1", "2", "3"], calculator).await?;
    Ok((total, squares))
}

async fn host() -> Result<String, ww_core::Error> {
    let cell = Builder::new()
        .image(example_images::path("calculator"))
        .stdin(Input::piped())
        .spawn()
        .await?;
    let (total, squares) = cell.with(calculate).await?;
    Ok(format!("(2 + 3) * 4 = {total}\n1² + 2² + 3² = {squares}"))
}

#[allow(clippy::print_stdout, reason = "the results are the point")]
fn main() -> Result<(), ww_core::Error> {
    print!("{}", futures_lite::future::block_on(host())?);
    Ok(())
}
