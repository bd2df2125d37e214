use std::fmt;
use std::time::Duration;

use crate::error::Error;

/// Bounds on what a guest may take, each cell's own.
///
/// ```
/// use std::time::Duration;
///
/// let mut limits = ww_core::cell::Limits::default();
/// limits.memory = 16 << 20;
/// limits.cpu = Some(Duration::from_millis(50));
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Linear memories, tables and instances of all the cell's modules together,
    /// in bytes. An entry of a table counts as a pointer; an instance takes some
    /// for each global, function and passive element that its module declares. What
    /// all cells below it hold counts as well. A component whose instances need more
    /// does not start. Growth beyond is refused. More than 1 MiB of random bytes that
    /// the guest asks for at once counts while they are drawn, and where there is no
    /// room for them it ends. What the cell's pipes, its RPC connection and its scratch
    /// directories hold comes beside this.
    pub memory: usize,
    /// Entries of one table. Growth beyond is refused.
    pub table_elements: usize,
    /// Handles to resources (streams, files, pollables, and the component's
    /// own) open at a time. One more ends the cell.
    pub handles: usize,
    /// Instances of core modules. A component that was composed of others, or
    /// links shared libraries, has many. One that needs more does not start.
    pub instances: usize,
    /// Tables of all instances together. A component that needs more does not
    /// start.
    pub tables: usize,
    /// Linear memories of all instances together. Each takes several of the
    /// process's memory mappings, however small it is. A component that needs
    /// more does not start.
    pub memories: usize,
    /// Time in which the guest's code, and host calls that it does not wait in, ran
    /// on its thread, together with that of all cells below it. A monotonic clock
    /// tells it, so what the system gave to other threads meanwhile counts. Compilation
    /// and the host's servers do not. A cell that has used it up ends, and those below
    /// it. Nothing bounds it by default.
    pub cpu: Option<Duration>,
    /// Time from the cell's start, by its runtime's clock. A cell that lives
    /// longer ends. Nothing bounds it by default.
    pub wall: Option<Duration>,
    /// Bytes that each piped standard stream holds, at least one, before its
    /// writer waits; output that nobody has asked for yet is kept to as many
    /// and discarded beyond. What is told as events waits beside that, 72 KiB at most.
    pub stdio: usize,
    /// Bytes that each direction of the RPC connection holds, at least one,
    /// before its writer waits.
    pub rpc_buffer: usize,
    /// What the guest may ask of the host over its RPC connection. Going beyond
    /// ends the connection, not the cell. What the host keeps of its messages comes
    /// beside `memory`, by default up to 448 MiB: 64 MiB of one that is being read,
    /// 128 MiB of calls in flight, as much of copies of those with capabilities, and
    /// 128 MiB that wait to be read by the guest. What each call and each capability
    /// takes beside its messages is not among that.
    pub rpc: ww_rpc::Limits,
    /// Bytes of the cell's scratch directories together, what files, directories
    /// and names take in the host included, and of those of all cells below it. What
    /// needs more is refused.
    pub scratch: u64,
    /// Cells that run below this one at a time: its children, spawned through what it
    /// bootstrapped, by whoever was handed that, or through its process's executor; and
    /// theirs. One more is not spawned.
    pub children: usize,
    /// Bytes of machine code of the programs that are held at a time through executors of
    /// its own, and of the cells below it, each counted once, as 1 MiB at least: compiled
    /// ones, and those of cells that run. One more is refused.
    pub code: usize,
    /// Calls on these executors that wait at a time for a program to be compiled, and as
    /// many of its own that look for an image. One more is refused.
    pub compilations: usize,
}

/// One of the [`Limits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Limit {
    /// [`Limits::memory`].
    Memory,
    /// [`Limits::table_elements`].
    TableElements,
    /// [`Limits::handles`].
    Handles,
    /// [`Limits::instances`].
    Instances,
    /// [`Limits::tables`].
    Tables,
    /// [`Limits::memories`].
    Memories,
    /// [`Limits::cpu`].
    Cpu,
    /// [`Limits::wall`].
    Wall,
    /// One of [`Limits::rpc`].
    Rpc(ww_rpc::Limit),
    /// [`Limits::scratch`].
    Scratch,
    /// [`Limits::children`].
    Children,
    /// [`Limits::code`].
    Code,
    /// [`Limits::compilations`].
    Compilations,
}

