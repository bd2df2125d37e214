use std::collections::HashMap;
use std::mem;
use std::ops::AddAssign;

use wasmparser::component_types::{
    ComponentAnyTypeId, ComponentCoreModuleTypeId, ComponentCoreTypeId, ComponentDefinedType,
    ComponentEntityType, ComponentItem, ComponentValType,
};
use wasmparser::names::KebabString;
use wasmparser::types::TypesRef;
use wasmparser::{
    CanonicalFunction, ComponentExternalKind, ComponentInstance, ComponentTypeRef, Payload,
    PrimitiveValType, TypeBounds,
};

use super::Unweighed;
use super::size::named;

/// How many parts types have when they are written out, each mention of another
/// type in full: the engine goes through them like that.
#[derive(Default)]
pub(super) struct Types {
    known: HashMap<ComponentAnyTypeId, Extent>,
    modules: HashMap<ComponentCoreModuleTypeId, Extent>,
}

/// What a type comes to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Extent {
    /// Parts, written out. A name counts for its length.
    pub(super) parts: usize,
    /// What the compiler writes to carry values from one component to another.
    pub(super) carried: usize,
    /// Resources that it exports or imports, written out.
    pub(super) resources: usize,
    /// How many instances and components within one another they stand in, added up.
    levels: usize,
    /// How many types are within one another.
    pub(super) depth: usize,
}

/// How many types, functions and instances a component has so far.
#[derive(Default)]
pub(super) struct Seen {
    types: u32,
    functions: u32,
    instances: u32,
}

/// What it writes for a string or a list is this many times what it writes for
/// another value.
const COPY: usize = 40;

/// Parts that take as much as to know of a resource where in an instance it is.
const RESOURCE: usize = 2;

impl Types {
    /// What a section has added to a component, of which `seen` was there before:
    /// its functions and instances, those that it lowers, and what it hands to other
    /// components.
    pub(super) fn added(
        &mut self,
        types: &TypesRef<'_>,
        section: &Payload<'_>,
        seen: &mut Seen,
    ) -> Result<Extent, Unweighed> {
        let now = Seen {
            types: types.component_type_count(),
            functions: types.component_function_count(),
            instances: types.component_instance_count(),
        };
        let before = mem::replace(seen, now);
        let mut added = Extent::default();
        for index in before.types..seen.types {
            let resources = self.at(types, index).resources;
            added.resources = added.resources.saturating_add(resources);
        }
        for index in before.functions..seen.functions {
            let id = ComponentAnyTypeId::Func(types.component_function_at(index));
            added += self.extent(types, id).at_rest();
        }
        for index in before.instances..seen.instances {
            let id = ComponentAnyTypeId::Instance(types.component_instance_at(index));
            added += self.extent(types, id).at_rest();
        }
        match section {
            Payload::ComponentCanonicalSection(functions) => {
                for function in functions.clone() {
                    if let CanonicalFunction::Lower { func_index, .. } = function? {
                        let id = ComponentAnyTypeId::Func(types.component_function_at(func_index));
                        added += self.extent(types, id);
                    }
                }
            }
            Payload::ComponentInstanceSection(instances) => {
                for instance in instances.clone() {
                    let ComponentInstance::Instantiate { args, .. } = instance? else {
                        continue;
                    };
                    for given in &args {
                        added += self.item(types, given.kind, given.index).at_rest();
                    }
                }
            }
            _ => {}
        }
        Ok(added)
    }

    /// What an item of a component comes to, if it is there.
    pub(super) fn item(
        &mut self,
        types: &TypesRef<'_>,
        kind: ComponentExternalKind,
        index: u32,
    ) -> Extent {
        let id = match kind {
            ComponentExternalKind::Type => return self.at(types, index),
            ComponentExternalKind::Module if index < types.module_count() => {
                return self.module(types, types.module_at(index));
            }
            ComponentExternalKind::Func if index < types.component_function_count() => {
                ComponentAnyTypeId::Func(types.component_function_at(index))
            }
            ComponentExternalKind::Instance if index < types.component_instance_count() => {
                ComponentAnyTypeId::Instance(types.component_instance_at(index))
            }
            ComponentExternalKind::Component if index < types.component_count() => {
                ComponentAnyTypeId::Component(types.component_at(index))
            }
            _ => return Extent::default(),
        };
        self.extent(types, id)
    }

