use std::collections::HashMap;

use wasmparser::{
    DataKind, DataSectionReader, ElementItems, ElementKind, Operator, Payload, TableSectionReader,
};

use super::code::{Effort, Functions};
use super::{Unweighed, Weight};

/// Bytes that a module's instance takes, whatever it declares.
const INSTANCE: usize = 512;

/// Bytes that an instance takes for each thing that its module imports or
/// declares: functions, of what both of them take together; memories and tables
/// without what is in them; globals; segments of data.
const IMPORT: usize = 64;
const FUNCTION: usize = 32;
const MEMORY: usize = 256;
const TABLE: usize = 128;
const GLOBAL: usize = 16;
const DATA: usize = 16;

/// Bytes of an element of a segment, and of what an instance keeps of a passive
/// segment beside.
const ELEMENT: usize = 16;
const SEGMENT: usize = 64;

/// Entries of a table that the compiler writes down at the most, and bytes of one.
const PRECOMPUTED: u64 = 1 << 20;
const ENTRY: usize = 4;

/// Bytes of a memory that the compiler writes down, whatever is in between.
const IMAGE: u64 = 16 << 20;

/// Bytes of a segment of data that are copied in the time in which one is written
/// of anything else.
const COPIED: usize = 8;

/// A module that is being read.
pub(super) struct Module {
    weight: Weight,
    /// What the compiler writes down of its tables.
    tables: Weight,
    images: Images,
    functions: Functions,
}

impl Module {
    /// Takes in a section, or the code of a function, and answers what that takes to
    /// compile.
    pub(super) fn take(&mut self, payload: &Payload<'_>) -> Result<Effort, Unweighed> {
        self.weight += declared(payload)?;
        match payload {
            Payload::TypeSection(types) => self.functions.types(types)?,
            Payload::ImportSection(imports) => self.functions.imports(imports)?,
            Payload::FunctionSection(functions) => self.functions.declared(functions)?,
            Payload::TableSection(tables) => self.tables += filled(tables)?,
            Payload::DataSection(segments) => self.images.take(segments)?,
            Payload::CodeSectionEntry(body) => return Ok(self.functions.body(body)?),
            _ => {}
        }
        Ok(Effort::default())
    }

    /// What each of its instances takes.
    pub(super) fn weight(&self) -> Weight {
        self.weight
    }

    /// What the compiler makes of it, without any instance.
    pub(super) fn compiled(&self) -> Weight {
        let mut weight = self.tables;
        weight += self.images.weight();
        weight
    }
}

impl Default for Module {
    fn default() -> Self {
        Self {
            weight: Weight::held(INSTANCE),
            tables: Weight::default(),
            images: Images::default(),
            functions: Functions::default(),
        }
    }
}

/// Where a module's memories have what they have from the start, from the first
/// byte to the last, as far as that is known.
#[derive(Default)]
struct Images(HashMap<u32, (u64, u64)>);

impl Images {
    fn take(&mut self, segments: &DataSectionReader<'_>) -> Result<(), Unweighed> {
        for segment in segments.clone() {
            let segment = segment?;
            if let DataKind::Active {
                memory_index,
                offset_expr,
            } = segment.kind
            {
                let from = match offset_expr.get_operators_reader().read()? {
                    Operator::I32Const { value } => u64::from(value.cast_unsigned()),
                    Operator::I64Const { value } => value.cast_unsigned(),
                    _ => continue,
                };
                let to = from.saturating_add(segment.data.len() as u64);
                let (first, last) = self.0.entry(memory_index).or_insert((from, to));
                (*first, *last) = (from.min(*first), to.max(*last));
            }
        }
        Ok(())
    }

    /// The compiler writes down all of that. What is longer, it does only where it
    /// is full.
    fn weight(&self) -> Weight {
        let mut weight = Weight::default();
        for (first, last) in self.0.values() {
            let bytes = (last - first).min(IMAGE) as usize;
            weight += Weight::written(bytes / COPIED);
        }
        weight
    }
}

/// What the compiler makes of tables: it writes down what is in each from its
/// beginning on, up to so many entries.
fn filled(tables: &TableSectionReader<'_>) -> Result<Weight, Unweighed> {
    let mut weight = Weight::default();
    for table in tables.clone() {
        let entries = table?.ty.initial.min(PRECOMPUTED);
        weight += Weight::written(ENTRY * entries as usize);
    }
    Ok(weight)
}

/// What a section of a module adds to each of its instances.
fn declared(section: &Payload<'_>) -> Result<Weight, Unweighed> {
    let many = |size: usize, count: u32| Weight::held(size) * count as usize;
    let mut weight = Weight::default();
    match section {
        Payload::ImportSection(imports) => {
            for import in imports.clone().into_imports() {
                import?;
                weight += Weight::held(IMPORT);
            }
        }
        Payload::FunctionSection(functions) => weight += many(FUNCTION, functions.count()),
        Payload::MemorySection(memories) => weight += many(MEMORY, memories.count()),
        Payload::TableSection(tables) => weight += many(TABLE, tables.count()),
        Payload::GlobalSection(globals) => weight += many(GLOBAL, globals.count()),
        Payload::TagSection(tags) => weight += many(GLOBAL, tags.count()),
        Payload::ElementSection(segments) => {
            for segment in segments.clone() {
                let segment = segment?;
                let elements = match segment.items {
                    ElementItems::Functions(functions) => functions.count(),
                    ElementItems::Expressions(_, expressions) => expressions.count(),
                };
                let bytes = ELEMENT * elements as usize;
                match segment.kind {
                    ElementKind::Passive => weight += Weight::held(SEGMENT + bytes),
                    ElementKind::Active { .. } => weight += Weight::written(SEGMENT + bytes),
                    ElementKind::Declared => {}
                }
            }
        }
        Payload::DataSection(segments) => {
            for segment in segments.clone() {
                let segment = segment?;
                weight += Weight::held(DATA);
                if let DataKind::Active { .. } = segment.kind {
                    weight += Weight::written(segment.data.len() / COPIED);
                }
            }
        }
        _ => {}
    }
    Ok(weight)
}
