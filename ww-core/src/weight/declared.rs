use wasmparser::{
    BinaryReader, ComponentAlias, ComponentDefinedType, ComponentExternalKind, ComponentImport,
    ComponentOuterAliasKind, ComponentType, ComponentTypeRef, ComponentValType, CoreType,
    TypeBounds, Validator,
};

use super::Unweighed;
use super::definition::DEPTH;
use super::size::named;
use super::types::{Extent, Types};

/// A type as a component declares it, before anybody has validated it: whoever does
/// calls itself for each type within another, and copies all of an instance for each
/// time that one of its type is declared.
pub(super) struct Declared<'v> {
    validator: &'v Validator,
    types: &'v mut Types,
    /// The types of instances and components that it is being declared within.
    open: Vec<Scope>,
    /// What whoever validates it goes through.
    pub(super) used: Extent,
    /// How often it calls a type by another name.
    pub(super) names: usize,
}

/// The type of an instance or of a component.
struct Scope {
    /// Declarations of it that are yet to be read.
    left: u32,
    types: Vec<Extent>,
    instances: Vec<Extent>,
    /// What it exports and imports.
    held: Extent,
}

/// How the types of components and of instances begin.
const COMPONENT: u8 = 0x41;
const INSTANCE: u8 = 0x42;

/// How their declarations do.
const CORE_TYPE: u8 = 0x00;
const TYPE: u8 = 0x01;
const ALIAS: u8 = 0x02;
const IMPORT: u8 = 0x03;
const EXPORT: u8 = 0x04;

