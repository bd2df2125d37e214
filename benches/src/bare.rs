//! Bare wasmtime: the peer of a cell's life.

use std::pin::Pin;
use std::time::Duration;

use futures_lite::future::{block_on, poll_once};
use wasmtime::component::{
    Component, ComponentExportIndex, InstancePre, Linker, Resource, ResourceTable, ResourceType,
    WasmList,
};
use wasmtime::{Config, Enabled, Engine, PoolingAllocationConfig, Store, StoreContextMut};
use wasmtime_wasi::{HostMonotonicClock, WasiCtx, WasiCtxView, WasiView};

use ww_core::clock::Clock;

use crate::Outcome;
use crate::silent::Silent;
use crate::time::{Asked, Thread};

/// Places in a pool, if nobody says otherwise.
const CELLS: u32 = 1_000;

/// An engine with the settings of `ww-core`'s own.
///
/// # Errors
///
/// This machine cannot run WebAssembly.
pub fn engine() -> Outcome<Engine> {
    Ok(Engine::new(&config(CELLS))?)
}

/// These settings, with a pool of `cells` places.
pub fn config(cells: u32) -> Config {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(cells)
        .total_core_instances(8 * cells)
        .total_memories(cells)
        .total_tables(4 * cells)
        .total_stacks(cells)
        .max_core_instances_per_component(8)
        .max_memories_per_component(1)
        .max_tables_per_component(4)
        .max_memory_size(4 << 30)
        .table_elements(100_000)
        .linear_memory_keep_resident((64 << 20) / cells as usize)
        .table_keep_resident((64 << 20) / (4 * cells) as usize)
        .pagemap_scan(Enabled::Auto);
    let mut config = Config::new();
    config
        .allocation_strategy(pool)
        .async_stack_size(640 << 10)
        .max_wasm_stack(512 << 10)
        .memory_reservation(4 << 30)
        .memory_guard_size(32 << 20)
        .epoch_interruption(true)
        .concurrency_support(false)
        .generate_address_map(false)
        .native_unwind_info(false);
    config
}

/// A component that is ready to be instantiated.
pub struct Bare<T: 'static> {
    pre: InstancePre<T>,
    run: ComponentExportIndex,
}

/// A component that waits, for good.
pub type Parked = Pin<Box<dyn Future<Output = wasmtime::Result<(Result<(), ()>,)>>>>;

/// The resource `connection` of `wetware:turn`.
struct Turn;

/// What wasmtime's own WASI works on.
pub struct Wasi {
    context: WasiCtx,
    table: ResourceTable,
}

impl Bare<()> {
    /// Links a component that imports nothing.
    ///
    /// # Errors
    ///
    /// It is no component, or imports something.
    pub fn alone(engine: &Engine, wasm: &[u8]) -> Outcome<Self> {
        Self::link(&Linker::new(engine), &Component::from_binary(engine, wasm)?)
    }

    /// Links a component that will not be run: whatever it calls traps.
    ///
    /// # Errors
    ///
    /// It is no component.
    pub fn dead(engine: &Engine, wasm: &[u8]) -> Outcome<Self> {
        let component = Component::from_binary(engine, wasm)?;
        let mut linker = Linker::new(engine);
        linker.define_unknown_imports_as_traps(&component)?;
        Self::link(&linker, &component)
    }
}

