//! What runs on top of a vat: it holds capabilities of the peer's, calls them
//! in every way, and changes its mind.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Context;

use capnp::capability::{Client, FromClientHook};
use ww_membrane::Membrane;
use ww_rpc::Vat;
use ww_rpc::cell_capnp::program;
use ww_rpc::peer_capnp::{byte_stream, executor, process};

use crate::chance::Chance;
use crate::node::{self, Nodes};

type Call = Pin<Box<dyn Future<Output = Result<(), capnp::Error>>>>;

pub(crate) struct App {
    nodes: Nodes,
    /// Stands between the application and the peer.
    membrane: Membrane,
    held: Rc<RefCell<Vec<Client>>>,
    calls: Vec<(&'static str, Call)>,
}

impl App {
    pub(crate) fn new(nodes: &Nodes, membrane: Membrane) -> Self {
        Self {
            nodes: nodes.clone(),
            membrane,
            held: Rc::default(),
            calls: Vec::new(),
        }
    }

    /// Does one thing.
    pub(crate) fn act(&mut self, chance: &mut Chance, vat: &mut Vat) {
        let Some(held) = self.pick(chance) else {
            self.bootstrap(vat);
            return;
        };
        match chance.below(24) {
            0 => self.bootstrap(vat),
            1..6 => {
                let executor: executor::Client = cast(&held);
                let mut request = executor.echo_request();
                request.get().set_message("hello");
                let call = request.send().promise;
                self.calls.push((
                    "echo",
                    Box::pin(async move {
                        call.await?.get()?.get_response()?.to_str()?;
                        Ok(())
                    }),
                ));
            }
            6..9 => {
                let executor: executor::Client = cast(&held);
                let call = executor.compile_request().send();
                self.hold(call.pipeline.get_program());
                self.calls.push((
                    "compile",
                    Box::pin(async move {
                        call.promise.await?.get()?.get_program()?;
                        Ok(())
                    }),
                ));
            }
            9..13 => {
                let program: program::Client = cast(&held);
                let mut request = program.spawn_request();
                let given = match chance.one_in(2) {
                    true => node::untyped(self.nodes.executor()),
                    false => self.pick(chance).unwrap_or(held),
                };
                request.get().init_options().init_args(chance.small(2));
                request.get().init_bootstrap().set_as_capability(given.hook);
                let call = request.send();
                self.hold(call.pipeline.get_process());
                self.calls.push((
                    "spawn",
                    Box::pin(async move {
                        call.promise.await?.get()?.get_process()?;
                        Ok(())
                    }),
                ));
            }
            13..16 => {
                let process: process::Client = cast(&held);
                let call = process.bootstrap_request().send();
                let pipelined = Client::new(call.pipeline.get_cap().as_cap());
                self.hold(pipelined);
                let kept = self.held.clone();
                self.calls.push((
                    "bootstrap",
                    Box::pin(async move {
                        let hook = call.promise.await?.get()?.get_cap().get_as_capability()?;
                        kept.borrow_mut().push(hook);
                        Ok(())
                    }),
                ));
            }
            16 => {
                let process: process::Client = cast(&held);
                let call = process.wait_request().send().promise;
                self.calls
                    .push(("wait", Box::pin(async move { call.await.map(|_| ()) })));
            }
            17 => {
                let stream: byte_stream::Client = cast(&held);
                let mut request = stream.push_request();
                request.get().set_data(b"pushed");
                self.calls.push(("push", Box::pin(request.send())));
            }
            18..21 => {
                let at = chance.below(self.held.borrow().len());
                let dropped = self.held.borrow_mut().swap_remove(at);
                drop(dropped);
            }
            _ => {
                if !self.calls.is_empty() {
                    let at = chance.below(self.calls.len());
                    drop(self.calls.swap_remove(at));
                }
            }
        }
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) {
        self.calls
            .retain_mut(|(_, call)| call.as_mut().poll(cx).is_pending());
    }

    /// Calls that have not ended.
    pub(crate) fn waiting(&self) -> Vec<&'static str> {
        self.calls.iter().map(|(name, _)| *name).collect()
    }

    fn bootstrap(&self, vat: &mut Vat) {
        let theirs: Client = vat.bootstrap();
        self.hold(self.membrane.wrap_reverse(theirs));
    }

    fn hold(&self, client: impl FromClientHook) {
        self.held.borrow_mut().push(node::untyped(client));
    }

    fn pick(&self, chance: &mut Chance) -> Option<Client> {
        let held = self.held.borrow();
        held.get(chance.below(held.len())).cloned()
    }
}

fn cast<C: FromClientHook>(client: &Client) -> C {
    C::new(client.hook.add_ref())
}
