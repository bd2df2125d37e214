//! The WASI 0.2 host, on `wasmtime-wasi-io` and without an async runtime.
//!
//! One file per interface. What the guest may reach is what stands in [`Wasi`]:
//! its standard streams, its arguments and environment, its images and scratch
//! directories, a clock and a source of randomness. Sockets exist and refuse.

use std::sync::Arc;
use std::time::Duration;

use wasmtime::component::{HasData, Linker, ResourceTable};
use wasmtime_wasi_io::IoView;

use self::bindings::wasi as wit;
use self::filesystem::{Listings, Mounted, Reads};
use crate::cell::Shared;
use crate::clock::Clock;
use crate::random::Random;

pub(crate) use self::exit::Exit;
pub(crate) use self::filesystem::{Mount, Source};
pub(crate) use self::input::{FromPipe, Stdin};
pub(crate) use self::output::{Stdout, ToPipe};
pub(crate) use self::poll::{Pollables, pollables};

mod bindings;
mod clocks;
mod counted;
mod environment;
mod exit;
mod filesystem;
mod input;
mod output;
mod poll;
mod random;
mod sockets;
mod stdio;
mod terminal;

/// The interfaces that are offered, up to the patch version.
const INTERFACES: [&str; 27] = [
    "wasi:cli/environment@0.2.",
    "wasi:cli/exit@0.2.",
    "wasi:cli/stderr@0.2.",
    "wasi:cli/stdin@0.2.",
    "wasi:cli/stdout@0.2.",
    "wasi:cli/terminal-input@0.2.",
    "wasi:cli/terminal-output@0.2.",
    "wasi:cli/terminal-stderr@0.2.",
    "wasi:cli/terminal-stdin@0.2.",
    "wasi:cli/terminal-stdout@0.2.",
    "wasi:clocks/monotonic-clock@0.2.",
    "wasi:clocks/wall-clock@0.2.",
    "wasi:filesystem/preopens@0.2.",
    "wasi:filesystem/types@0.2.",
    "wasi:io/error@0.2.",
    "wasi:io/poll@0.2.",
    "wasi:io/streams@0.2.",
    "wasi:random/insecure@0.2.",
    "wasi:random/insecure-seed@0.2.",
    "wasi:random/random@0.2.",
    "wasi:sockets/instance-network@0.2.",
    "wasi:sockets/ip-name-lookup@0.2.",
    "wasi:sockets/network@0.2.",
    "wasi:sockets/tcp@0.2.",
    "wasi:sockets/tcp-create-socket@0.2.",
    "wasi:sockets/udp@0.2.",
    "wasi:sockets/udp-create-socket@0.2.",
];

/// Most bytes that one call takes from a stream or a file, or hands to a stream.
const CHUNK: usize = 64 * 1024;

/// What a cell is given.
pub(crate) struct Setup {
    /// All of argv.
    pub(crate) args: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) stdin: Stdin,
    pub(crate) stdout: Stdout,
    pub(crate) stderr: Stdout,
    /// The preopened directories, in this order.
    pub(crate) mounts: Vec<Mount>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Box<dyn Random>,
    /// Counts the bytes of the standard streams, and of the scratch directories.
    pub(crate) shared: Arc<Shared>,
}

/// A cell's side of WASI: what it was given, and what that has become.
pub(crate) struct Wasi {
    setup: Setup,
    mounts: Vec<Mounted>,
    listings: Listings,
    reads: Reads,
    /// When the cell began, from which its monotonic clock counts: a guest does not
    /// learn how long its host has been up.
    start: Duration,
    insecure: random::Insecure,
}

impl Wasi {
    pub(crate) fn new(mut setup: Setup) -> Self {
        let mounts = std::mem::take(&mut setup.mounts);
        Self {
            mounts: Mounted::all(mounts, &setup.shared, &setup.clock),
            listings: Listings::default(),
            reads: Reads::default(),
            start: setup.clock.now(),
            insecure: random::Insecure::default(),
            setup,
        }
    }

