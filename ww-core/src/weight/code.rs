use std::ops::AddAssign;

use wasmparser::{
    BinaryReaderError, BlockType, Catch, CompositeInnerType, FunctionBody, FunctionSectionReader,
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
    /// Variables of functions, again for each place that another leads to.
    pub(super) met: usize,
    /// Those of the function that has most.
    most_met: usize,
    /// Variables, again for each target of a table and each other of the same table.
    tabled: usize,
    /// Loops that branches go back out of.
    climbed: usize,
    /// How many loops are within one another.
    deepest: usize,
}

impl Effort {
    /// # Errors
    ///
    /// It is more than a component of so many bytes may take.
    pub(super) fn bounded(&self, bytes: usize) -> Result<(), Unweighed> {
        for (what, effort, most) in [
            ("locals", self.locals, LOCALS),
            ("values that calls and blocks pass", self.passed, PASSED),
            ("locals within loops", self.kept, KEPT + bytes / 2),
            ("locals and branches", self.met, MET + bytes * 8),
            ("locals and branches in one", self.most_met, MET),
            ("targets of tables", self.tabled, TABLED + bytes * 256),
            ("loops to go back out of", self.climbed, CLIMBED),
            ("loops within loops", self.deepest, DEEPEST),
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

/// Variables that the engine has in every function for itself.
const OWN: usize = 3;

/// The most that a component may have of each: what the compiler does then takes
/// seconds. Engines of JavaScript of some 10 MB have 110,000 locals, pass fewer than
/// 100 values, and keep 600,000. By bytes the most are met in the 28 MB of an ONNX
/// runtime, 10 million of them in one function, and tabled in the 14 MB of a program
/// in Go, 1.7 billion, which climbs 17 million. LLVM itself has 192 loops within
/// one another.
const LOCALS: usize = 1 << 22;
const PASSED: usize = 1 << 16;
const KEPT: usize = 1 << 21;
const MET: usize = 1 << 24;
const TABLED: usize = 1 << 31;
const CLIMBED: usize = 1 << 26;
const DEEPEST: usize = 256;

/// What a block passes beyond that to whoever branches to it, and whether it is a loop.
struct Block {
    passed: usize,
    loops: bool,
    /// How many handlers there are for what is thrown in it.
    handlers: usize,
}

/// What branches do.
#[derive(Default)]
struct Branched {
    passed: usize,
    climbed: usize,
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
        let variables = effort.locals.saturating_add(params + OWN);
        let mut open = vec![Block {
            passed: results.saturating_sub(USUAL),
            loops: false,
            handlers: 0,
        }];
        let (mut depth, mut ways) = (0, 0);
        let mut operators = body.get_operators_reader()?;
        while !operators.eof() {
            let mut branched = Branched::default();
            // How the compiler splits the code: each part of it is a way to another.
            ways += match operators.read()? {
                Operator::Loop { blockty } => {
                    depth += 1;
                    effort.deepest = effort.deepest.max(depth);
                    effort.kept = effort.kept.saturating_add(variables.saturating_mul(depth));
                    branched.passed = self.open(blockty, true, 0, &mut open);
                    // It looks there whether the guest's time is up.
                    4
                }
                Operator::Block { blockty } | Operator::Try { blockty } => {
                    branched.passed = self.open(blockty, false, 0, &mut open);
                    1
                }
                Operator::If { blockty } => {
                    branched.passed = self.open(blockty, false, 0, &mut open);
                    3
                }
                Operator::TryTable { try_table } => {
                    for catch in &try_table.catches {
                        let (Catch::One { label, .. }
                        | Catch::OneRef { label, .. }
                        | Catch::All { label }
                        | Catch::AllRef { label }) = *catch;
                        branched.to(&open, label);
                    }
                    let catches = try_table.catches.len();
                    branched.passed += self.open(try_table.ty, false, catches, &mut open);
                    1 + catches
                }
                Operator::End => {
                    if open.pop().is_some_and(|block| block.loops) {
                        depth -= 1;
                    }
                    0
                }
                Operator::Call { function_index } | Operator::ReturnCall { function_index } => {
                    let called = self.functions.get(function_index as usize);
                    branched.passed = called.map_or(0, |&kind| self.passed(kind));
                    handlers(&open)
                }
                Operator::CallIndirect { type_index, .. }
                | Operator::ReturnCallIndirect { type_index, .. }
                | Operator::CallRef { type_index }
                | Operator::ReturnCallRef { type_index } => {
                    branched.passed = self.passed(type_index);
                    2 + handlers(&open)
                }
                Operator::TableGet { .. } => 2,
                Operator::Else | Operator::Return | Operator::Unreachable => 1,
                Operator::Br { relative_depth } => {
                    branched.to(&open, relative_depth);
                    1
                }
                Operator::BrIf { relative_depth }
                | Operator::BrOnNull { relative_depth }
                | Operator::BrOnNonNull { relative_depth }
                | Operator::BrOnCast { relative_depth, .. }
                | Operator::BrOnCastFail { relative_depth, .. } => {
                    branched.to(&open, relative_depth);
                    2
                }
                Operator::BrTable { targets } => {
                    branched.to(&open, targets.default());
                    for target in targets.targets() {
                        branched.to(&open, target?);
                    }
                    let ways = 1 + targets.len() as usize;
                    let looked = ways.min(open.len()).saturating_mul(ways);
                    let looked = looked.saturating_mul(variables);
                    effort.tabled = effort.tabled.saturating_add(looked);
                    ways
                }
                _ => 0,
            };
            effort.passed = effort.passed.saturating_add(branched.passed);
            effort.climbed = effort.climbed.saturating_add(branched.climbed);
        }
        effort.met = variables.saturating_mul(ways);
        effort.most_met = effort.met;
        Ok(effort)
    }

    /// Begins a block, and answers what it passes in and out.
    fn open(&self, kind: BlockType, loops: bool, handlers: usize, open: &mut Vec<Block>) -> usize {
        let (params, results) = match kind {
            BlockType::Empty | BlockType::Type(_) => (0, 0),
            BlockType::FuncType(kind) => self.beyond_usual(kind),
        };
        // To a loop is branched where it begins.
        let passed = if loops { params } else { results };
        let handlers = handlers + self::handlers(open);
        open.push(Block {
            passed,
            loops,
            handlers,
        });
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

/// How many handlers there are for what is thrown here.
fn handlers(open: &[Block]) -> usize {
    open.last().map_or(0, |block| block.handlers)
}

impl Branched {
    /// Takes note of a branch to the block that is so many around it.
    fn to(&mut self, open: &[Block], around: u32) {
        let around = around as usize;
        if let Some(block) = open.iter().nth_back(around) {
            self.passed += block.passed;
            if block.loops {
                self.climbed += 1 + around;
            }
        }
    }
}

impl AddAssign for Effort {
    fn add_assign(&mut self, other: Self) {
        self.locals = self.locals.saturating_add(other.locals);
        self.passed = self.passed.saturating_add(other.passed);
        self.kept = self.kept.saturating_add(other.kept);
        self.met = self.met.saturating_add(other.met);
        self.most_met = self.most_met.max(other.most_met);
        self.tabled = self.tabled.saturating_add(other.tabled);
        self.climbed = self.climbed.saturating_add(other.climbed);
        self.deepest = self.deepest.max(other.deepest);
    }
}
