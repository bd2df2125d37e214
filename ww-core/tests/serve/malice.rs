//! A guest that says what would hang or break a host that had its capabilities
//! bare. The host holds them, calls them, hands them on and drops them, and
//! goes on.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use futures_lite::future::{or, yield_now};
use ww_rpc::cell_capnp::program;
use ww_rpc::peer_capnp::{byte_stream, host, process};

use crate::said::{
    answer_nothing, bootstrap, circles, finish, give_back, spawn, spawn_with_a_million, to_answer,
    to_promise,
};
use crate::stage::{
    Answer, Spawn, Stage, close, compile, echo, kill, stdin, stdout, text, wait, write,
};

/// What the host's own code was handed.
#[derive(Default)]
struct Handed {
    /// How often.
    times: Cell<usize>,
    first: RefCell<Option<host::Client>>,
    last: RefCell<Option<host::Client>>,
}

/// Keeps what it is handed, and gives the newest of it back.
struct Keeper(Rc<Handed>);

impl program::Server for Keeper {
    async fn spawn(
        self: Rc<Self>,
        params: program::SpawnParams,
        mut results: program::SpawnResults,
    ) -> Result<(), capnp::Error> {
        let handed: host::Client = params.get()?.get_bootstrap().get_as_capability()?;
        self.0.times.set(self.0.times.get() + 1);
        self.0.first.borrow_mut().get_or_insert(handed.clone());
        self.0.last.replace(Some(handed));
        let kept = Kept(self.0.clone());
        results.get().set_process(capnp_rpc::new_client(kept));
        Ok(())
    }
}

struct Kept(Rc<Handed>);

impl process::Server for Kept {
    async fn bootstrap(
        self: Rc<Self>,
        _: process::BootstrapParams,
        mut results: process::BootstrapResults,
    ) -> Result<(), capnp::Error> {
        let last = self.0.last.borrow().clone();
        let last = last.ok_or_else(|| capnp::Error::failed("nothing was kept".into()))?;
        results.get().init_cap().set_as_capability(last.client.hook);
        Ok(())
    }
}

/// A guest that repeats what it is told.
struct Parrot {
    process: process::Client,
    told: byte_stream::Client,
    handed: Rc<Handed>,
}

impl Parrot {
    async fn spawn(program: &program::Client) -> Self {
        let handed = Rc::new(Handed::default());
        let keeper: program::Client = capnp_rpc::new_client(Keeper(handed.clone()));
        let spawn = Spawn::args(&["parrot"]).bootstrap(keeper);
        let process = spawn.spawn(program).await.unwrap();
        let told = stdin(&process).await.unwrap();
        let parrot = Self {
            process,
            told,
            handed,
        };
        parrot.say(&bootstrap()).await;
        parrot
    }

    async fn say(&self, message: &[u8]) {
        for part in message.chunks(1 << 16) {
            // It may have been cut off, and ended.
            let _ = write(&self.told, part).await;
        }
    }

    /// Ends, and leaves nothing of the host's behind.
    async fn leave(self) {
        let Self {
            process,
            told,
            handed,
        } = self;
        drop(close(&told).await);
        // It may have ended by itself.
        let _ = kill(&process).await;
        drop((process, told, handed.first.take(), handed.last.take()));
        settle().await;
        assert_eq!(Rc::strong_count(&handed), 1);
    }
}

/// Lets all cells on this thread do what they can.
async fn settle() {
    for _ in 0..200 {
        yield_now().await;
    }
}

/// How a call on it ends, if it does: a peer may never answer.
async fn id(host: &host::Client) -> Option<Answer<()>> {
    let called = async {
        let called = host.id_request().send().promise.await;
        Some(called.and_then(|id| id.get()?.get_peer_id().map(drop)))
    };
    let given_up = async {
        settle().await;
        None
    };
    or(called, given_up).await
}

