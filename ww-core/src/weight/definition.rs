use wasmparser::{
    ComponentAlias, ComponentExternalKind, ComponentInstance, ComponentOuterAliasKind, Encoding,
    Instance, Parser, Payload,
};

use super::code::Effort;
use super::module::Module;
use super::size;
use super::types::{Extent, Seen};
use super::validation::{FEATURES, Validation};
use super::{Unweighed, Weight};

/// The most parts of a component, and of what it instantiates.
pub(super) const PARTS: usize = 1 << 18;

/// The most components or instances within one another, and components that
/// instantiate one another.
pub(super) const DEPTH: usize = 100;

/// The most that the compiler writes to carry values between components: seconds.
pub(super) const CARRIED: usize = 1 << 18;

/// A component as it is written down.
#[derive(Default)]
pub(super) struct Definition<'a> {
    /// In order, what says of what it has instances.
    pub(super) parts: Vec<Part<'a>>,
    /// How many other parts it has: functions and types that it imports, exports,
    /// lifts, lowers or passes on. The names count for their length by which it looks
    /// for whatever it imports, passes on or takes from an instance.
    pub(super) others: usize,
    /// What the types of its functions and instances come to.
    pub(super) types: Extent,
    /// How many of the other parts it exports, names counted for their length.
    pub(super) exported: usize,
    /// What it takes in from around it by aliases, for itself and for what is defined
    /// in it: the component that stands so many around the next one, and the item.
    captured: Vec<(Kind, u32, u32)>,
}

