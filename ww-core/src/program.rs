use std::fmt;
use std::sync::Arc;

use wasmtime::Engine;
use wasmtime::component::{Component, ComponentExportIndex, InstancePre, Linker};

use crate::cell::State;
use crate::error::{Error, cause};
use crate::rpc;
use crate::runtime::Runtime;
use crate::wasi;

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
    pre: InstancePre<State>,
    entry: ComponentExportIndex,
    imports_rpc: bool,
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

    pub(crate) fn engine(&self) -> &Engine {
        self.runtime.engine()
    }

    pub(crate) fn pre(&self) -> &InstancePre<State> {
        &self.compiled.pre
    }

    /// `wasi:cli/run`'s `run`.
    pub(crate) fn entry(&self) -> &ComponentExportIndex {
        &self.compiled.entry
    }

    /// Whether the component has its RPC connection among its imports.
    pub fn imports_rpc(&self) -> bool {
        self.compiled.imports_rpc
    }
}

impl Compiled {
    /// Compiles `wasm` and links it with `linker`. Takes a processor for a
    /// while.
    pub(crate) fn new(linker: &Linker<State>, wasm: &[u8]) -> Result<Self, Error> {
        if !wasm.starts_with(COMPONENT) {
            return Err(Error::NotAComponent {
                reason: what_else(wasm),
            });
        }
        let engine = linker.engine();
        let component =
            Component::from_binary(engine, wasm).map_err(|error| Error::Compile(cause(error)))?;
        let entry = entry(&component).ok_or(Error::NoEntry)?;
        let imports: Vec<String> = component
            .component_type()
            .imports(engine)
            .map(|(name, _)| name.to_owned())
            .collect();
        let pre = linker
            .instantiate_pre(&component)
            .map_err(|error| unlinked(&imports, error))?;
        let imports_rpc = imports.iter().any(|name| is_any(name, &rpc::INTERFACES));
        Ok(Self {
            pre,
            entry,
            imports_rpc,
        })
    }
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

fn unlinked(imports: &[String], error: wasmtime::Error) -> Error {
    let names: Vec<String> = imports
        .iter()
        .filter(|name| !is_any(name, &rpc::INTERFACES) && !is_any(name, &wasi::INTERFACES))
        .cloned()
        .collect();
    if names.is_empty() {
        Error::Link(cause(error))
    } else {
        Error::Import { names }
    }
}

fn is_any(name: &str, interfaces: &[&str]) -> bool {
    interfaces
        .iter()
        .any(|interface| name.starts_with(interface))
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program")
            .field("imports_rpc", &self.imports_rpc())
            .finish_non_exhaustive()
    }
}