impl Bare<Wasi> {
    /// Links a component with wasmtime's own WASI.
    ///
    /// # Errors
    ///
    /// It is no component, or imports something else.
    pub fn wasi(engine: &Engine, wasm: &[u8]) -> Outcome<Self> {
        let component = Component::from_binary(engine, wasm)?;
        let mut linker = Linker::new(engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        Self::link(&linker, &component)
    }
}

impl Bare<Wasi> {
    /// Links a component with wasmtime's own WASI, and with an RPC connection
    /// over which nothing ever comes, and everything goes.
    ///
    /// # Errors
    ///
    /// It is no component, or imports something else.
    pub fn mute(engine: &Engine, wasm: &[u8]) -> Outcome<Self> {
        let mut linker = Linker::new(engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        let mut turn = linker.instance("wetware:turn/turn@0.1.0")?;
        turn.resource("connection", ResourceType::host::<Turn>(), |_, _| Ok(()))?;
        turn.func_wrap("[constructor]connection", |_, ()| {
            Ok((Resource::<Turn>::new_own(0),))
        })?;
        turn.func_wrap(
            "[method]connection.write",
            |_, (_, bytes): (Resource<Turn>, WasmList<u8>)| Ok((bytes.len() as u32,)),
        )?;
        turn.func_new_async("[method]connection.turn", |_, _, _, _| {
            Box::new(std::future::pending())
        })?;
        turn.func_wrap(
            "[method]connection.finish",
            |_, _: (Resource<Turn>, WasmList<u8>)| Ok(()),
        )?;
        turn.func_wrap("panicked", |_, _: (String,)| Ok(()))?;
        Self::link(&linker, &Component::from_binary(engine, wasm)?)
    }

    /// How long a life with this argument takes until the guest looks at its
    /// clock for the last time.
    ///
    /// # Errors
    ///
    /// It fails.
    pub fn until_asked_with(&self, argument: &str) -> Outcome<Duration> {
        let asked = Asked::default();
        let start = Thread.now();
        self.run(&mut self.store_of(Wasi::new(argument, asked.clone())))?;
        Ok(asked.at() - start)
    }

    /// A whole life with this argument.
    ///
    /// # Errors
    ///
    /// It fails.
    pub fn live_with(&self, argument: &str) -> Outcome<()> {
        self.run(&mut self.store_of(Wasi::new(argument, Asked::default())))
    }

    /// Runs the component until it waits, and keeps it so.
    ///
    /// # Errors
    ///
    /// It does not wait.
    pub fn park(&self) -> Outcome<Parked> {
        let (pre, run) = (self.pre.clone(), self.run);
        let mut store = self.store();
        let mut parked = Box::pin(async move {
            let instance = pre.instantiate_async(&mut store).await?;
            let run = instance.get_typed_func::<(), (Result<(), ()>,)>(&mut store, run)?;
            run.call_async(&mut store, ()).await
        });
        match block_on(poll_once(&mut parked)) {
            None => Ok(parked),
            Some(ended) => Err(format!("the component does not wait: {ended:?}").into()),
        }
    }
}

impl Bare<Duration> {
    /// Links a component whose first instructions ask a monotonic clock for its
    /// resolution.
    ///
    /// # Errors
    ///
    /// It is no component, or imports something else.
    pub fn clocked(engine: &Engine, wasm: &[u8]) -> Outcome<Self> {
        let mut linker = Linker::new(engine);
        linker
            .instance("wasi:clocks/monotonic-clock@0.2.0")?
            .func_wrap("resolution", |mut store: StoreContextMut<'_, _>, ()| {
                *store.data_mut() = Thread.now();
                Ok((1_u64,))
            })?;
        Self::link(&linker, &Component::from_binary(engine, wasm)?)
    }

    /// How long a life takes until the guest asks.
    ///
    /// # Errors
    ///
    /// It fails.
    pub fn until_asked(&self) -> Outcome<Duration> {
        let start = Thread.now();
        let mut store = self.store();
        self.run(&mut store)?;
        Ok(*store.data() - start)
    }
}

impl<T: Default + Send> Bare<T> {
    fn link(linker: &Linker<T>, component: &Component) -> Outcome<Self> {
        let engine = component.engine();
        let interface = component
            .component_type()
            .exports(engine)
            .map(|(name, _)| name.to_owned())
            .find(|name| name.starts_with("wasi:cli/run@0.2."))
            .ok_or("the component is no command")?;
        let run = component
            .get_export_index(None, &interface)
            .and_then(|instance| component.get_export_index(Some(&instance), "run"))
            .ok_or("the interface has no function")?;
        let pre = linker.instantiate_pre(component)?;
        Ok(Self { pre, run })
    }

    /// Instantiates the component and drops the instance.
    ///
    /// # Errors
    ///
    /// It cannot be instantiated.
    pub fn instantiate(&self) -> Outcome<()> {
        let mut store = self.store();
        block_on(self.pre.instantiate_async(&mut store))?;
        Ok(())
    }

    /// Instantiates the component, runs it to its end, and drops the instance.
    ///
    /// # Errors
    ///
    /// It fails.
    pub fn live(&self) -> Outcome<()> {
        self.run(&mut self.store())
    }

    fn run(&self, store: &mut Store<T>) -> Outcome<()> {
        let outcome = block_on(async {
            let instance = self.pre.instantiate_async(&mut *store).await?;
            let run = instance.get_typed_func::<(), (Result<(), ()>,)>(&mut *store, &self.run)?;
            run.call_async(store, ()).await
        })?;
        outcome.0.map_err(|()| "the component failed".into())
    }

    fn store(&self) -> Store<T> {
        self.store_of(T::default())
    }

    fn store_of(&self, data: T) -> Store<T> {
        let mut store = Store::new(self.pre.engine(), data);
        // Nobody ticks here.
        store.set_epoch_deadline(1);
        store
    }
}

impl Wasi {
    fn new(argument: &str, clock: Asked) -> Self {
        let mut context = WasiCtx::builder();
        context.args(&["main.wasm", argument]);
        context.monotonic_clock(clock);
        Self {
            context: context.build(),
            table: ResourceTable::new(),
        }
    }
}

impl HostMonotonicClock for Asked {
    fn resolution(&self) -> u64 {
        1
    }

    fn now(&self) -> u64 {
        u64::try_from(Clock::now(self).as_nanos()).unwrap_or(u64::MAX)
    }
}

impl Default for Wasi {
    fn default() -> Self {
        Self {
            context: WasiCtx::builder().arg("main.wasm").stdin(Silent).build(),
            table: ResourceTable::new(),
        }
    }
}

impl WasiView for Wasi {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.context,
            table: &mut self.table,
        }
    }
}