    /// What an item comes to that is of this type, if that is there.
    pub(super) fn referred(&mut self, types: &TypesRef<'_>, ty: &ComponentTypeRef) -> Extent {
        match ty {
            ComponentTypeRef::Func(index)
            | ComponentTypeRef::Component(index)
            | ComponentTypeRef::Instance(index)
            | ComponentTypeRef::Type(TypeBounds::Eq(index))
            | ComponentTypeRef::Value(wasmparser::ComponentValType::Type(index)) => {
                self.at(types, *index)
            }
            ComponentTypeRef::Type(TypeBounds::SubResource) => Extent::of_resource(),
            ComponentTypeRef::Module(index) if *index < types.core_type_count_in_component() => {
                match types.core_type_at_in_component(*index) {
                    ComponentCoreTypeId::Module(id) => self.module(types, id),
                    ComponentCoreTypeId::Sub(_) => Extent::default(),
                }
            }
            ComponentTypeRef::Value(wasmparser::ComponentValType::Primitive(_))
            | ComponentTypeRef::Module(_) => Extent::default(),
        }
    }

    /// What the type comes to that a component has at `index`, if it has.
    pub(super) fn at(&mut self, types: &TypesRef<'_>, index: u32) -> Extent {
        if index < types.component_type_count() {
            self.extent(types, types.component_any_type_at(index))
        } else {
            Extent::default()
        }
    }

    /// What a module comes to: what it imports and exports.
    pub(super) fn module(&mut self, types: &TypesRef<'_>, id: ComponentCoreModuleTypeId) -> Extent {
        *self.modules.entry(id).or_insert_with(|| {
            let module = &types[id];
            let imports = module.imports.keys();
            let imports = imports.map(|(from, name)| 1 + named(from) + named(name));
            let exports = module.exports.keys().map(|name| 1 + named(name));
            Extent::said(1 + imports.chain(exports).sum::<usize>())
        })
    }

    /// A valid type of a value does not stand within itself, nor deeper than 100 others;
    /// one of an instance or a component is declared no deeper.
    fn extent(&mut self, types: &TypesRef<'_>, id: ComponentAnyTypeId) -> Extent {
        if let Some(known) = self.known.get(&id) {
            return *known;
        }
        let mut extent = Extent::of(1);
        extent += match id {
            ComponentAnyTypeId::Resource(_) => return Extent::of_resource(),
            ComponentAnyTypeId::Defined(id) => self.defined(types, &types[id]),
            ComponentAnyTypeId::Func(id) => {
                let function = &types[id];
                let names = function.params.iter().map(|(name, _)| name.as_str());
                let mut extent = Extent::said(names.map(named).sum());
                let values = function.params.iter().map(|(_, value)| value);
                extent += self.values(types, values.chain(&function.result));
                extent
            }
            ComponentAnyTypeId::Instance(id) => self.items(types, &types[id].exports).held(),
            ComponentAnyTypeId::Component(id) => {
                let component = &types[id];
                let mut extent = self.items(types, &component.imports);
                extent += self.items(types, &component.exports);
                extent.held()
            }
        };
        let extent = extent.within();
        self.known.insert(id, extent);
        extent
    }

    fn defined(&mut self, types: &TypesRef<'_>, defined: &ComponentDefinedType) -> Extent {
        match defined {
            ComponentDefinedType::Primitive(primitive) => Extent::of_primitive(*primitive),
            ComponentDefinedType::Own(_) | ComponentDefinedType::Borrow(_) => Extent::of(1),
            ComponentDefinedType::Record(record) => {
                let names = record.fields.keys().map(|name| named(name));
                let mut extent = Extent::said(names.sum());
                extent += self.values(types, record.fields.values());
                extent
            }
            ComponentDefinedType::Variant(variant) => {
                let mut extent = Extent::of_cases(variant.cases.keys());
                let cases = variant.cases.values();
                extent += self.values(types, cases.filter_map(|case| case.ty.as_ref()));
                extent
            }
            ComponentDefinedType::Tuple(tuple) => self.values(types, &tuple.types),
            ComponentDefinedType::Flags(names) | ComponentDefinedType::Enum(names) => {
                Extent::of_cases(names)
            }
            ComponentDefinedType::List { element, .. }
            | ComponentDefinedType::FixedLengthList { element, .. } => {
                let mut extent = Extent::copied();
                extent += self.values(types, [element]);
                extent
            }
            ComponentDefinedType::Map { key, value, .. } => {
                let mut extent = Extent::copied();
                extent += self.values(types, [key, value]);
                extent
            }
            ComponentDefinedType::Option { ty, .. } => self.values(types, [ty]),
            ComponentDefinedType::Result { ok, err, .. } => {
                self.values(types, ok.iter().chain(err))
            }
            ComponentDefinedType::Future { ty, .. } | ComponentDefinedType::Stream { ty, .. } => {
                self.values(types, ty)
            }
        }
    }