impl<'v> Declared<'v> {
    /// Reads the next type, of the component that `validator` is in.
    pub(super) fn read(
        reader: &mut BinaryReader<'_>,
        validator: &'v Validator,
        types: &'v mut Types,
    ) -> Result<Self, Unweighed> {
        let mut declared = Self {
            validator,
            types,
            open: Vec::new(),
            used: Extent::default(),
            names: 0,
        };
        declared.begin(reader)?;
        while let Some(scope) = declared.open.last_mut() {
            let Some(left) = scope.left.checked_sub(1) else {
                declared.close();
                continue;
            };
            scope.left = left;
            match reader.read_u8()? {
                CORE_TYPE => drop(reader.read::<CoreType<'_>>()?),
                TYPE => declared.begin(reader)?,
                ALIAS => declared.alias(&reader.read()?),
                // Exports are written like imports.
                IMPORT | EXPORT => declared.item(&reader.read()?),
                _ => return Err(Unweighed::Unclear),
            }
        }
        Ok(declared)
    }

    fn begin(&mut self, reader: &mut BinaryReader<'_>) -> Result<(), Unweighed> {
        let mut ahead = reader.clone();
        if !matches!(ahead.read_u8()?, COMPONENT | INSTANCE) {
            let extent = self.extent_of(&reader.read()?);
            self.add(extent);
            return Ok(());
        }
        if self.open.len() == DEPTH {
            return Err(Unweighed::TooDeep);
        }
        let left = ahead.read_var_u32()?;
        *reader = ahead;
        self.open.push(Scope {
            left,
            types: Vec::new(),
            instances: Vec::new(),
            held: Extent::default(),
        });
        Ok(())
    }

    fn close(&mut self) {
        if let Some(scope) = self.open.pop() {
            let mut extent = Extent::said(1);
            extent += scope.held.held();
            self.add(extent.within());
        }
    }

    fn add(&mut self, extent: Extent) {
        if let Some(scope) = self.open.last_mut() {
            scope.types.push(extent);
        }
    }

    fn alias(&mut self, alias: &ComponentAlias<'_>) {
        match *alias {
            ComponentAlias::InstanceExport {
                kind,
                instance_index,
                ..
            } => {
                let Some(scope) = self.open.last_mut() else {
                    return;
                };
                // What an instance exports is no more than the instance.
                let instance = scope.instances.get(instance_index as usize).copied();
                match kind {
                    ComponentExternalKind::Instance => &mut scope.instances,
                    ComponentExternalKind::Type => &mut scope.types,
                    // Not in a type.
                    _ => return,
                }
                .push(instance.unwrap_or_default());
            }
            ComponentAlias::Outer {
                kind: ComponentOuterAliasKind::Type,
                count,
                index,
            } => {
                let extent = self.outer(count, index);
                // What comes from another component must have no resources of its.
                if count as usize > self.open.len() {
                    self.used += extent;
                }
                self.add(extent);
            }
            _ => {}
        }
    }

    fn item(&mut self, item: &ComponentImport<'_>) {
        let extent = match item.ty {
            ComponentTypeRef::Func(index)
            | ComponentTypeRef::Instance(index)
            | ComponentTypeRef::Type(TypeBounds::Eq(index))
            | ComponentTypeRef::Value(ComponentValType::Type(index)) => self.outer(0, index),
            ComponentTypeRef::Component(index) => self.outer(0, index).twice(),
            ComponentTypeRef::Type(TypeBounds::SubResource) => Extent::of_resource(),
            ComponentTypeRef::Value(ComponentValType::Primitive(_))
            | ComponentTypeRef::Module(_) => Extent::said(1),
        };
        self.used += extent;
        let Some(scope) = self.open.last_mut() else {
            return;
        };
        scope.held += extent;
        scope.held += Extent::said(named(item.name.name));
        match item.ty {
            ComponentTypeRef::Type(bounds) => {
                scope.types.push(extent);
                self.names += usize::from(matches!(bounds, TypeBounds::Eq(_)));
            }
            ComponentTypeRef::Instance(_) => scope.instances.push(extent),
            _ => {}
        }
    }

    /// A type of what stands so many around what is being declared.
    fn outer(&mut self, count: u32, index: u32) -> Extent {
        let count = count as usize;
        if let Some(scope) = self.open.iter().nth_back(count) {
            return scope.types.get(index as usize).copied().unwrap_or_default();
        }
        match self.validator.types(count - self.open.len()) {
            Some(known) => self.types.at(&known, index),
            None => Extent::default(),
        }
    }

    fn extent_of(&mut self, declared: &ComponentType<'_>) -> Extent {
        let (names, values): (Vec<&str>, Vec<&ComponentValType>) = match declared {
            ComponentType::Func(function) => (
                function.params.iter().map(|(name, _)| *name).collect(),
                function
                    .params
                    .iter()
                    .map(|(_, value)| value)
                    .chain(&function.result)
                    .collect(),
            ),
            ComponentType::Defined(defined) => match defined {
                ComponentDefinedType::Record(fields) => (
                    fields.iter().map(|(name, _)| *name).collect(),
                    fields.iter().map(|(_, value)| value).collect(),
                ),
                ComponentDefinedType::Variant(cases) => (
                    cases.iter().map(|case| case.name).collect(),
                    cases.iter().filter_map(|case| case.ty.as_ref()).collect(),
                ),
                ComponentDefinedType::Flags(names) | ComponentDefinedType::Enum(names) => {
                    (names.to_vec(), Vec::new())
                }
                ComponentDefinedType::Tuple(values) => (Vec::new(), values.iter().collect()),
                ComponentDefinedType::List(value)
                | ComponentDefinedType::FixedLengthList(value, _)
                | ComponentDefinedType::Option(value) => (Vec::new(), vec![value]),
                ComponentDefinedType::Map(key, value) => (Vec::new(), vec![key, value]),
                ComponentDefinedType::Result { ok, err } => {
                    (Vec::new(), ok.iter().chain(err).collect())
                }
                ComponentDefinedType::Future(value) | ComponentDefinedType::Stream(value) => {
                    (Vec::new(), value.iter().collect())
                }
                ComponentDefinedType::Primitive(_)
                | ComponentDefinedType::Own(_)
                | ComponentDefinedType::Borrow(_) => Default::default(),
            },
            _ => Default::default(),
        };
        let names: usize = names.into_iter().map(|name| 1 + named(name)).sum();
        let mut extent = Extent::said(1 + names);
        for value in values {
            extent += match value {
                ComponentValType::Primitive(_) => Extent::said(1),
                ComponentValType::Type(index) => self.outer(0, *index),
            };
        }
        extent.within()
    }
}
