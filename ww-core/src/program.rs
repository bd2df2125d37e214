use std::fmt;
use std::iter;
use std::sync::Arc;

use async_lock::OnceCell;

use crate::artifact::Artifact;
use crate::cell::{Limit, Limits};
use crate::engine;
use crate::error::{Error, cause};
use crate::footing::Footing;
use crate::phase::{Phase, Progress};
use crate::programs::Hash;
use crate::room::Seat;
use crate::rpc;
use crate::runtime::Runtime;
use crate::tier::{Linked, Tier, Tiers};
use crate::weight::Weight;

/// A compiled and linked component. Spawning from it touches no file, no
/// hash and no map.
///
/// Cheap to clone. Keeps its runtime alive.
#[derive(Clone)]
pub struct Program {
    runtime: Runtime,
    compiled: Arc<Compiled>,
}

/// A program without its runtime, as the runtime remembers it.
pub(crate) struct Compiled {
    /// For the pool, where the component fits that, or else for outside.
    linked: Arc<Linked>,
    fits_pool: bool,
    /// For outside, where the above is for the pool: loaded when that was full
    /// for the first time.
    spilled: OnceCell<Arc<Linked>>,
    imports_rpc: bool,
    /// Linear memories that an instance has.
    memories: usize,
    /// Bytes that its instances take beside those and tables.
    instances: usize,
    /// Bytes of machine code.
    size: usize,
    hash: Hash,
}

/// Where a cell is to be allocated.
pub(crate) struct Place {
    pub(crate) linked: Arc<Linked>,
    /// Held until the instance has gone.
    _seat: Seat,
}

/// The first bytes of a component in binary form: magic, version 13, layer 1.
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

/// The first bytes of a core module in binary form: magic, version 1.
const MODULE: &[u8] = b"\0asm\x01\0\0\0";

impl Program {
    pub(crate) fn new(runtime: Runtime, compiled: Arc<Compiled>) -> Self {
        Self { runtime, compiled }
    }

    pub(crate) fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// Whether the component has its RPC connection among its imports.
    pub fn imports_rpc(&self) -> bool {
        self.compiled.imports_rpc
    }

    /// Tells it from all others, as long as it is held.
    pub(crate) fn identity(&self) -> usize {
        Arc::as_ptr(&self.compiled).addr()
    }

    /// Bytes of machine code.
    pub(crate) fn size(&self) -> usize {
        self.compiled.size()
    }

    pub(crate) fn hash(&self) -> Hash {
        self.compiled.hash()
    }

    /// Bytes that its instances take beside linear memories and tables.
    pub(crate) fn instances(&self) -> usize {
        self.compiled.instances
    }

    /// A place for one cell: in the pool where that has one for it, otherwise
    /// outside.
    ///
    /// # Errors
    ///
    /// [`Error::Full`]; [`Error::Limit`], if its instances alone need more memory
    /// than the limits allow.
    pub(crate) async fn place(&self, limits: &Limits) -> Result<Place, Error> {
        if self.instances() > limits.memory {
            return Err(limits.exceeded(Limit::Memory));
        }
        let (room, compiled) = (self.runtime.room(), &self.compiled);
        if compiled.fits_pool
            && engine::fits_pool(limits)
            && let Some(seat) = room.pooled()
        {
            let linked = compiled.linked.clone();
            return Ok(Place::new(linked, seat));
        }
        // The cell ends with the first one beyond its limit.
        let memories = compiled.memories.min(limits.memories);
        let seat = room.on_demand(memories)?;
        let linked = compiled.outside(&self.runtime).await?;
        Ok(Place::new(linked, seat))
    }
}

impl Place {
    fn new(linked: Arc<Linked>, seat: Seat) -> Self {
        Self {
            linked,
            _seat: seat,
        }
    }
}