    fn values<'v>(
        &mut self,
        types: &TypesRef<'_>,
        values: impl IntoIterator<Item = &'v ComponentValType>,
    ) -> Extent {
        let mut extent = Extent::default();
        for value in values {
            extent += match value {
                ComponentValType::Primitive(primitive) => Extent::of_primitive(*primitive),
                ComponentValType::Type(id) => self.extent(types, ComponentAnyTypeId::Defined(*id)),
            };
        }
        extent
    }

    fn items<'i>(
        &mut self,
        types: &TypesRef<'_>,
        items: impl IntoIterator<Item = (&'i String, &'i ComponentItem)>,
    ) -> Extent {
        let mut extent = Extent::default();
        for (name, item) in items {
            extent += Extent::said(named(name));
            extent += match item.ty {
                ComponentEntityType::Module(id) => self.module(types, id),
                ComponentEntityType::Func(id) => self.extent(types, ComponentAnyTypeId::Func(id)),
                ComponentEntityType::Value(value) => self.values(types, [&value]),
                ComponentEntityType::Type { referenced, .. } => self.extent(types, referenced),
                ComponentEntityType::Instance(id) => {
                    self.extent(types, ComponentAnyTypeId::Instance(id))
                }
                ComponentEntityType::Component(id) => self
                    .extent(types, ComponentAnyTypeId::Component(id))
                    .twice(),
            };
        }
        extent
    }
}

impl Extent {
    fn of(parts: usize) -> Self {
        Self {
            parts,
            carried: parts,
            ..Self::default()
        }
    }

    /// What is not carried.
    pub(super) fn said(parts: usize) -> Self {
        Self {
            parts,
            ..Self::default()
        }
    }

    pub(super) fn of_resource() -> Self {
        Self {
            parts: 1,
            resources: 1,
            levels: 1,
            ..Self::default()
        }
    }

    /// What this comes to in an instance or a component that has it: with that goes for
    /// each resource where it is to be found.
    pub(super) fn held(self) -> Self {
        let found = self.resources.saturating_mul(RESOURCE);
        Self {
            parts: self.parts.saturating_add(found).saturating_add(self.levels),
            levels: self.levels.saturating_add(self.resources),
            ..self
        }
    }

    /// Of a type that has this in it.
    pub(super) fn within(self) -> Self {
        Self {
            depth: self.depth + 1,
            ..self
        }
    }

    fn of_cases<'n>(names: impl IntoIterator<Item = &'n KebabString>) -> Self {
        let mut extent = Self::default();
        for name in names {
            extent += Self::of(1);
            extent += Self::said(named(name));
        }
        extent
    }

    /// Of a component that something has: whoever compares components goes through those
    /// within them again, for each that they are in.
    pub(super) fn twice(self) -> Self {
        Self {
            parts: self.parts.saturating_mul(2),
            ..self
        }
    }

    /// Where nothing is carried.
    fn at_rest(self) -> Self {
        Self { carried: 0, ..self }
    }

    fn copied() -> Self {
        Self {
            parts: 1,
            carried: COPY,
            ..Self::default()
        }
    }

    fn of_primitive(primitive: PrimitiveValType) -> Self {
        match primitive {
            PrimitiveValType::String => Self::copied(),
            _ => Self::of(1),
        }
    }
}

impl AddAssign for Extent {
    fn add_assign(&mut self, other: Self) {
        self.parts = self.parts.saturating_add(other.parts);
        self.carried = self.carried.saturating_add(other.carried);
        self.resources = self.resources.saturating_add(other.resources);
        self.levels = self.levels.saturating_add(other.levels);
        self.depth = self.depth.max(other.depth);
    }
}
