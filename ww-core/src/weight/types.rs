use std::collections::HashMap;
use std::mem;
use std::ops::AddAssign;

use wasmparser::component_types::{
    ComponentAnyTypeId, ComponentDefinedType, ComponentEntityType, ComponentItem, ComponentValType,
};
use wasmparser::names::KebabString;
use wasmparser::types::TypesRef;
use wasmparser::{
    CanonicalFunction, ComponentExternalKind, ComponentInstance, ComponentInstanceSectionReader,
    Payload, PrimitiveValType,
};

use super::Unweighed;
use super::size::named;

/// How many parts types have when they are written out, each mention of another
/// type in full: the engine goes through them like that.
#[derive(Default)]
pub(super) struct Types {
    known: HashMap<ComponentAnyTypeId, Extent>,
}

/// What a type comes to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Extent {
    /// Parts, written out. A name counts for its length.
    pub(super) parts: usize,
    /// What the compiler writes to carry values from one component to another.
    pub(super) carried: usize,
}

/// How many functions and instances a component has so far.
#[derive(Default)]
pub(super) struct Seen {
    functions: u32,
    instances: u32,
}

/// What it writes for a string or a list is this many times what it writes for
/// another value, and it writes no more than so much in one function.
const COPY: usize = 40;
const FUNCTION: usize = 1000;

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
            functions: types.component_function_count(),
            instances: types.component_instance_count(),
        };
        let before = mem::replace(seen, now);
        let mut added = Extent::default();
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
                        let Extent { parts, carried } = self.extent(types, id);
                        let carried = carried.min(FUNCTION);
                        added += Extent { parts, carried };
                    }
                }
            }
            Payload::ComponentInstanceSection(instances) => {
                for instance in instances.clone() {
                    let ComponentInstance::Instantiate { args, .. } = instance? else {
                        continue;
                    };
                    for given in &args {
                        let id = match given.kind {
                            ComponentExternalKind::Instance => ComponentAnyTypeId::Instance(
                                types.component_instance_at(given.index),
                            ),
                            ComponentExternalKind::Type => types.component_any_type_at(given.index),
                            ComponentExternalKind::Func => {
                                ComponentAnyTypeId::Func(types.component_function_at(given.index))
                            }
                            ComponentExternalKind::Component => {
                                ComponentAnyTypeId::Component(types.component_at(given.index))
                            }
                            ComponentExternalKind::Module | ComponentExternalKind::Value => {
                                continue;
                            }
                        };
                        added += self.extent(types, id).at_rest();
                    }
                }
            }
            _ => {}
        }
        Ok(added)
    }

    /// How many parts the components have that a section makes instances of: whoever
    /// validates it writes them out, so this is to be asked before.
    pub(super) fn instantiated(
        &mut self,
        types: &TypesRef<'_>,
        section: &ComponentInstanceSectionReader<'_>,
    ) -> Result<usize, Unweighed> {
        let mut parts = 0_usize;
        for instance in section.clone() {
            if let ComponentInstance::Instantiate {
                component_index, ..
            } = instance?
                && component_index < types.component_count()
            {
                let id = ComponentAnyTypeId::Component(types.component_at(component_index));
                parts = parts.saturating_add(self.extent(types, id).parts);
            }
        }
        Ok(parts)
    }

    /// A valid type does not stand within itself, nor deeper than 100 others.
    fn extent(&mut self, types: &TypesRef<'_>, id: ComponentAnyTypeId) -> Extent {
        if let Some(known) = self.known.get(&id) {
            return *known;
        }
        let mut extent = Extent::of(1);
        extent += match id {
            ComponentAnyTypeId::Resource(_) => Extent::default(),
            ComponentAnyTypeId::Defined(id) => self.defined(types, &types[id]),
            ComponentAnyTypeId::Func(id) => {
                let function = &types[id];
                let names = function.params.iter().map(|(name, _)| name.as_str());
                let mut extent = Extent::said(names.map(named).sum());
                let values = function.params.iter().map(|(_, value)| value);
                extent += self.values(types, values.chain(&function.result));
                extent
            }
            ComponentAnyTypeId::Instance(id) => self.items(types, &types[id].exports),
            ComponentAnyTypeId::Component(id) => {
                let component = &types[id];
                let mut extent = self.items(types, &component.imports);
                extent += self.items(types, &component.exports);
                extent
            }
        };
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
                ComponentEntityType::Module(id) => {
                    let module = &types[id];
                    let imports = module.imports.keys();
                    let imports = imports.map(|(from, name)| 1 + named(from) + named(name));
                    let exports = module.exports.keys().map(|name| 1 + named(name));
                    Extent::said(1 + imports.chain(exports).sum::<usize>())
                }
                ComponentEntityType::Func(id) => self.extent(types, ComponentAnyTypeId::Func(id)),
                ComponentEntityType::Value(value) => self.values(types, [&value]),
                ComponentEntityType::Type { referenced, .. } => self.extent(types, referenced),
                ComponentEntityType::Instance(id) => {
                    self.extent(types, ComponentAnyTypeId::Instance(id))
                }
                ComponentEntityType::Component(id) => {
                    self.extent(types, ComponentAnyTypeId::Component(id))
                }
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
        }
    }

    /// What is not carried.
    fn said(parts: usize) -> Self {
        Self { parts, carried: 0 }
    }

    fn of_cases<'n>(names: impl IntoIterator<Item = &'n KebabString>) -> Self {
        let mut extent = Self::default();
        for name in names {
            extent += Self::of(1);
            extent += Self::said(named(name));
        }
        extent
    }

    /// Where nothing is carried.
    fn at_rest(self) -> Self {
        Self::said(self.parts)
    }

    fn copied() -> Self {
        Self {
            parts: 1,
            carried: COPY,
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
    }
}
