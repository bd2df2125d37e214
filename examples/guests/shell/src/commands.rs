use std::fmt::Write as _;

use ww_guest_sdk::{Error, Session, bytes};

pub const HELP: &str = "\
help             this list
id               the host's peer id
peers            the peers that the host is connected to
echo TEXT        has the host answer
run NAME [ARGS]  runs the image svc/NAME to its end
exit [CODE]      leaves
";

pub async fn id(session: &Session) -> Result<String, Error> {
    let response = session.host.id_request().send().promise.await?;
    Ok(text(response.get()?.get_peer_id()?) + "\n")
}

pub async fn peers(session: &Session) -> Result<String, Error> {
    let response = session.host.peers_request().send().promise.await?;
    let mut lines = String::new();
    for peer in response.get()?.get_peers()? {
        writeln!(lines, "{}", text(peer.get_peer_id()?))?;
    }
    Ok(lines)
}

pub async fn echo(session: &Session, message: &str) -> Result<String, Error> {
    let mut request = session.executor.echo_request();
    request.get().set_message(message);
    let response = request.send().promise.await?;
    Ok(response.get()?.get_response()?.to_string()? + "\n")
}

/// Runs the image `svc/NAME` with an empty standard input, and hands it the host;
/// `args` is its whole argv.
pub async fn run(session: &Session, name: &str, args: &[&str]) -> Result<String, Error> {
    if name.contains(['/', '.']) {
        return Err(format!("{name}: not the name of a service").into());
    }
    let mut request = session.executor.run_image_request();
    request.get().set_path(format!("svc/{name}").as_str());
    request.get().init_options().set_args(args)?;
    let mut bootstrap = request.get().init_bootstrap();
    bootstrap.set_as_capability(session.host.client.hook.clone());
    let response = request.send().promise.await;
    let response = response.map_err(|error| format!("{name}: {error}"))?;
    let child = response.get()?.get_process()?;

    let stdin = child.stdin_request().send().pipeline.get_stream();
    bytes::close(&stdin).await?;
    let stdout = child.stdout_request().send().pipeline.get_stream();
    let output = bytes::read_to_end(&stdout).await?;
    let mut reply = String::from_utf8_lossy(&output).into_owned();

    let response = child.wait_request().send().promise.await?;
    writeln!(
        reply,
        "{name} exited with {}",
        response.get()?.get_exit_code()
    )?;
    Ok(reply)
}

/// A peer id as base58btc, its usual text form.
fn text(peer_id: &[u8]) -> String {
    bs58::encode(peer_id).into_string()
}
