use std::ops::AddAssign;

use wasmparser::{
    BinaryReaderError, BlockType, CompositeInnerType, FunctionBody, FunctionSectionReader,
    ImportSectionReader, Operator, TypeRef, TypeSectionReader,
};

use super::Unweighed;

/// What code has the compiler do beyond what goes with its length.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Effort {
    /// Locals that are declared, which take no more than a few bytes however many.
    pub(super) locals: usize,
    /// Values that calls, blocks and branches pass, beyond [`USUAL`] each.
    pub(super) passed: usize,
    /// Values that loops keep, those of loops within loops again for each.
    pub(super) kept: usize,
}

impl Effort {
    /// # Errors
    ///
    /// It is more than a component of so many bytes may take.
    pub(super) fn bounded(&self, bytes: usize) -> Result<(), Unweighed> {
        let kept = KEPT.saturating_add(bytes / 2);
        for (what, effort, most) in [
            ("locals", self.locals, LOCALS),
            ("values that calls and blocks pass", self.passed, PASSED),
            ("locals within loops", self.kept, kept),
        ] {
            if effort > most {
                return Err(Unweighed::TooHard(what));
            }
        }
        Ok(())
    }
}

/// The functions of a module, as far as they have been read.
#[derive(Default)]
pub(super) struct Functions {
    /// How many values each type takes, and how many it gives.
    types: Vec<(usize, usize)>,
    /// The types of functions, imported ones first.
    functions: Vec<u32>,
    /// How many of them are imported, or were read.
    read: usize,
}

/// Values that most calls pass no more of.
const USUAL: usize = 16;

/// The most that a component may have of each: what the compiler does then takes
/// seconds. Engines of JavaScript of some 10 MB have 110,000 locals, pass fewer than
/// 100 values, and keep 600,000.
const LOCALS: usize = 1 << 22;
const PASSED: usize = 1 << 16;
const KEPT: usize = 1 << 21;

/// What a block passes beyond that to whoever branches to it, and whether it is a loop.
struct Block {
    passed: usize,
    loops: bool,
}

impl Functions {
    pub(super) fn types(&mut self, types: &TypeSectionReader<'_>) -> Result<(), BinaryReaderError> {
        for group in types.clone() {
            for kind in group?.into_types() {
                self.types.push(match kind.composite_type.inner {
                    CompositeInnerType::Func(kind) => (kind.params().len(), kind.results().len()),
                    _ => (0, 0),
                });
            }
        }
        Ok(())
    }

    pub(super) fn imports(
        &mut self,
        imports: &ImportSectionReader<'_>,
    ) -> Result<(), BinaryReaderError> {
        for import in imports.clone().into_imports() {
            if let TypeRef::Func(kind) | TypeRef::FuncExact(kind) = import?.ty {
                self.functions.push(kind);
                self.read += 1;
            }
        }
        Ok(())
    }

    pub(super) fn declared(
        &mut self,
        functions: &FunctionSectionReader<'_>,
    ) -> Result<(), BinaryReaderError> {
        for kind in functions.clone() {
            self.functions.push(kind?);
        }
        Ok(())
    }

    /// Reads the code of the next function.
    pub(super) fn body(&mut self, body: &FunctionBody<'_>) -> Result<Effort, BinaryReaderError> {
        let mut effort = Effort::default();
        for local in body.get_locals_reader()? {
            let (count, _) = local?;
            effort.locals = effort.locals.saturating_add(count as usize);
        }
        let own = self.functions.get(self.read).copied();
        self.read += 1;
        let (params, results) = own.map_or((0, 0), |kind| self.type_of(kind));
        let live = params.saturating_add(effort.locals);
        let mut open = vec![Block {
            passed: results.saturating_sub(USUAL),
            loops: false,
        }];
        let mut depth = 0;
        let mut operators = body.get_operators_reader()?;
        while !operators.eof() {
            let passed = match operators.read()? {
                Operator::Loop { blockty } => {
                    depth += 1;
                    effort.kept = effort.kept.saturating_add(live.saturating_mul(depth));
                    self.open(blockty, true, &mut open)
                }
                Operator::Block { blockty }
                | Operator::If { blockty }
                | Operator::Try { blockty } => self.open(blockty, false, &mut open),
                Operator::TryTable { try_table } => self.open(try_table.ty, false, &mut open),
                Operator::End => {
                    if open.pop().is_some_and(|block| block.loops) {
                        depth -= 1;
                    }
                    0
                }
                Operator::Call { function_index } | Operator::ReturnCall { function_index } => {
                    let called = self.functions.get(function_index as usize);
                    called.map_or(0, |&kind| self.passed(kind))
                }
                Operator::CallIndirect { type_index, .. }
                | Operator::ReturnCallIndirect { type_index, .. }
                | Operator::CallRef { type_index }
                | Operator::ReturnCallRef { type_index } => self.passed(type_index),
                Operator::Br { relative_depth } | Operator::BrIf { relative_depth } => {
                    branch(&open, relative_depth)
                }
                Operator::BrTable { targets } => {
                    let mut passed = branch(&open, targets.default());
                    for target in targets.targets() {
                        passed += branch(&open, target?);
                    }
                    passed
                }
                _ => 0,
            };
            effort.passed = effort.passed.saturating_add(passed);
        }
        Ok(effort)
    }

    /// Begins a block, and answers what it passes in and out.
    fn open(&self, kind: BlockType, loops: bool, open: &mut Vec<Block>) -> usize {
        let (params, results) = match kind {
            BlockType::Empty | BlockType::Type(_) => (0, 0),
            BlockType::FuncType(kind) => self.beyond_usual(kind),
        };
        // To a loop is branched where it begins.
        let passed = if loops { params } else { results };
        open.push(Block { passed, loops });
        params + results
    }

    fn type_of(&self, kind: u32) -> (usize, usize) {
        self.types.get(kind as usize).copied().unwrap_or_default()
    }

    fn beyond_usual(&self, kind: u32) -> (usize, usize) {
        let (params, results) = self.type_of(kind);
        (params.saturating_sub(USUAL), results.saturating_sub(USUAL))
    }

    fn passed(&self, kind: u32) -> usize {
        let (params, results) = self.beyond_usual(kind);
        params + results
    }
}

/// What a branch passes to the block that is so many around it.
fn branch(open: &[Block], around: u32) -> usize {
    let index = open.len().checked_sub(1 + around as usize);
    index.map_or(0, |index| open[index].passed)
}

impl AddAssign for Effort {
    fn add_assign(&mut self, other: Self) {
        self.locals = self.locals.saturating_add(other.locals);
        self.passed = self.passed.saturating_add(other.passed);
        self.kept = self.kept.saturating_add(other.kept);
    }
}