/// A module or component, or an instance of one.
pub(super) enum Part<'a> {
    Module(Weight),
    Component(Definition<'a>),
    /// With so many resources, by its type.
    Import(Kind, &'a str, usize),
    /// An item of the component that stands so many around this one.
    Outer(Kind, u32, u32),
    /// What an instance exports.
    Pick(Kind, u32, &'a str),
    /// An instance of a module.
    Run(u32),
    /// An instance of a component.
    Start(u32, Vec<Named<'a>>),
    /// An instance of what is there, of which so many are other parts.
    Bundle(Vec<Named<'a>>, usize),
    /// With so many resources, by its type.
    Export(Named<'a>, usize),
}

/// An item that goes by a name.
pub(super) struct Named<'a> {
    pub(super) name: &'a str,
    pub(super) kind: Kind,
    pub(super) index: u32,
}

#[derive(Clone, Copy)]
pub(super) enum Kind {
    Module,
    Component,
    Instance,
}

/// What is being read.
enum Open<'a> {
    Module(Box<Module>),
    Component(Definition<'a>, Seen),
}

impl<'a> Definition<'a> {
    /// Reads a component in binary form. Also answers what the modules that it
    /// defines take for themselves.
    pub(super) fn read(wasm: &'a [u8]) -> Result<(Self, Weight), Unweighed> {
        let (mut defined, mut effort) = (Weight::default(), Effort::default());
        let mut validation = Validation::new();
        let mut open: Vec<Open<'a>> = Vec::new();
        let mut left = PARTS;
        let mut parser = Parser::new(0);
        parser.set_features(FEATURES);
        for payload in parser.parse_all(wasm) {
            let payload = payload?;
            // All that is below can be told only of what is valid so far.
            validation.take(wasm, &payload)?;
            let depth = open.len();
            match (payload, open.last_mut()) {
                (Payload::Version { .. }, _) if depth == DEPTH => {
                    return Err(Unweighed::TooDeep);
                }
                (Payload::Version { encoding, .. }, _) => open.push(match encoding {
                    Encoding::Module => Open::Module(Box::default()),
                    Encoding::Component => Open::Component(Self::default(), Seen::default()),
                }),
                (Payload::End(_), _) => {
                    let part = match open.pop().ok_or(Unweighed::Unclear)? {
                        Open::Module(module) => {
                            defined += module.compiled();
                            Part::Module(module.weight())
                        }
                        Open::Component(definition, _) if open.is_empty() => {
                            return Ok((definition, defined));
                        }
                        Open::Component(definition, _) => {
                            if let Some(Open::Component(around, _)) = open.last_mut() {
                                around.capture(&definition, &mut left)?;
                            }
                            Part::Component(definition)
                        }
                    };
                    match open.last_mut() {
                        Some(Open::Component(around, _)) => around.parts.push(part),
                        _ => return Err(Unweighed::Unclear),
                    }
                    left = left.checked_sub(1).ok_or(Unweighed::TooMany)?;
                }
                (payload, Some(Open::Module(module))) => {
                    effort += module.take(&payload)?;
                    effort.bounded(wasm.len())?;
                }
                (payload, Some(Open::Component(definition, seen))) => {
                    if let Some((known, types)) = validation.known() {
                        definition.types += types.added(&known, &payload, seen)?;
                    }
                    definition.take(payload, &mut validation, &mut left)?;
                }
                (_, None) => return Err(Unweighed::Unclear),
            }
        }
        Err(Unweighed::Unclear)
    }

    fn take(
        &mut self,
        payload: Payload<'a>,
        validation: &mut Validation,
        left: &mut usize,
    ) -> Result<(), Unweighed> {
        match payload {
            Payload::ComponentImportSection(imports) => {
                for import in imports {
                    let import = import?;
                    self.others += size::named(import.name.name);
                    match Kind::of(import.ty.kind()) {
                        Some(kind) => {
                            let resources = validation.referred(&import.ty).resources;
                            self.add(Part::Import(kind, import.name.name, resources), left)?;
                        }
                        None => self.others += 1,
                    }
                }
            }
            Payload::ComponentAliasSection(aliases) => {
                for alias in aliases {
                    let part = match alias? {
                        ComponentAlias::InstanceExport {
                            kind,
                            instance_index,
                            name,
                        } => {
                            self.others += size::named(name);
                            Kind::of(kind).map(|kind| Part::Pick(kind, instance_index, name))
                        }
                        ComponentAlias::Outer { kind, count, index } => {
                            let kind = match kind {
                                ComponentOuterAliasKind::CoreModule => Some(Kind::Module),
                                ComponentOuterAliasKind::Component => Some(Kind::Component),
                                _ => None,
                            };
                            if let (Some(kind), Some(beyond)) = (kind, count.checked_sub(1)) {
                                self.captured.push((kind, beyond, index));
                            }
                            kind.map(|kind| Part::Outer(kind, count, index))
                        }
                        ComponentAlias::CoreInstanceExport { .. } => None,
                    };
                    match part {
                        Some(part) => self.add(part, left)?,
                        None => self.others += 1,
                    }
                }
            }
            Payload::InstanceSection(instances) => {
                for instance in instances {
                    match instance? {
                        Instance::Instantiate { module_index, args } => {
                            self.others += args.len();
                            self.add(Part::Run(module_index), left)?;
                        }
                        Instance::FromExports(exports) => self.others += exports.len(),
                    }
                }
            }
            Payload::ComponentInstanceSection(instances) => {
                for instance in instances {
                    let part = match instance? {
                        ComponentInstance::Instantiate {
                            component_index,
                            args,
                        } => {
                            let named = args.iter().map(|a| Named::of(a.name, a.kind, a.index));
                            let named: Vec<_> = named.flatten().collect();
                            let names = args.iter().map(|a| size::named(a.name));
                            self.others += args.len() - named.len() + names.sum::<usize>();
                            Part::Start(component_index, named)
                        }
                        ComponentInstance::FromExports(exports) => {
                            let named = exports.iter();
                            let named = named.map(|e| Named::of(e.name.name, e.kind, e.index));
                            let named: Vec<_> = named.flatten().collect();
                            let others = exports.len() - named.len();
                            self.others += others;
                            let names = exports.iter().map(|e| size::named(e.name.name));
                            Part::Bundle(named, others + names.sum::<usize>())
                        }
                    };
                    self.add(part, left)?;
                }
            }
            Payload::ComponentExportSection(exports) => {
                for export in exports {
                    let export = export?;
                    self.exported += size::named(export.name.name);
                    match Named::of(export.name.name, export.kind, export.index) {
                        Some(named) => {
                            let resources = validation.item(export.kind, export.index).resources;
                            self.add(Part::Export(named, resources), left)?;
                        }
                        None => {
                            self.others += 1;
                            self.exported += 1;
                        }
                    }
                }
            }
            Payload::ComponentCanonicalSection(functions) => {
                self.others += functions.count() as usize;
            }
            Payload::ComponentTypeSection(types) => self.others += types.count() as usize,
            _ => {}
        }
        Ok(())
    }

    /// Takes in what a component that is defined in it does, where that is not its
    /// own.
    fn capture(&mut self, inner: &Self, left: &mut usize) -> Result<(), Unweighed> {
        let captured = inner.captured.iter();
        let beyond = captured.filter_map(|&(kind, count, index)| {
            let count = count.checked_sub(1)?;
            Some((kind, count, index))
        });
        let before = self.captured.len();
        self.captured.extend(beyond);
        let more = self.captured.len() - before;
        *left = left.checked_sub(more).ok_or(Unweighed::TooMany)?;
        Ok(())
    }

    /// What it takes in from around it.
    pub(super) fn captured(&self) -> &[(Kind, u32, u32)] {
        &self.captured
    }

    fn add(&mut self, part: Part<'a>, left: &mut usize) -> Result<(), Unweighed> {
        *left = left.checked_sub(part.size()).ok_or(Unweighed::TooMany)?;
        self.parts.push(part);
        Ok(())
    }
}

impl Part<'_> {
    /// How many parts it counts as.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Start(_, named) | Self::Bundle(named, _) => 1 + named.len(),
            _ => 1,
        }
    }
}

impl<'a> Named<'a> {
    fn of(name: &'a str, kind: ComponentExternalKind, index: u32) -> Option<Self> {
        Kind::of(kind).map(|kind| Self { name, kind, index })
    }
}

impl Kind {
    fn of(kind: ComponentExternalKind) -> Option<Self> {
        match kind {
            ComponentExternalKind::Module => Some(Self::Module),
            ComponentExternalKind::Component => Some(Self::Component),
            ComponentExternalKind::Instance => Some(Self::Instance),
            _ => None,
        }
    }
}