    /// Where the guest's standard output goes; [`Stdout::close`] it once the
    /// guest is done, so that nothing it wrote is lost.
    pub(crate) fn stdout(&self) -> &Stdout {
        &self.setup.stdout
    }

    /// As [`Wasi::stdout`], for standard error.
    pub(crate) fn stderr(&self) -> &Stdout {
        &self.setup.stderr
    }
}

/// Store data that has a WASI side.
pub(crate) trait View: IoView {
    fn wasi(&mut self) -> Host<'_>;
}

/// What the interfaces work on.
pub(crate) struct Host<'a> {
    pub(crate) wasi: &'a mut Wasi,
    pub(crate) table: &'a mut ResourceTable,
}

/// A table for the guest's handles. One more than `handles` traps.
pub(crate) fn table(handles: usize) -> ResourceTable {
    let mut table = ResourceTable::new();
    table.set_max_capacity(handles);
    table
}

/// Whether `import` names one of the interfaces.
pub(crate) fn offers(import: &str) -> bool {
    INTERFACES.iter().any(|name| import.starts_with(name))
}

/// Defines every interface of `wasi:cli/imports` 0.2, `wasi:io` included.
pub(crate) fn add_to_linker<T: View + Send + 'static>(
    linker: &mut Linker<T>,
) -> wasmtime::Result<()> {
    struct Wasi;

    impl HasData for Wasi {
        type Data<'a> = Host<'a>;
    }

    wasmtime_wasi_io::add_to_linker_async(linker)?;
    poll::add_to_linker(linker)?;
    wit::cli::environment::add_to_linker::<T, Wasi>(linker, T::wasi)?;
    wit::cli::exit::add_to_linker::<T, Wasi>(linker, T::wasi)?;
    wit::cli::stdin::add_to_linker::<T, Wasi>(linker, T::wasi)?;
    wit::cli::stdout::add_to_linker::<T, Wasi>(linker, T::wasi)?;
    wit::cli::stderr::add_to_linker::<T, Wasi>(linker, T::wasi)?;
    wit::cli::terminal_input::add_to_linker::<T, Wasi>(linker, T::wasi)?;
    wit::cli::terminal_output::add_to_linker::<T, Wasi>(linker, T::wasi)?;
    wit::cli::terminal_stdin::add_to_linker::<T, Wasi>(linker, T::wasi)?;
    wit::cli::terminal_stdout::add_to_linker::<T, Wasi>(linker, T::wasi)?;
    wit::cli::terminal_stderr::add_to_linker::<T, Wasi>(linker, T::wasi)?;
    wit::clocks::monotonic_clock::add_to_linker::<T, Wasi>(linker, T::wasi)?;
    wit::clocks::wall_clock::add_to_linker::<T, Wasi>(linker, T::wasi)?;
    wit::filesystem::types::add_to_linker::<T, Wasi>(linker, T::wasi)?;
    wit::filesystem::preopens::add_to_linker::<T, Wasi>(linker, T::wasi)?;
    wit::random::random::add_to_linker::<T, Wasi>(linker, T::wasi)?;
    wit::random::insecure::add_to_linker::<T, Wasi>(linker, T::wasi)?;
    wit::random::insecure_seed::add_to_linker::<T, Wasi>(linker, T::wasi)?;
    // Still marked unstable there, but some toolchains import it.
    let mut options = wit::sockets::network::LinkOptions::default();
    options.network_error_code(true);
    wit::sockets::network::add_to_linker::<T, Wasi>(linker, &options, T::wasi)?;
    wit::sockets::instance_network::add_to_linker::<T, Wasi>(linker, T::wasi)?;
    wit::sockets::tcp::add_to_linker::<T, Wasi>(linker, T::wasi)?;
    wit::sockets::tcp_create_socket::add_to_linker::<T, Wasi>(linker, T::wasi)?;
    wit::sockets::udp::add_to_linker::<T, Wasi>(linker, T::wasi)?;
    wit::sockets::udp_create_socket::add_to_linker::<T, Wasi>(linker, T::wasi)?;
    wit::sockets::ip_name_lookup::add_to_linker::<T, Wasi>(linker, T::wasi)?;
    Ok(())
}
