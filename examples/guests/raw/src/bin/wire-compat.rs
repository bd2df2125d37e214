//! A guest that knows the wire and nothing else of ours: stock capnp-rpc over
//! `wetware:streams`, with the generated code of the schemas.
//!
//! It bootstraps `Membrane(WetwareSession)`, grafts it with a null signer, and
//! runs itself as a child, which bootstraps `Host`.

use capnp::capability::FromClientHook;
use futures::executor::LocalPool;
use futures::task::LocalSpawnExt;
use raw::Line;
use ww_rpc::membrane_capnp::wetware_session;
use ww_rpc::peer_capnp::host;
use ww_rpc::stem_capnp::membrane;

type Membrane = membrane::Client<wetware_session::Owned>;

fn main() -> Result<(), capnp::Error> {
    match std::env::args().nth(1).as_deref() {
        Some("child") => connected(child),
        _ => connected(parent),
    }
}

async fn parent(membrane: Membrane) -> Result<(), capnp::Error> {
    let response = membrane.graft_request().send().promise.await?;
    let session = response.get()?.get_session()?;
    let executor = session.get_extension()?.get_executor()?;

    let mut request = executor.run_bytes_request();
    request.get().set_wasm(&std::fs::read("/bin/main.wasm")?);
    let mut args = request.get().init_args(2);
    args.set(0, "wire-compat");
    args.set(1, "child");
    let response = request.send().promise.await?;
    let child = response.get()?.get_process()?;

    let response = child.stdout_request().send().promise.await?;
    let stdout = response.get()?.get_stream()?;
    loop {
        let mut request = stdout.read_request();
        request.get().set_max_bytes(4096);
        let response = request.send().promise.await?;
        let bytes = response.get()?.get_data()?;
        if bytes.is_empty() {
            break;
        }
        print!("{}", String::from_utf8_lossy(bytes));
    }
    let response = child.wait_request().send().promise.await?;
    println!("child exited with {}", response.get()?.get_exit_code());
    Ok(())
}

async fn child(host: host::Client) -> Result<(), capnp::Error> {
    let response = host.id_request().send().promise.await?;
    let len = response.get()?.get_peer_id()?.len();
    println!("child sees a host whose id has {len} bytes");
    Ok(())
}

/// Runs `main` with the host's bootstrap capability, over `wetware:streams`.
fn connected<C: FromClientHook, F>(main: impl FnOnce(C) -> F) -> Result<(), capnp::Error>
where
    F: Future<Output = Result<(), capnp::Error>> + 'static,
{
    use capnp_rpc::rpc_twoparty_capnp::Side;

    let line = Line::open();
    let network = capnp_rpc::twoparty::VatNetwork::new(
        line.reader(),
        line.writer(),
        Side::Client,
        Default::default(),
    );
    let mut system = capnp_rpc::RpcSystem::new(Box::new(network), None);
    let main = main(system.bootstrap(Side::Server));

    let mut pool = LocalPool::new();
    let spawner = pool.spawner();
    let spawn_error = |_| capnp::Error::failed("the pool is gone".into());
    let main = spawner.spawn_local_with_handle(main).map_err(spawn_error)?;
    spawner
        .spawn_local(async { drop(system.await) })
        .map_err(spawn_error)?;
    line.run(&mut pool, main)
}