/// What host code does with a capability: calls it, waits for it, hands it to
/// another guest, which gets it out again, and drops it.
async fn use_up(stage: &Stage, host: host::Client, program: &program::Client, case: &str) {
    let called = id(&host).await;
    assert!(called.is_none_or(|called| called.is_err()), "{case}");
    or(async { drop(host.client.when_resolved().await) }, settle()).await;
    let other = Spawn::args(&["parrot"]).bootstrap(host);
    let other = other.spawn(program).await.unwrap();
    let told = stdin(&other).await.unwrap();
    write(&told, &bootstrap()).await.unwrap();
    settle().await;
    drop(told);
    assert_eq!(wait(&other).await.unwrap(), 0, "{case}");
    let alive = echo(&stage.executor(), case).await.unwrap();
    assert_eq!(alive, format!("Echo: {case}"));
}

#[test]
fn promises_of_a_guest_that_go_in_circles_hang_no_host() {
    Stage::run(async |stage| {
        let program = compile(&stage.executor(), "parrot").await.unwrap();
        for (case, said) in circles() {
            let parrot = Parrot::spawn(&program).await;
            for message in said {
                parrot.say(&message).await;
                settle().await;
            }
            let host = parrot.handed.last.take().expect(case);
            parrot.handed.first.take();
            use_up(&stage, host, &program, case).await;
            parrot.leave().await;
        }
    });
}

/// More links than the stack of this thread has room for.
const LINKS: u32 = 10_000;

#[test]
fn promises_of_a_guest_that_resolve_without_end_take_no_stack() {
    Stage::run(async |stage| {
        let program = compile(&stage.executor(), "parrot").await.unwrap();
        let to_answers = |link: u32| {
            let promise = [spawn(2, link + 2), give_back(3, 2)].concat();
            [promise, to_answer(link + 1, 3), finish(3), finish(2)].concat()
        };
        let to_promises = |link: u32| to_promise(1 + link % 2, 1 + (link + 1) % 2);
        let cases: [(&str, &dyn Fn(u32) -> Vec<u8>, &str); 2] = [
            ("to answers", &to_answers, ""),
            ("to promises", &to_promises, "cut off\n"),
        ];
        for (case, link, said) in cases {
            let parrot = Parrot::spawn(&program).await;
            parrot.say(&spawn(1, 1)).await;
            for number in 0..LINKS {
                parrot.say(&link(number)).await;
            }
            let stdout = stdout(&parrot.process).await;
            drop(close(&parrot.told).await);
            assert_eq!(text(stdout).await, said, "{case}");
            match wait(&parrot.process).await {
                Ok(code) => assert_eq!((code, said), (0, ""), "{case}"),
                Err(error) => assert!(error.extra.contains("resolved 65 promises"), "{error}"),
            }
            let host = parrot.handed.first.take().expect(case);
            use_up(&stage, host, &program, case).await;
        }
    });
}

#[test]
fn a_guest_that_answers_with_nothing_breaks_what_is_pipelined_on_it() {
    Stage::run(async |stage| {
        let program = compile(&stage.executor(), "parrot").await.unwrap();
        let parrot = Parrot::spawn(&program).await;
        parrot.say(&spawn(1, 1)).await;
        while parrot.handed.times.get() == 0 {
            yield_now().await;
        }
        let host = parrot.handed.first.take().unwrap();
        let called = host.executor_request().send();
        let executor = called.pipeline.get_executor();
        settle().await;
        // The host's first question.
        parrot.say(&answer_nothing(0)).await;
        called.promise.await.map(drop).unwrap();
        assert!(echo(&executor, "anyone?").await.is_err());
        parrot.leave().await;
    });
}

#[test]
fn a_million_capabilities_of_a_guest_reach_nobody() {
    Stage::run(async |stage| {
        let program = compile(&stage.executor(), "parrot").await.unwrap();
        let parrot = Parrot::spawn(&program).await;
        parrot.say(&spawn_with_a_million(1)).await;
        parrot.say(&spawn(2, 2)).await;
        while parrot.handed.times.get() == 0 {
            yield_now().await;
        }
        assert_eq!(parrot.handed.times.get(), 1);
        parrot.leave().await;
    });
}
