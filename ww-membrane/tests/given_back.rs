//! What a peer is given back that is its own, as the host has it still to come:
//! calls on it wait for one another no deeper than a stack goes, and none waits for
//! itself.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use capnp::Error;
use capnp::capability::{Client, FromClientHook};
use capnp::traits::HasTypeId;
use capnp_rpc::rpc_capnp::{cap_descriptor, message, return_};
use support::hostile::Hosted;
use support::said::*;
use support::*;
use ww_membrane::Membrane;
use ww_rpc::cell_capnp::program;
use ww_rpc::peer_capnp::{host, process};

/// Whose bootstrap gives back what it is given.
fn hosted() -> Hosted {
    hosting(capnp_rpc::new_client(Keeper(Seen::default())))
}

fn hosting(inside: program::Client) -> Hosted {
    let wrapped = Membrane::ungated().wrap(inside);
    let mut hosted = Hosted::new(Some(Client::new(wrapped.as_client_hook().add_ref())));
    hosted.say(bootstrap());
    hosted
}

/// What was answered since it was last asked, by question: the first capability's id,
/// or an error.
fn answers(hosted: &mut Hosted) -> BTreeMap<u32, Result<u32, String>> {
    let mut heard = BTreeMap::new();
    hosted.heard(|message| {
        let Ok(message::Return(Ok(answer))) = message.which() else {
            return;
        };
        let outcome = match answer.which().unwrap() {
            return_::Results(results) => {
                let table = results.unwrap().get_cap_table().unwrap();
                match table.get(0).which().unwrap() {
                    cap_descriptor::SenderPromise(id) | cap_descriptor::SenderHosted(id) => Ok(id),
                    _ => Err("a capability of the peer's".into()),
                }
            }
            return_::Exception(error) => {
                Err(error.unwrap().get_reason().unwrap().to_string().unwrap())
            }
            _ => Err("something else".into()),
        };
        heard.insert(answer.get_answer_id(), outcome);
    });
    heard
}

/// Gives a promise of what it has, for which it waits until what it is given resolves.
struct Patient(Seen);

struct Waits(RefCell<Option<host::Client>>);

impl program::Server for Patient {
    async fn spawn(
        self: Rc<Self>,
        params: program::SpawnParams,
        mut results: program::SpawnResults,
    ) -> Result<(), Error> {
        let given: host::Client = params.get()?.get_bootstrap().get_as_capability()?;
        let seen = self.0.clone();
        let promise = capnp_rpc::new_future_client(async move {
            given.client.when_resolved().await?;
            Ok(peer(&seen))
        });
        let waits = Waits(RefCell::new(Some(promise)));
        results.get().set_process(capnp_rpc::new_client(waits));
        Ok(())
    }
}

impl process::Server for Waits {
    async fn bootstrap(
        self: Rc<Self>,
        _: process::BootstrapParams,
        mut results: process::BootstrapResults,
    ) -> Result<(), Error> {
        let promise = self.0.take();
        let promise = promise.ok_or_else(|| Error::failed("it was given already".into()))?;
        results
            .get()
            .init_cap()
            .set_as_capability(promise.client.hook);
        Ok(())
    }
}

#[test]
fn calls_on_promises_that_wait_for_one_another_are_bounded() {
    for (links, patient) in [(0, false), (29, false), (0, true), (29, true)] {
        let chain = move || {
            let mut hosted = if patient {
                hosting(capnp_rpc::new_client(Patient(Seen::default())))
            } else {
                hosted()
            };
            hosted.say([spawn(1, 1), give_back(2, 1)].concat());
            let mut promise = answers(&mut hosted).remove(&2).unwrap().unwrap();
            for id in (3..3 + 4000 * 40).step_by(40) {
                // It waits for the peer, which does not answer, and so does what is
                // pipelined on it.
                hosted.say(executor_of(id, promise));
                for link in 0..links {
                    hosted.say(call_on(id + link + 1, id + link, host::Client::TYPE_ID, 4));
                }
                let last = id + links;
                hosted.say([spawn_of(id + 38, last), give_back(id + 39, id + 38)].concat());
                assert!(hosted.ended.is_none());
                let mut answers = answers(&mut hosted);
                if let Some(failed) = answers.remove(&id) {
                    return failed.unwrap_err();
                }
                promise = answers.remove(&(id + 39)).unwrap().unwrap();
                hosted.say([keep_and_finish(id + 38), keep_and_finish(id + 39)].concat());
            }
            panic!("there is no end of it");
        };
        let thread = thread::Builder::new().stack_size(2 << 20);
        let error = thread.spawn(chain).unwrap().join().unwrap();
        assert!(
            error.contains("in a row"),
            "{links} links, {patient}: {error}"
        );
    }
}

