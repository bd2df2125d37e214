#![allow(
    unsafe_code,
    reason = "wasmtime cannot check machine code, so loading it is unsafe"
)]

use bytes::Bytes;
use wasmtime::Engine;
use wasmtime::component::Component;

/// The machine code of a component, as this library had it made.
///
/// Machine code is trusted, so there are only three ways to one: compiling a
/// component, writing out one that is loaded, and [`Artifact::sealed`].
pub(crate) struct Artifact(Bytes);

impl Artifact {
    /// Compiles a component in binary form.
    pub(crate) fn compile(engine: &Engine, wasm: &[u8]) -> wasmtime::Result<Self> {
        Ok(Self(engine.precompile_component(wasm)?.into()))
    }

    /// What `component` was loaded from.
    pub(crate) fn of(component: &Component) -> wasmtime::Result<Self> {
        Ok(Self(component.serialize()?.into()))
    }

    /// Bytes whose seal proves that they were an artifact's
    /// [`bytes`](Self::bytes).
    pub(crate) fn sealed(_: crate::cache::Unbroken, bytes: Bytes) -> Self {
        Self(bytes)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The component, for an engine of the same compile settings as the one
    /// that it was compiled by.
    ///
    /// # Errors
    ///
    /// The engine's settings are others, or it has a pool whose places the
    /// component does not fit.
    pub(crate) fn load(&self, engine: &Engine) -> wasmtime::Result<Component> {
        // SAFETY: the bytes come from wasmtime itself, unchanged, as this type
        // guarantees. Settings of the engine are checked by the call.
        unsafe { Component::deserialize(engine, &self.0) }
    }
}
