use std::cell::Cell;
use std::rc::Rc;

use super::Connection;
use super::client::Client;
use super::flow::Flow;

/// A capability of the peer's.
pub(super) struct Import {
    pub(super) connection: Rc<Connection>,
    pub(super) id: u32,
    /// How often the peer has sent it.
    references: Cell<u32>,
    pub(super) flow: Rc<Flow>,
}

impl Import {
    pub(super) fn new(connection: &Rc<Connection>, id: u32) -> Rc<Self> {
        let import = Rc::new(Self {
            connection: connection.clone(),
            id,
            references: Cell::new(0),
            flow: Rc::default(),
        });
        Client::Import(import.clone()).register();
        import
    }

    pub(super) fn add_reference(&self) {
        self.references.set(self.references.get().saturating_add(1));
    }
}

impl Drop for Import {
    fn drop(&mut self) {
        let address = std::ptr::from_ref(self) as usize;
        self.connection.forget_client(address);
        self.connection
            .release_import(self.id, self.references.get());
    }
}
