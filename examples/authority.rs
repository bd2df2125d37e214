//! Shows what a cell holds of the session that it was granted, and what it did
//! with it: as a table, and as a graph in Mermaid's language, which many
//! viewers of Markdown draw.
//!
//! ```sh
//! cargo run -p ww-examples --bin authority
//! ```

#![allow(clippy::print_stdout, reason = "the table and the graph are the point")]

use std::cell::RefCell;
use std::error::Error;
use std::rc::Rc;
use std::sync::Arc;

use futures::channel::oneshot;
use futures_lite::io::BufReader;
use futures_lite::{AsyncBufReadExt, AsyncWriteExt};
use ww_core::Runtime;
use ww_core::cell::{Builder, Input, Output};
use ww_core::network::Offline;
use ww_core::session::Wetware;
use ww_membrane::{
    Admission, Authority, Call, Direction, Epoch, Epochs, Held, Membrane, Methods, SessionContext,
    SessionExtensionBuilder, membrane,
};
use ww_rpc::membrane_capnp::wetware_session;
use ww_rpc::peer_capnp::{executor, host};
use ww_rpc::stem_capnp::status_poller;

fn main() -> Result<(), Box<dyn Error>> {
    for authority in futures_lite::future::block_on(watch())? {
        print!("{}\n{}", table(&authority), graph(&authority));
    }
    Ok(())
}

/// Has a guest graft and call, and asks on its thread what it holds then.
async fn watch() -> Result<Vec<Authority>, Box<dyn Error>> {
    let runtime = Runtime::shared()?;
    let (ask, asked) = oneshot::channel::<()>();
    let (tell, told) = oneshot::channel();
    let cell = Builder::new()
        .image(example_images::path("puppet"))
        .stdin(Input::piped())
        .stdout(Output::piped())
        .bootstrap(move |local| {
            let wetware = Wetware::new(local, &runtime, Arc::new(Offline::new()));
            let sessions = Rc::new(RefCell::new(Vec::new()));
            let opened = sessions.clone();
            let grant = move |session: &SessionContext, ext: wetware_session::Builder<'_>| {
                opened.borrow_mut().push(session.membrane().clone());
                wetware.build(session, ext)
            };
            // Capabilities stay on the cell's thread; what is seen is plain data.
            local.spawn(async move {
                if asked.await.is_ok() {
                    let seen = sessions.borrow().iter().map(Membrane::authority).collect();
                    let _ = tell.send(seen);
                }
            });
            let epochs = Epochs::new(Epoch::default());
            Ok(membrane::<wetware_session::Owned>(
                epochs,
                Admission::open(),
                grant,
            ))
        })
        .spawn()
        .await?;

    let mut input = cell.take_stdin().ok_or("its input is not piped")?;
    let output = cell.take_stdout().ok_or("its output is not piped")?;
    let mut output = BufReader::new(output);
    for line in ["graft", "echo one", "echo two"] {
        input.write_all(format!("{line}\n").as_bytes()).await?;
        output.read_line(&mut String::new()).await?;
    }
    let _ = ask.send(());
    let seen = told.await?;
    drop(input);
    cell.wait().await?;
    Ok(seen)
}

/// One line for each capability and method.
fn table(authority: &Authority) -> String {
    let mut table = format!("{}\n", terms(authority));
    table += "| held by | no. | method | passed | denied |\n| --- | --: | --- | --: | --: |\n";
    for held in &authority.held {
        let (holder, id) = (holder(held), held.id);
        if held.calls.methods.is_empty() {
            table += &format!("| {holder} | {id} | not called | | |\n");
        }
        for known in &held.calls.methods {
            let method = method(&known.call);
            let (passed, denied) = (known.passed, known.denied);
            table += &format!("| {holder} | {id} | {method} | {passed} | {denied} |\n");
        }
    }
    let (passed, denied) = (authority.past.passed(), authority.past.denied());
    table + &format!("| nobody any more | | all | {passed} | {denied} |\n")
}

/// The two sides, and an arrow to each capability from who holds it.
fn graph(authority: &Authority) -> String {
    let mut graph = "```mermaid\ngraph LR\n".to_owned();
    graph += &format!(
        "  subgraph inside [\"inside: {}\"]\n    host\n",
        terms(authority)
    );
    let (inner, outer): (Vec<_>, Vec<_>) = authority
        .held
        .iter()
        .partition(|held| held.direction == Direction::Outward);
    for held in inner {
        graph += &format!("    c{}[\"{}\"]\n", held.id, name(held));
    }
    graph += "  end\n  subgraph outside\n    cell\n";
    for held in outer {
        graph += &format!("    c{}[\"{}\"]\n", held.id, name(held));
    }
    graph += "  end\n";
    for held in &authority.held {
        let (passed, denied) = (held.calls.passed(), held.calls.denied());
        graph += &format!(
            "  {} -- \"{passed} passed, {denied} denied\" --> c{}\n",
            holder(held),
            held.id
        );
    }
    graph + "```\n"
}

/// Who holds it: the cell outside, or the host inside.
fn holder(held: &Held) -> &'static str {
    match held.direction {
        Direction::Outward => "cell",
        Direction::Inward => "host",
    }
}

/// On what terms all of it is held.
fn terms(authority: &Authority) -> String {
    let epoch = match authority.epoch {
        Some(epoch) => format!("session of epoch {epoch}"),
        None => "until revoked".to_owned(),
    };
    let policy = authority.policy.as_deref().unwrap_or("no policy");
    match &authority.fall {
        Some(fall) => format!("{epoch}, {policy}, fallen: {}", fall.error()),
        None => format!("{epoch}, {policy}"),
    }
}

/// The interfaces that it was called by; none are known before.
fn name(held: &Held) -> String {
    let known: Vec<String> = held.interfaces().into_iter().map(interface).collect();
    match known.is_empty() {
        true => format!("no. {}", held.id),
        false => known.join(", "),
    }
}

fn interface(id: u64) -> String {
    let known = schema();
    let mut names = known.iter().filter(|method| method.interface() == id);
    match names.find_map(|method| method.name()?.split_once('.')) {
        Some((interface, _)) => interface.to_owned(),
        None => format!("{id:#x}"),
    }
}

fn method(call: &Call) -> String {
    match schema().find(call) {
        Some(method) => method.to_string(),
        None => format!("{}.{}", interface(call.interface()), call.method()),
    }
}

/// A membrane sees numbers; their names are in the schema.
fn schema() -> Methods {
    Methods::new()
        .method(host::Client::id_request)
        .method(host::Client::addrs_request)
        .method(host::Client::peers_request)
        .method(host::Client::connect_request)
        .method(host::Client::executor_request)
        .method(executor::Client::run_bytes_request)
        .method(executor::Client::echo_request)
        .method(executor::Client::compile_request)
        .method(status_poller::Client::poll_status_request)
}
