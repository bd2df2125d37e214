//! Exports a store, for as long as its host has it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::pending;
use std::rc::Rc;

use example_services::store_capnp::store;
use ww_guest_sdk::capnp::{self, capability::Client};
use ww_guest_sdk::{capnp_rpc, serve};

/// What a store holds, all parts of it together.
type Values = Rc<RefCell<BTreeMap<String, String>>>;

/// The part of a store whose keys begin with `prefix`.
#[derive(Default)]
struct Store {
    values: Values,
    prefix: String,
}

impl Store {
    fn key(&self, key: capnp::text::Reader<'_>) -> Result<String, capnp::Error> {
        Ok(format!("{}{}", self.prefix, key.to_str()?))
    }
}

impl store::Server for Store {
    async fn get(
        self: Rc<Self>,
        params: store::GetParams,
        mut results: store::GetResults,
    ) -> Result<(), capnp::Error> {
        let key = params.get()?.get_key()?;
        match self.values.borrow().get(&self.key(key)?) {
            Some(value) => results.get().set_value(value),
            None => return Err(capnp::Error::failed(format!("no key {}", key.to_str()?))),
        }
        Ok(())
    }

    async fn put(
        self: Rc<Self>,
        params: store::PutParams,
        _: store::PutResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let (key, value) = (
            self.key(params.get_key()?)?,
            params.get_value()?.to_string()?,
        );
        self.values.borrow_mut().insert(key, value);
        Ok(())
    }

    async fn list(
        self: Rc<Self>,
        _: store::ListParams,
        mut results: store::ListResults,
    ) -> Result<(), capnp::Error> {
        let values = self.values.borrow();
        let keys: Vec<&str> = values
            .keys()
            .filter_map(|key| key.strip_prefix(&self.prefix))
            .collect();
        results.get().set_keys(&keys[..])
    }

    async fn within(
        self: Rc<Self>,
        params: store::WithinParams,
        mut results: store::WithinResults,
    ) -> Result<(), capnp::Error> {
        let part = Self {
            values: self.values.clone(),
            prefix: self.key(params.get()?.get_prefix()?)?,
        };
        results.get().set_store(capnp_rpc::new_client(part));
        Ok(())
    }
}

#[ww_guest_sdk::main]
async fn main(_: Client) -> Result<(), capnp::Error> {
    let store: store::Client = capnp_rpc::new_client(Store::default());
    serve(store, pending::<()>()).await?;
    Ok(())
}
