use std::collections::HashMap;
use std::rc::Rc;

use super::definition::{CARRIED, DEPTH, Definition, Kind, Named, PARTS, Part};
use super::size::Size;
use super::validation::TYPES;
use super::{Unweighed, Weight};

/// Follows what a component instantiates, as the engine will, and adds up what
/// that takes.
///
/// The engine makes of each instance of a component the instances of modules that
/// it has, so components that instantiate others many times can come to any
/// number of them. Beyond [`PARTS`] nobody goes on.
pub(super) struct Linking<'d, 'a> {
    /// Those that were entered. What is defined in one of them refers to it by
    /// its place here.
    scopes: Vec<Scope<'d, 'a>>,
    weight: Weight,
    /// Parts that may yet be.
    left: usize,
    /// Parts of types that may yet be.
    types: usize,
    /// What may yet be written to carry values.
    carried: usize,
    /// Items that may yet be copied.
    copies: usize,
    /// Resources that are known where the linking is, and what may yet be copied for
    /// them.
    resources: usize,
    shared: usize,
    /// How many components are being instantiated.
    depth: usize,
}

/// Bytes that an instance of a component takes for each of its parts.
const PART: usize = 64;

/// The most items that the engine copies, which it does with all that an instance or a
/// component holds each time that it is handed on: a few hundred bytes each.
pub(super) const COPIES: usize = 1 << 20;

/// The most items that the engine copies to look for resources in them: all that an
/// instance holds for each resource that is taken from it.
pub(super) const SHARED: usize = 1 << 23;

/// Resources of which it notes that they are known, for each instance of a component, in
/// the time in which an item is copied.
const KNOWN: usize = 16;

/// An instance of a component, as it comes to be.
struct Scope<'d, 'a> {
    /// The one that the component was defined in.
    around: Option<usize>,
    modules: Vec<Weight>,
    components: Vec<Component<'d, 'a>>,
    instances: Vec<Exports<'d, 'a>>,
}

/// A component and the scope that it was defined in.
#[derive(Clone, Copy)]
struct Component<'d, 'a> {
    definition: &'d Definition<'a>,
    around: Option<usize>,
    /// With what it takes in from around it.
    size: Size,
}

#[derive(Clone)]
enum Item<'d, 'a> {
    Module(Weight),
    Component(Component<'d, 'a>),
    Instance(Exports<'d, 'a>),
}

/// What an instance exports.
#[derive(Clone)]
struct Exports<'d, 'a> {
    by_name: Rc<HashMap<&'a str, Item<'d, 'a>>>,
    size: Size,
}

impl<'d, 'a> Linking<'d, 'a> {
    /// Weighs all that an instance of `root` has, whose modules weigh `defined`
    /// however many instances they have.
    pub(super) fn weigh(root: &'d Definition<'a>, defined: Weight) -> Result<Weight, Unweighed> {
        let mut linking = Self {
            scopes: Vec::new(),
            weight: defined,
            left: PARTS,
            types: TYPES,
            carried: CARRIED,
            copies: COPIES,
            resources: 0,
            shared: SHARED,
            depth: 0,
        };
        let root = Component {
            definition: root,
            around: None,
            size: Size::ONE,
        };
        linking.start(root, None)?;
        Ok(linking.weight)
    }

