use std::collections::HashMap;
use std::mem;

use wasmparser::component_types::{
    ComponentAnyTypeId, ComponentDefinedType, ComponentEntityType, ComponentItem, ComponentValType,
};
use wasmparser::types::TypesRef;
use wasmparser::{CanonicalFunction, ComponentExternalKind, ComponentInstance, Payload};

use super::Unweighed;

/// How many parts types have when they are written out, each mention of another
/// type in full: the engine goes through them like that.
#[derive(Default)]
pub(super) struct Types {
    known: HashMap<ComponentAnyTypeId, usize>,
}

/// How many functions and instances a component has so far.
#[derive(Default)]
pub(super) struct Seen {
    functions: u32,
    instances: u32,
}

impl Types {
    /// The parts of what a section has added to a component, of which `seen` was
    /// there before: its functions and instances, those that it lowers, and those
    /// that it hands to other components.
    pub(super) fn added(
        &mut self,
        types: &TypesRef<'_>,
        section: &Payload<'_>,
        seen: &mut Seen,
    ) -> Result<usize, Unweighed> {
        let now = Seen {
            functions: types.component_function_count(),
            instances: types.component_instance_count(),
        };
        let before = mem::replace(seen, now);
        let mut parts = 0_usize;
        for index in before.functions..seen.functions {
            let id = ComponentAnyTypeId::Func(types.component_function_at(index));
            parts = parts.saturating_add(self.parts(types, id));
        }
        for index in before.instances..seen.instances {
            let id = ComponentAnyTypeId::Instance(types.component_instance_at(index));
            parts = parts.saturating_add(self.parts(types, id));
        }
        match section {
            Payload::ComponentCanonicalSection(functions) => {
                for function in functions.clone() {
                    if let CanonicalFunction::Lower { func_index, .. } = function? {
                        let id = ComponentAnyTypeId::Func(types.component_function_at(func_index));
                        parts = parts.saturating_add(self.parts(types, id));
                    }
                }
            }
            Payload::ComponentInstanceSection(instances) => {
                for instance in instances.clone() {
                    let ComponentInstance::Instantiate { args, .. } = instance? else {
                        continue;
                    };
                    let given = args.iter();
                    for given in given.filter(|arg| arg.kind == ComponentExternalKind::Instance) {
                        let id = types.component_instance_at(given.index);
                        let id = ComponentAnyTypeId::Instance(id);
                        parts = parts.saturating_add(self.parts(types, id));
                    }
                }
            }
            _ => {}
        }
        Ok(parts)
    }

    /// A valid type does not stand within itself, nor deeper than 100 others.
    fn parts(&mut self, types: &TypesRef<'_>, id: ComponentAnyTypeId) -> usize {
        if let Some(known) = self.known.get(&id) {
            return *known;
        }
        let within = match id {
            ComponentAnyTypeId::Resource(_) => 0,
            ComponentAnyTypeId::Defined(id) => self.defined(types, &types[id]),
            ComponentAnyTypeId::Func(id) => {
                let function = &types[id];
                let values = function.params.iter().map(|(_, value)| value);
                self.values(types, values.chain(&function.result))
            }
            ComponentAnyTypeId::Instance(id) => self.items(types, types[id].exports.values()),
            ComponentAnyTypeId::Component(id) => {
                let component = &types[id];
                let items = component.imports.values().chain(component.exports.values());
                self.items(types, items)
            }
        };
        let parts = within.saturating_add(1);
        self.known.insert(id, parts);
        parts
    }

    fn defined(&mut self, types: &TypesRef<'_>, defined: &ComponentDefinedType) -> usize {
        match defined {
            ComponentDefinedType::Primitive(_)
            | ComponentDefinedType::Own(_)
            | ComponentDefinedType::Borrow(_) => 0,
            ComponentDefinedType::Record(record) => self.values(types, record.fields.values()),
            ComponentDefinedType::Variant(variant) => {
                let cases = variant.cases.values();
                let named = variant.cases.len();
                self.values(types, cases.filter_map(|case| case.ty.as_ref())) + named
            }
            ComponentDefinedType::Tuple(tuple) => self.values(types, &tuple.types),
            ComponentDefinedType::Flags(names) | ComponentDefinedType::Enum(names) => names.len(),
            ComponentDefinedType::List { element, .. }
            | ComponentDefinedType::FixedLengthList { element, .. } => {
                self.values(types, [element])
            }
            ComponentDefinedType::Map { key, value, .. } => self.values(types, [key, value]),
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
    ) -> usize {
        let parts = values.into_iter().map(|value| match value {
            ComponentValType::Primitive(_) => 1,
            ComponentValType::Type(id) => self.parts(types, ComponentAnyTypeId::Defined(*id)),
        });
        parts.fold(0, usize::saturating_add)
    }

    fn items<'i>(
        &mut self,
        types: &TypesRef<'_>,
        items: impl Iterator<Item = &'i ComponentItem>,
    ) -> usize {
        let parts = items.map(|item| match item.ty {
            ComponentEntityType::Module(id) => {
                let module = &types[id];
                module.imports.len() + module.exports.len() + 1
            }
            ComponentEntityType::Func(id) => self.parts(types, ComponentAnyTypeId::Func(id)),
            ComponentEntityType::Value(value) => self.values(types, [&value]),
            ComponentEntityType::Type { referenced, .. } => self.parts(types, referenced),
            ComponentEntityType::Instance(id) => {
                self.parts(types, ComponentAnyTypeId::Instance(id))
            }
            ComponentEntityType::Component(id) => {
                self.parts(types, ComponentAnyTypeId::Component(id))
            }
        });
        parts.fold(0, usize::saturating_add)
    }
}