/// Question `id`: a call of `export` with the first field of answer `answer`.
fn hand(id: u32, export: u32, answer: u32) -> Vec<u8> {
    rpc(|message| {
        let mut call = message.init_call();
        call.set_question_id(id);
        call.set_interface_id(program::Client::TYPE_ID);
        call.reborrow().init_target().set_imported_cap(export);
        of_answer(call.init_params(), answer, |content| {
            let params: program::spawn_params::Builder<'_> = content.init_as();
            params.init_bootstrap().set_as_capability(stand_in());
        });
    })
}

/// Answers question `id`, `Host.executor`, with what `describe` says that it is.
fn answer_with(id: u32, describe: impl FnOnce(cap_descriptor::Builder<'_>)) -> Vec<u8> {
    rpc(|message| {
        let mut said = message.init_return();
        said.set_answer_id(id);
        of(said.init_results(), describe, |content| {
            let mut results: host::executor_results::Builder<'_> = content.init_as();
            results.set_executor(FromClientHook::new(stand_in()));
        });
    })
}

#[test]
fn a_call_that_is_given_the_promise_of_its_own_answer_hangs_nobody() {
    for (case, called, later) in [
        ("at once", false, false),
        ("once it is called", true, false),
        ("by a promise", false, true),
    ] {
        let (told, ended) = mpsc::channel();
        thread::spawn(move || {
            let mut hosted = hosted();
            hosted.say([spawn(1, 1), give_back(2, 1)].concat());
            let export = answers(&mut hosted).remove(&2).unwrap().unwrap();
            hosted.say(resolves(1, |resolve| {
                resolve.init_cap().set_sender_hosted(50)
            }));
            // Both are for the peer to answer, and the second has a promise of what
            // that answers to the first.
            hosted.say([executor_of(3, export), hand(4, export, 3)].concat());
            let mut asked = Vec::new();
            hosted.heard(|message| {
                if let Ok(message::Call(Ok(call))) = message.which() {
                    let table = call.get_params().unwrap().get_cap_table().unwrap();
                    let promise = table.iter().next().map(|cap| match cap.which().unwrap() {
                        cap_descriptor::SenderPromise(promise) => promise,
                        _ => panic!("not a promise"),
                    });
                    asked.push((call.get_question_id(), promise));
                }
            });
            let [(first, None), (_, Some(promise))] = asked[..] else {
                panic!("{asked:?}");
            };
            if called {
                hosted.say(executor_of(5, promise));
            }
            if later {
                hosted.say(answer_with(first, |mut cap| cap.set_sender_promise(77)));
                hosted.say(resolves(77, |resolve| {
                    resolve.init_cap().set_receiver_hosted(promise);
                }));
            } else {
                hosted.say(answer_with(first, |mut cap| {
                    cap.set_receiver_hosted(promise)
                }));
            }
            let _ = told.send(hosted.ended.map(|ended| ended.unwrap_err().extra));
        });
        let ended = ended.recv_timeout(Duration::from_secs(60));
        let error = ended.unwrap_or_else(|error| panic!("{case}: {error}"));
        assert!(
            error
                .as_ref()
                .is_some_and(|error| error.contains("has to answer itself")),
            "{case}: {error:?}"
        );
    }
}
