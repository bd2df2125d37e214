use std::ops::Range;

use wasmparser::types::TypesRef;
use wasmparser::{
    BinaryReader, BinaryReaderError, CanonicalFunction, ComponentAlias, ComponentExport,
    ComponentExternalKind, ComponentImport, ComponentInstance, ComponentOuterAliasKind,
    ComponentTypeRef, Instance, InstanceSectionReader, Payload, SectionLimited, TypeBounds,
    Validator, WasmFeatures,
};

use super::Unweighed;
use super::declared::Declared;
use super::definition::DEPTH;
use super::types::{Extent, Types};

/// Validates a component, as far as that does not take long, which is told before.
///
/// A few bytes can refer to what is large, and whoever validates them goes through all of
/// that, or copies it, where it has resources.
pub(super) struct Validation {
    validator: Validator,
    pub(super) types: Types,
    /// Parts of types that may yet be gone through.
    left: usize,
    /// How often modules and components ended so far, and types were given names.
    ended: usize,
    names: usize,
    /// How many of those may yet be copied.
    copies: usize,
}

/// The most parts of types, each time written out.
pub(super) const TYPES: usize = 1 << 22;

/// The most that is copied of what was there before when modules and components end: all
/// types' names, and for each of those that ended so many as would take as long.
pub(super) const NAMES: usize = 1 << 24;
const ENDED: usize = 4;

/// What the engine can be had to accept. What it refuses is not even read: it may take
/// more than is counted here.
pub(super) const FEATURES: WasmFeatures = WasmFeatures::WASM3
    .union(WasmFeatures::COMPONENT_MODEL)
    .union(WasmFeatures::GC_TYPES)
    .union(WasmFeatures::EXCEPTIONS)
    .union(WasmFeatures::THREADS);

impl Validation {
    pub(super) fn new() -> Self {
        Self {
            validator: Validator::new_with_features(FEATURES),
            types: Types::default(),
            left: TYPES,
            ended: 0,
            names: 0,
            copies: NAMES,
        }
    }

    /// The types of what is being validated, and what is known of types.
    pub(super) fn known(&mut self) -> Option<(TypesRef<'_>, &mut Types)> {
        Some((self.validator.types(0)?, &mut self.types))
    }

    /// Takes what is next of the component `wasm`.
    pub(super) fn take(&mut self, wasm: &[u8], payload: &Payload<'_>) -> Result<(), Unweighed> {
        match payload {
            Payload::ComponentTypeSection(section) => {
                self.each(wasm, section.range(), Self::declared, |validator, one| {
                    validator.component_type_section(&SectionLimited::new(one)?)
                })
            }
            Payload::ComponentImportSection(section) => {
                self.each(wasm, section.range(), Self::imported, |validator, one| {
                    validator.component_import_section(&SectionLimited::new(one)?)
                })
            }
            Payload::ComponentAliasSection(section) => {
                self.each(wasm, section.range(), Self::aliased, |validator, one| {
                    validator.component_alias_section(&SectionLimited::new(one)?)
                })
            }
            Payload::ComponentInstanceSection(section) => {
                self.each(wasm, section.range(), Self::started, |validator, one| {
                    validator.component_instance_section(&SectionLimited::new(one)?)
                })
            }
            Payload::ComponentCanonicalSection(section) => {
                self.each(wasm, section.range(), Self::adapted, |validator, one| {
                    validator.component_canonical_section(&SectionLimited::new(one)?)
                })
            }
            Payload::ComponentExportSection(section) => {
                self.each(wasm, section.range(), Self::exported, |validator, one| {
                    validator.component_export_section(&SectionLimited::new(one)?)
                })
            }
            _ => {
                match payload {
                    Payload::InstanceSection(instances) => self.run(instances)?,
                    Payload::CodeSectionStart { .. } | Payload::End(_) => self.end()?,
                    _ => {}
                }
                self.validator.payload(payload)?;
                Ok(())
            }
        }
    }