impl Default for Limits {
    /// 256 MiB of memory, 100,000 entries a table, 4,096 handles, 256
    /// instances, 64 tables, 16 linear memories; no end of processor time and
    /// of time; 64 KiB a piped standard stream, 256 KiB a direction of the RPC
    /// connection, and the defaults of [`ww_rpc::Limits`]; 64 MiB of scratch;
    /// 64 children; 256 MiB of machine code; 16 compilations.
    fn default() -> Self {
        Self {
            memory: 256 << 20,
            table_elements: 100_000,
            handles: 4096,
            instances: 256,
            tables: 64,
            memories: 16,
            cpu: None,
            wall: None,
            stdio: 64 << 10,
            rpc_buffer: 256 << 10,
            rpc: ww_rpc::Limits::default(),
            scratch: 64 << 20,
            children: 64,
            code: 256 << 20,
            compilations: 16,
        }
    }
}

impl Limits {
    /// The error of a cell that `limit` ends.
    pub(crate) fn exceeded(&self, limit: Limit) -> Error {
        let bound = self.bound(limit);
        Error::Limit { limit, bound }
    }

    /// What `limit` is set to: bytes, a number of things, or nanoseconds.
    pub(super) fn bound(&self, limit: Limit) -> u64 {
        let nanos = |time: Option<Duration>| {
            let nanos = time.map(|time| u64::try_from(time.as_nanos()));
            nanos.and_then(Result::ok).unwrap_or(u64::MAX)
        };
        match limit {
            Limit::Memory => self.memory as u64,
            Limit::TableElements => self.table_elements as u64,
            Limit::Handles => self.handles as u64,
            Limit::Instances => self.instances as u64,
            Limit::Tables => self.tables as u64,
            Limit::Memories => self.memories as u64,
            Limit::Cpu => nanos(self.cpu),
            Limit::Wall => nanos(self.wall),
            Limit::Rpc(limit) => self.rpc.bound(limit),
            Limit::Scratch => self.scratch,
            Limit::Children => self.children as u64,
            Limit::Code => self.code as u64,
            Limit::Compilations => self.compilations as u64,
        }
    }
}

impl Limit {
    /// Every limit that is not one of RPC.
    const PLAIN: [Self; 12] = [
        Self::Memory,
        Self::TableElements,
        Self::Handles,
        Self::Instances,
        Self::Tables,
        Self::Memories,
        Self::Cpu,
        Self::Wall,
        Self::Scratch,
        Self::Children,
        Self::Code,
        Self::Compilations,
    ];

    /// Every limit.
    fn all() -> impl Iterator<Item = Self> {
        let of_rpc = ww_rpc::Limit::ALL.into_iter().map(Self::Rpc);
        Self::PLAIN.into_iter().chain(of_rpc)
    }

    /// A number for it, from 1 to 31.
    pub(crate) fn code(self) -> u8 {
        (1..)
            .zip(Self::all())
            .find_map(|(code, limit)| (limit == self).then_some(code))
            .unwrap_or_default()
    }

    /// What [`code`](Self::code) made a number of.
    pub(crate) fn of_code(code: u8) -> Option<Self> {
        let index = usize::from(code).checked_sub(1)?;
        Self::all().nth(index)
    }

    /// What it means to a cell that this limit, of `bound`, ends.
    pub(crate) fn verdict(self, bound: u64) -> String {
        match self {
            Self::Memory | Self::Scratch | Self::Code => {
                format!("the cell needs more than its {bound} bytes of {self}")
            }
            Self::TableElements => {
                format!("the cell needs a table of more than its {bound} entries")
            }
            Self::Handles => format!("the cell holds more than its {bound} handles"),
            Self::Cpu | Self::Wall => {
                let time = Duration::from_nanos(bound);
                format!("the cell used up its {time:?} of {self}")
            }
            Self::Instances
            | Self::Tables
            | Self::Memories
            | Self::Rpc(_)
            | Self::Children
            | Self::Compilations => format!("the cell needs more than its {bound} {self}"),
        }
    }
}

impl fmt::Display for Limit {
    /// What it limits, as in "more memory".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Memory => "memory",
            Self::TableElements => "table entries",
            Self::Handles => "handles",
            Self::Instances => "instances of core modules",
            Self::Tables => "tables",
            Self::Memories => "linear memories",
            Self::Cpu => "processor time",
            Self::Wall => "time",
            Self::Rpc(limit) => return write!(f, "RPC {limit}"),
            Self::Scratch => "scratch space",
            Self::Children => "children",
            Self::Code => "machine code",
            Self::Compilations => "compilations",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_stands_for_its_limit() {
        for limit in Limit::all() {
            assert!((1..32).contains(&limit.code()), "{limit}");
            assert_eq!(Limit::of_code(limit.code()), Some(limit));
        }
        assert_eq!(Limit::of_code(0), None);
        assert_eq!(Limit::of_code(u8::MAX), None);
    }
}