    /// Makes an instance of `component`; `given` is what it imports, or `None`
    /// where that is the host's, which has neither modules nor components.
    fn start(
        &mut self,
        component: Component<'d, 'a>,
        given: Option<HashMap<&'a str, Item<'d, 'a>>>,
    ) -> Result<Exports<'d, 'a>, Unweighed> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(Unweighed::TooDeep);
        }
        self.count(component.definition.others)?;
        let types = component.definition.types;
        let left = self.types.checked_sub(types.parts);
        self.types = left.ok_or(Unweighed::TooLong)?;
        let left = self.carried.checked_sub(types.carried);
        self.carried = left.ok_or(Unweighed::TooFar)?;
        let known = self.resources;
        self.resources = known.saturating_add(types.resources);
        self.share(self.resources / KNOWN)?;
        let scope = self.scopes.len();
        self.scopes.push(Scope {
            around: component.around,
            modules: Vec::new(),
            components: Vec::new(),
            instances: Vec::new(),
        });
        let mut exports = HashMap::new();
        let mut size = Size::ONE.and(component.definition.exported);
        for part in &component.definition.parts {
            self.count(part.size())?;
            let item = match part {
                Part::Module(weight) => Item::Module(*weight),
                Part::Component(definition) => {
                    let mut size = Size::ONE;
                    for &(kind, count, index) in definition.captured() {
                        size = size.with(self.around(scope, kind, count, index)?.size())?;
                    }
                    Item::Component(Component {
                        definition,
                        around: Some(scope),
                        size,
                    })
                }
                Part::Import(kind, name, resources) => match (&given, kind) {
                    (Some(given), _) => {
                        let item = given.get(name).ok_or(Unweighed::Unclear)?;
                        self.share(item.size().items.saturating_mul(*resources))?;
                        item.clone()
                    }
                    (None, Kind::Instance) => Item::Instance(Exports::of_host()),
                    (None, Kind::Module | Kind::Component) => return Err(Unweighed::NotGiven),
                },
                Part::Outer(kind, count, index) => self.around(scope, *kind, *count, *index)?,
                Part::Pick(kind, instance, name) => {
                    let instance = self.scopes[scope].instances.get(*instance as usize);
                    let instance = instance.ok_or(Unweighed::Unclear)?;
                    match (instance.by_name.get(name), kind) {
                        (Some(item), _) => item.clone(),
                        (None, Kind::Instance) => Item::Instance(Exports::of_host()),
                        (None, Kind::Module | Kind::Component) => return Err(Unweighed::NotGiven),
                    }
                }
                Part::Run(module) => {
                    let module = self.scopes[scope].modules.get(*module as usize);
                    self.weight += *module.ok_or(Unweighed::Unclear)?;
                    continue;
                }
                Part::Start(component, named) => {
                    let component = self.scopes[scope].components.get(*component as usize);
                    let component = *component.ok_or(Unweighed::Unclear)?;
                    let (given, handed) = self.scopes[scope].named(named)?;
                    self.copy(handed)?;
                    Item::Instance(self.start(component, Some(given))?)
                }
                Part::Bundle(named, others) => {
                    let (by_name, size) = self.scopes[scope].named(named)?;
                    Item::Instance(Exports {
                        by_name: Rc::new(by_name),
                        size: size.and(*others),
                    })
                }
                Part::Export(named, resources) => {
                    let item = self.scopes[scope].find(named.kind, named.index)?;
                    self.share(item.size().items.saturating_mul(*resources))?;
                    size = size.with(item.size())?;
                    exports.insert(named.name, item.clone());
                    item
                }
            };
            self.copy(item.size())?;
            self.scopes[scope].add(item);
        }
        self.depth -= 1;
        self.resources = known;
        Ok(Exports {
            by_name: Rc::new(exports),
            size,
        })
    }

    /// An item of the component that stands so many around that of `scope`.
    fn around(
        &self,
        scope: usize,
        kind: Kind,
        count: u32,
        index: u32,
    ) -> Result<Item<'d, 'a>, Unweighed> {
        let mut from = scope;
        for _ in 0..count {
            from = self.scopes[from].around.ok_or(Unweighed::Unclear)?;
        }
        self.scopes[from].find(kind, index)
    }

    /// Takes note that the engine copies so much.
    fn copy(&mut self, size: Size) -> Result<(), Unweighed> {
        let left = self.copies.checked_sub(size.items);
        self.copies = left.ok_or(Unweighed::TooLarge)?;
        Ok(())
    }

    /// Takes note that it copies so much for the sake of resources.
    fn share(&mut self, items: usize) -> Result<(), Unweighed> {
        let left = self.shared.checked_sub(items);
        self.shared = left.ok_or(Unweighed::TooShared)?;
        Ok(())
    }

    fn count(&mut self, parts: usize) -> Result<(), Unweighed> {
        self.left = self.left.checked_sub(parts).ok_or(Unweighed::TooMany)?;
        self.weight += Weight::held(PART) * parts;
        Ok(())
    }
}

impl<'d, 'a> Scope<'d, 'a> {
    fn find(&self, kind: Kind, index: u32) -> Result<Item<'d, 'a>, Unweighed> {
        let index = index as usize;
        let item = match kind {
            Kind::Module => self.modules.get(index).copied().map(Item::Module),
            Kind::Component => self.components.get(index).copied().map(Item::Component),
            Kind::Instance => self.instances.get(index).cloned().map(Item::Instance),
        };
        item.ok_or(Unweighed::Unclear)
    }

    /// Items by their names, and the size of what holds them.
    fn named(
        &self,
        named: &[Named<'a>],
    ) -> Result<(HashMap<&'a str, Item<'d, 'a>>, Size), Unweighed> {
        let mut size = Size::ONE;
        let items = named.iter().map(|named| {
            let item = self.find(named.kind, named.index)?;
            size = size.with(item.size())?;
            Ok((named.name, item))
        });
        let items: Result<_, Unweighed> = items.collect();
        Ok((items?, size))
    }

    fn add(&mut self, item: Item<'d, 'a>) {
        match item {
            Item::Module(weight) => self.modules.push(weight),
            Item::Component(component) => self.components.push(component),
            Item::Instance(exports) => self.instances.push(exports),
        }
    }
}

impl Item<'_, '_> {
    fn size(&self) -> Size {
        match self {
            Self::Module(_) => Size::ONE,
            Self::Component(component) => component.size,
            Self::Instance(exports) => exports.size,
        }
    }
}

impl Exports<'_, '_> {
    /// What the host gives, which holds neither modules nor components.
    fn of_host() -> Self {
        Self {
            by_name: Rc::default(),
            size: Size::ONE,
        }
    }
}
