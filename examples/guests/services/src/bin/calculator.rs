//! Exports a calculator, for as long as its host has it.

use std::future::pending;
use std::rc::Rc;

use example_services::calculator_capnp::{calculator, value};
use ww_guest_sdk::capnp::{self, capability::Client};
use ww_guest_sdk::{capnp_rpc, serve};

struct Calculator;

impl calculator::Server for Calculator {
    async fn number(
        self: Rc<Self>,
        params: calculator::NumberParams,
        mut results: calculator::NumberResults,
    ) -> Result<(), capnp::Error> {
        let value = Value::client(params.get()?.get_number());
        results.get().set_value(value);
        Ok(())
    }
}

struct Value(f64);

impl Value {
    fn client(number: f64) -> value::Client {
        capnp_rpc::new_client(Self(number))
    }
}

async fn read(value: value::Client) -> Result<f64, capnp::Error> {
    let response = value.read_request().send().promise.await?;
    Ok(response.get()?.get_number())
}

impl value::Server for Value {
    async fn read(
        self: Rc<Self>,
        _: value::ReadParams,
        mut results: value::ReadResults,
    ) -> Result<(), capnp::Error> {
        results.get().set_number(self.0);
        Ok(())
    }

    async fn plus(
        self: Rc<Self>,
        params: value::PlusParams,
        mut results: value::PlusResults,
    ) -> Result<(), capnp::Error> {
        let other = read(params.get()?.get_other()?).await?;
        results.get().set_value(Self::client(self.0 + other));
        Ok(())
    }

    async fn times(
        self: Rc<Self>,
        params: value::TimesParams,
        mut results: value::TimesResults,
    ) -> Result<(), capnp::Error> {
        let other = read(params.get()?.get_other()?).await?;
        results.get().set_value(Self::client(self.0 * other));
        Ok(())
    }
}

#[ww_guest_sdk::main]
async fn main(_: Client) -> Result<(), capnp::Error> {
    let calculator: calculator::Client = capnp_rpc::new_client(Calculator);
    serve(calculator, pending::<()>()).await?;
    Ok(())
}
