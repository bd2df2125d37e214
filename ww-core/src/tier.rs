use std::sync::Arc;

use wasmtime::Engine;
use wasmtime::component::{Component, ComponentExportIndex, InstancePre, Linker};

use crate::cell::State;
use crate::error::{Error, cause};
use crate::footing::Footing;
use crate::mappings::Mappings;
use crate::room::Room;
use crate::{engine, rpc, wasi};

/// The two ways of allocating a cell. An engine knows one only, so there are
/// two of them; what is compiled for the one loads on the other.
pub(crate) struct Tiers {
    /// Places that are there beforehand. `None` where there are to be none.
    pub(crate) pooled: Option<Tier>,
    pub(crate) on_demand: Tier,
}

/// An engine, and the host functions linked for it.
pub(crate) struct Tier {
    engine: Engine,
    linker: Linker<State>,
    places: Arc<Mappings>,
}

/// A component that is ready to be instantiated on a tier.
pub(crate) struct Linked {
    pub(crate) pre: InstancePre<State>,
    /// `wasi:cli/run`'s `run`.
    pub(crate) entry: ComponentExportIndex,
    /// What its code has of the process, given back after it.
    _footing: Arc<Footing>,
    /// The mappings of its engine's pool, which lasts as long as what is linked.
    _places: Arc<Mappings>,
}

impl Tiers {
    /// Tiers with a pool of `cells` places. Whether backtraces name lines of the
    /// source is `source_lines`.
    ///
    /// # Errors
    ///
    /// [`Error::Engine`], also where the system does not give the address space;
    /// [`Error::Full`] when the process may not have as many mappings.
    pub(crate) fn new(cells: u32, source_lines: bool) -> Result<Self, Error> {
        let pooled = || {
            let places = Room::places(cells)?;
            Tier::new(engine::pooled(cells, source_lines)?, places)
        };
        let none = Room::places(0)?;
        Ok(Self {
            pooled: (cells > 0).then(pooled).transpose()?,
            on_demand: Tier::new(engine::on_demand(source_lines)?, none)?,
        })
    }

    /// The engine that compiles for both.
    pub(crate) fn compiler(&self) -> &Engine {
        &self.on_demand.engine
    }

    pub(crate) fn engines(&self) -> impl Iterator<Item = &Engine> {
        let tiers = self.pooled.iter().chain([&self.on_demand]);
        tiers.map(|tier| &tier.engine)
    }
}

impl Tier {
    /// `places` are the mappings that its pool has.
    fn new(engine: Engine, places: Mappings) -> Result<Self, Error> {
        let mut linker = Linker::new(&engine);
        wasi::add_to_linker(&mut linker)
            .and_then(|()| rpc::add_to_linker(&mut linker))
            .map_err(|error| Error::Engine(cause(error)))?;
        Ok(Self {
            engine,
            linker,
            places: Arc::new(places),
        })
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// `footing` is what the component's code has of the process.
    pub(crate) fn link(
        &self,
        component: &Component,
        footing: Arc<Footing>,
    ) -> Result<Linked, Error> {
        let entry = entry(component).ok_or(Error::NoEntry)?;
        let pre = self
            .linker
            .instantiate_pre(component)
            .map_err(|error| unlinked(component, error))?;
        Ok(Linked {
            pre,
            entry,
            _footing: footing,
            _places: self.places.clone(),
        })
    }
}

/// Finds `run` in whichever 0.2 version of `wasi:cli/run` is exported.
fn entry(component: &Component) -> Option<ComponentExportIndex> {
    let interface = component
        .component_type()
        .exports(component.engine())
        .map(|(name, _)| name.to_owned())
        .find(|name| name.starts_with("wasi:cli/run@0.2."))?;
    let instance = component.get_export_index(None, &interface)?;
    component.get_export_index(Some(&instance), "run")
}

fn unlinked(component: &Component, error: wasmtime::Error) -> Error {
    let names: Vec<String> = component
        .component_type()
        .imports(component.engine())
        .map(|(name, _)| name)
        .filter(|name| !rpc::offers(name) && !wasi::offers(name))
        .map(str::to_owned)
        .collect();
    if names.is_empty() {
        Error::Link(cause(error))
    } else {
        Error::Import { names }
    }
}
