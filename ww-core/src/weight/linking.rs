use std::collections::HashMap;
use std::rc::Rc;

use super::definition::{DEPTH, Definition, Kind, Named, PARTS, Part, TYPES};
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
    /// How many components are being instantiated.
    depth: usize,
}

/// Bytes that an instance of a component takes for each of its parts.
const PART: usize = 64;

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
}

#[derive(Clone)]
enum Item<'d, 'a> {
    Module(Weight),
    Component(Component<'d, 'a>),
    Instance(Exports<'d, 'a>),
}

/// What an instance exports, by name. No deeper within one another than a valid
/// type.
type Exports<'d, 'a> = Rc<HashMap<&'a str, Item<'d, 'a>>>;

impl<'d, 'a> Linking<'d, 'a> {
    /// Weighs all that an instance of `root` has, whose modules weigh `defined`
    /// however many instances they have.
    pub(super) fn weigh(root: &'d Definition<'a>, defined: Weight) -> Result<Weight, Unweighed> {
        let mut linking = Self {
            scopes: Vec::new(),
            weight: defined,
            left: PARTS,
            types: TYPES,
            depth: 0,
        };
        let root = Component {
            definition: root,
            around: None,
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
        let types = self.types.checked_sub(component.definition.types);
        self.types = types.ok_or(Unweighed::TooLong)?;
        let scope = self.scopes.len();
        self.scopes.push(Scope {
            around: component.around,
            modules: Vec::new(),
            components: Vec::new(),
            instances: Vec::new(),
        });
        let mut exports = HashMap::new();
        for part in &component.definition.parts {
            self.count(part.size())?;
            let item = match part {
                Part::Module(weight) => Item::Module(*weight),
                Part::Component(definition) => Item::Component(Component {
                    definition,
                    around: Some(scope),
                }),
                Part::Import(kind, name) => match (&given, kind) {
                    (Some(given), _) => given.get(name).cloned().ok_or(Unweighed::Unclear)?,
                    (None, Kind::Module) => Item::Module(Weight::default()),
                    (None, Kind::Component) => return Err(Unweighed::Unclear),
                    (None, Kind::Instance) => Item::Instance(Rc::default()),
                },
                Part::Outer(kind, count, index) => {
                    let mut from = scope;
                    for _ in 0..*count {
                        from = self.scopes[from].around.ok_or(Unweighed::Unclear)?;
                    }
                    self.scopes[from].find(*kind, *index)?
                }
                Part::Pick(kind, instance, name) => {
                    let instance = self.scopes[scope].instances.get(*instance as usize);
                    let instance = instance.ok_or(Unweighed::Unclear)?;
                    match (instance.get(name), kind) {
                        (Some(item), _) => item.clone(),
                        (None, Kind::Module) => Item::Module(Weight::default()),
                        (None, Kind::Instance) => Item::Instance(Rc::default()),
                        (None, Kind::Component) => return Err(Unweighed::Unclear),
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
                    let given = self.scopes[scope].named(named)?;
                    Item::Instance(self.start(component, Some(given))?)
                }
                Part::Bundle(named) => Item::Instance(Rc::new(self.scopes[scope].named(named)?)),
                Part::Export(named) => {
                    let item = self.scopes[scope].find(named.kind, named.index)?;
                    exports.insert(named.name, item.clone());
                    item
                }
            };
            self.scopes[scope].add(item);
        }
        self.depth -= 1;
        Ok(Rc::new(exports))
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

    fn named(&self, named: &[Named<'a>]) -> Result<HashMap<&'a str, Item<'d, 'a>>, Unweighed> {
        let items = named.iter().map(|named| {
            let item = self.find(named.kind, named.index)?;
            Ok((named.name, item))
        });
        items.collect()
    }

    fn add(&mut self, item: Item<'d, 'a>) {
        match item {
            Item::Module(weight) => self.modules.push(weight),
            Item::Component(component) => self.components.push(component),
            Item::Instance(exports) => self.instances.push(exports),
        }
    }
}
