#![allow(
    unsafe_code,
    reason = "wasmtime cannot check machine code, so loading it is unsafe"
)]

#[cfg(target_os = "linux")]
use std::{
    fs::{self, File},
    io::{self, Write},
    os::fd::AsRawFd,
};

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
        #[cfg(target_os = "linux")]
        if let Ok(sealed) = Sealed::new(&self.0) {
            // SAFETY: as below, and nobody can change the file any more.
            let component = unsafe { Component::deserialize_file(engine, &sealed.path) }?;
            // Made now rather than when the first cell starts.
            component.initialize_copy_on_write_image()?;
            return Ok(component);
        }
        // SAFETY: the bytes come from wasmtime itself, unchanged, as this type
        // guarantees. Settings of the engine are checked by the call.
        unsafe { Component::deserialize(engine, &self.0) }
    }
}

/// A file in memory that is what it is until it is gone.
///
/// Machine code that is mapped from a file is not copied again, and the images
/// of a component's memories are mapped from the same one: each would have a file
/// descriptor of its own otherwise, as long as the component lives.
#[cfg(target_os = "linux")]
struct Sealed {
    /// Its name while this lives.
    path: String,
    _file: File,
}

#[cfg(target_os = "linux")]
impl Sealed {
    /// # Errors
    ///
    /// The system has no such files, or does not mount procfs.
    fn new(bytes: &[u8]) -> io::Result<Self> {
        use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let mut file = File::from(memfd_create("wetware-program", flags)?);
        file.write_all(bytes)?;
        let all = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
        fcntl_add_seals(&file, all)?;
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        fs::metadata(&path)?;
        Ok(Self { path, _file: file })
    }
}
