//! A host whose servers need tokio: its cells live on threads that have entered a tokio
//! runtime, in place of the library's own, where what waits for tokio's timers and
//! sockets would panic.
//!
//! ```sh
//! cargo run -p ww-examples --bin tokio-workers
//! ```

use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use std::{io, thread};

use example_greeting::greeting_capnp::{greeter, reception};
use futures::StreamExt;
use futures::channel::mpsc::{UnboundedSender, unbounded};
use tokio::runtime::Handle;
use tokio::task::{LocalSet, spawn_local};
use ww_core::Runtime;
use ww_core::cell::Builder;
use ww_core::workers::{Job, Workers};
use ww_membrane::{Admission, Epoch, Epochs, SessionContext, membrane};

/// For the RPC system, which recurses as deep as peers make their promises.
const STACK: usize = 64 << 20;

/// Threads that take turns.
struct OnTokio {
    threads: Vec<UnboundedSender<Job>>,
    next: AtomicUsize,
}

impl OnTokio {
    /// They end when their last cell has, and this is gone.
    fn start(tokio: &Handle, count: usize) -> io::Result<Self> {
        let start = |_| {
            let (jobs, mut queue) = unbounded::<Job>();
            let tokio = tokio.clone();
            thread::Builder::new().stack_size(STACK).spawn(move || {
                let local = LocalSet::new();
                local.spawn_local(async move {
                    while let Some(job) = queue.next().await {
                        spawn_local(job());
                    }
                });
                // Polls in the runtime's context, on this thread.
                tokio.block_on(local);
            })?;
            Ok(jobs)
        };
        Ok(Self {
            threads: (0..count).map(start).collect::<io::Result<_>>()?,
            next: AtomicUsize::new(0),
        })
    }
}

impl Workers for OnTokio {
    fn run(&self, job: Job) -> io::Result<()> {
        let next = self.next.fetch_add(1, Ordering::Relaxed) % self.threads.len();
        let taken = self.threads[next].unbounded_send(job);
        taken.map_err(|_| io::Error::other("the thread has ended"))
    }
}

struct Greeter;

impl greeter::Server for Greeter {
    async fn greet(
        self: Rc<Self>,
        params: greeter::GreetParams,
        mut results: greeter::GreetResults,
    ) -> Result<(), capnp::Error> {
        tokio::time::sleep(Duration::from_millis(10)).await;
        let name = params.get()?.get_name()?.to_str()?;
        results
            .get()
            .set_greeting(format!("Welcome, {name}, in time."));
        Ok(())
    }
}

fn grant(_: &SessionContext, mut granted: reception::Builder<'_>) -> Result<(), capnp::Error> {
    granted.set_greeter(capnp_rpc::new_client(Greeter));
    Ok(())
}

async fn host() -> Result<i32, Box<dyn std::error::Error>> {
    let workers = OnTokio::start(&Handle::current(), 2)?;
    let runtime = Runtime::builder().workers_on(workers).build()?;
    let epochs = Epochs::new(Epoch::default());
    let cell = Builder::new()
        .runtime(&runtime)
        .image(example_images::path("greeted"))
        .args(["cell"])
        .inherit_output()
        .bootstrap(|_| {
            Ok(membrane::<reception::Owned>(
                epochs,
                Admission::open(),
                grant,
            ))
        })
        .spawn()
        .await?;
    Ok(cell.wait().await?.code())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Timers of a runtime of one thread stand still while that does something else.
    let tokio = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let code = tokio.block_on(host())?;
    std::process::exit(code);
}