impl Compiled {
    /// Compiles `wasm` and links it, and shows `keep` what it made, and the bytes
    /// that its instances take. Takes a processor for a while.
    pub(crate) fn compile(
        tiers: &Tiers,
        hash: Hash,
        wasm: &[u8],
        progress: &Progress,
        footing: Arc<Footing>,
        keep: impl FnOnce(&Artifact, usize),
    ) -> Result<Self, Error> {
        if !wasm.starts_with(COMPONENT) {
            return Err(Error::NotAComponent {
                reason: what_else(wasm),
            });
        }
        progress.begin(Phase::Compiling);
        let instances = Weight::of(wasm)?.memory();
        let artifact = Artifact::compile(tiers.compiler(), wasm)
            .map_err(|error| Error::Compile(cause(error)))?;
        progress.begin(Phase::Linking);
        let compiled = Self::load(tiers, hash, &artifact, instances, footing)?;
        keep(&artifact, instances);
        Ok(compiled)
    }

    /// Loads and links what the component of this hash was compiled to, whose instances
    /// take so many bytes.
    pub(crate) fn load(
        tiers: &Tiers,
        hash: Hash,
        artifact: &Artifact,
        instances: usize,
        footing: Arc<Footing>,
    ) -> Result<Self, Error> {
        let pooled = match &tiers.pooled {
            // What does not fit the pool is no error.
            Some(tier) => artifact.load(tier.engine()).ok().map(|fits| (tier, fits)),
            None => None,
        };
        let fits_pool = pooled.is_some();
        let linked = match pooled {
            Some((tier, component)) => Arc::new(tier.link(&component, footing)?),
            None => load(&tiers.on_demand, artifact, footing)?,
        };
        let component = linked.pre.component();
        let imports_rpc = component
            .component_type()
            .imports(component.engine())
            .any(|(name, _)| rpc::offers(name));
        let required = component.resources_required();
        Ok(Self {
            fits_pool,
            spilled: OnceCell::new(),
            imports_rpc,
            memories: required.map_or(0, |required| required.num_memories as usize),
            instances,
            size: artifact.bytes().len(),
            hash,
            linked,
        })
    }

    /// Bytes of machine code.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// Whether cells run from it, so that it takes what it takes without this.
    pub(crate) fn is_in_use(&self) -> bool {
        let mut all = iter::once(&self.linked).chain(self.spilled.get());
        all.any(|linked| Arc::strong_count(linked) > 1)
    }

    pub(crate) fn hash(&self) -> Hash {
        self.hash
    }

    /// The program as it runs outside the pool.
    async fn outside(self: &Arc<Self>, runtime: &Runtime) -> Result<Arc<Linked>, Error> {
        if !self.fits_pool {
            return Ok(self.linked.clone());
        }
        let spill = async || {
            let footing = runtime.footing()?;
            let (this, tiers) = (self.clone(), runtime.tiers().clone());
            let spill = move || {
                let artifact = Artifact::of(this.linked.pre.component())
                    .map_err(|error| Error::Compile(cause(error)))?;
                load(&tiers.on_demand, &artifact, footing)
            };
            blocking::unblock(spill).await
        };
        self.spilled.get_or_try_init(spill).await.cloned()
    }
}

fn load(tier: &Tier, artifact: &Artifact, footing: Arc<Footing>) -> Result<Arc<Linked>, Error> {
    let component = artifact
        .load(tier.engine())
        .map_err(|error| Error::Compile(cause(error)))?;
    tier.link(&component, footing).map(Arc::new)
}

/// What bytes are that are not a component.
fn what_else(wasm: &[u8]) -> &'static str {
    if wasm.is_empty() {
        "there are no bytes"
    } else if wasm.starts_with(MODULE) {
        "it is a core module; build for wasm32-wasip2, or wrap it with `wasm-tools component new`"
    } else if wasm.starts_with(&MODULE[..4]) {
        "it is WebAssembly of another version"
    } else {
        "it does not begin as WebAssembly does"
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program")
            .field("imports_rpc", &self.imports_rpc())
            .finish_non_exhaustive()
    }
}
