//! Makes calls and nothing else, for `benches/count` to count what they take.
//!
//! ```sh
//! counted guest-to-host|host-to-guest|ours|stock|bare|allowed IN_FLIGHT CALLS
//! ```

use futures_lite::future::block_on;
use ww_benches::calls::Shape;
use ww_benches::cells::Authority;
use ww_benches::crossing::{Between, Call, Place};
use ww_benches::{Outcome, cells, native};
use ww_core::Runtime;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [way, in_flight, calls] = &arguments[..] else {
        return Err("usage: counted WAY IN_FLIGHT CALLS".into());
    };
    let shape = Shape {
        bytes: 64,
        in_flight: in_flight.parse()?,
    };
    let calls = calls.parse()?;
    let runtime = &Runtime::builder().cells(4).build()?;
    let compile = |guest| block_on(runtime.compile(example_images::wasm(guest)));
    match way.as_str() {
        "guest-to-host" => {
            let caller = compile("caller")?;
            cells::guest_to_host(&caller, runtime, Authority::Executor, shape, calls)
        }
        "host-to-guest" => cells::host_to_guest(&compile("exporter")?, shape, calls),
        "ours" => native::ours(runtime, shape, calls),
        "stock" => native::stock(runtime, shape, calls),
        "bare" => Place::Imported.calls(Between::Nothing, Call::Bytes, calls),
        "allowed" => Place::Imported.calls(Between::Allow, Call::Bytes, calls),
        other => Err(format!("no such way: {other}").into()),
    }
    .map(drop)
}
