//! Sums the squares of its arguments with the calculator that it was handed,
//! and waits once: each call but the last is made on what another will answer.

use example_services::calculator_capnp::{calculator, value};
use ww_guest_sdk::Error;

fn number(calculator: &calculator::Client, number: f64) -> value::Client {
    let mut request = calculator.number_request();
    request.get().set_number(number);
    request.send().pipeline.get_value()
}

fn squared(value: value::Client) -> value::Client {
    let mut request = value.times_request();
    request.get().set_other(value);
    request.send().pipeline.get_value()
}

fn sum(one: value::Client, other: value::Client) -> value::Client {
    let mut request = one.plus_request();
    request.get().set_other(other);
    request.send().pipeline.get_value()
}

#[ww_guest_sdk::main]
async fn main(calculator: calculator::Client) -> Result<(), Error> {
    let mut total = number(&calculator, 0.0);
    for argument in std::env::args().skip(1) {
        total = sum(total, squared(number(&calculator, argument.parse()?)));
    }
    let response = total.read_request().send().promise.await?;
    println!("{}", response.get()?.get_number());
    Ok(())
}