    /// Validates the entries of a section one by one, for each of them may refer to those
    /// before it: as sections of one.
    fn each(
        &mut self,
        wasm: &[u8],
        range: Range<usize>,
        count: impl Fn(&mut Self, &mut BinaryReader<'_>) -> Result<(), Unweighed>,
        validate: impl Fn(&mut Validator, BinaryReader<'_>) -> Result<(), BinaryReaderError>,
    ) -> Result<(), Unweighed> {
        let start = range.start;
        let section = wasm.get(range).ok_or(Unweighed::Unclear)?;
        let mut entries = BinaryReader::new_features(section, start, FEATURES);
        let mut one = Vec::new();
        for _ in 0..entries.read_var_u32()? {
            let from = entries.original_position();
            count(self, &mut entries)?;
            let entry = &section[from - start..entries.original_position() - start];
            one.clear();
            one.push(1);
            one.extend_from_slice(entry);
            let one = BinaryReader::new_features(&one, from - 1, FEATURES);
            validate(&mut self.validator, one)?;
        }
        match entries.eof() {
            true => Ok(()),
            false => Err(Unweighed::Unclear),
        }
    }

    fn declared(&mut self, entries: &mut BinaryReader<'_>) -> Result<(), Unweighed> {
        let declared = Declared::read(entries, &self.validator, &mut self.types)?;
        self.names += declared.names;
        let used = declared.used;
        self.count(used)
    }

    fn imported(&mut self, entries: &mut BinaryReader<'_>) -> Result<(), Unweighed> {
        let import: ComponentImport<'_> = entries.read()?;
        self.typed(&import.ty)
    }

    fn aliased(&mut self, entries: &mut BinaryReader<'_>) -> Result<(), Unweighed> {
        if let ComponentAlias::Outer {
            kind: ComponentOuterAliasKind::Type,
            count,
            index,
        } = entries.read()?
            && let Some(known) = self.validator.types(count as usize)
        {
            let extent = self.types.at(&known, index);
            self.count(extent)?;
        }
        Ok(())
    }

    fn started(&mut self, entries: &mut BinaryReader<'_>) -> Result<(), Unweighed> {
        match entries.read()? {
            ComponentInstance::Instantiate {
                component_index,
                args,
            } => {
                let component = self.item(ComponentExternalKind::Component, component_index);
                self.count(component)?;
                for given in &args {
                    let extent = self.item(given.kind, given.index);
                    self.count(extent)?;
                }
            }
            ComponentInstance::FromExports(exports) => {
                for export in &exports {
                    let extent = self.item(export.kind, export.index);
                    self.count(extent)?;
                }
            }
        }
        Ok(())
    }

    /// What a function carries is gone through, written out.
    fn adapted(&mut self, entries: &mut BinaryReader<'_>) -> Result<(), Unweighed> {
        let carries = match entries.read()? {
            CanonicalFunction::Lift { type_index, .. } => {
                self.referred(&ComponentTypeRef::Func(type_index))
            }
            CanonicalFunction::Lower { func_index, .. } => {
                self.item(ComponentExternalKind::Func, func_index)
            }
            _ => Extent::default(),
        };
        self.count(carries)
    }

    fn exported(&mut self, entries: &mut BinaryReader<'_>) -> Result<(), Unweighed> {
        let export: ComponentExport<'_> = entries.read()?;
        if let ComponentExternalKind::Type = export.kind {
            self.names += 1;
        }
        let extent = self.item(export.kind, export.index);
        self.count(extent)?;
        match &export.ty {
            Some(ty) => self.typed(ty),
            None => Ok(()),
        }
    }

    fn typed(&mut self, ty: &ComponentTypeRef) -> Result<(), Unweighed> {
        if let ComponentTypeRef::Type(TypeBounds::Eq(_)) = ty {
            self.names += 1;
        }
        let extent = self.referred(ty);
        self.count(extent)
    }

    /// What modules import and export is gone through once for each of their instances.
    fn run(&mut self, instances: &InstanceSectionReader<'_>) -> Result<(), Unweighed> {
        for instance in instances.clone() {
            if let Instance::Instantiate { module_index, .. } = instance? {
                let module = self.item(ComponentExternalKind::Module, module_index);
                self.count(module)?;
            }
        }
        Ok(())
    }

    /// Whoever validates a module or a component copies, when it ends and when its code
    /// begins, what has ended before and what was given names.
    fn end(&mut self) -> Result<(), Unweighed> {
        self.ended += 1;
        let copied = self.ended * ENDED + self.names;
        let left = self.copies.checked_sub(copied);
        self.copies = left.ok_or(Unweighed::TooSplit)?;
        Ok(())
    }

    /// What an item comes to that is of this type.
    pub(super) fn referred(&mut self, ty: &ComponentTypeRef) -> Extent {
        let extent = self
            .known()
            .map(|(known, types)| types.referred(&known, ty));
        extent.unwrap_or_default()
    }

    /// What an item of the component comes to that is being validated.
    pub(super) fn item(&mut self, kind: ComponentExternalKind, index: u32) -> Extent {
        let extent = self
            .known()
            .map(|(known, types)| types.item(&known, kind, index));
        extent.unwrap_or_default()
    }

    /// Takes note that this is gone through, to be within what is validated.
    fn count(&mut self, used: Extent) -> Result<(), Unweighed> {
        if used.depth >= DEPTH {
            return Err(Unweighed::TooDeep);
        }
        let left = self.left.checked_sub(used.parts);
        self.left = left.ok_or(Unweighed::TooLong)?;
        Ok(())
    }
}
