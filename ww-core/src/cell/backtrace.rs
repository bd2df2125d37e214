use std::fmt::{self, Write};

use wasmtime::WasmBacktrace;

use super::plain::Plain;

/// Characters of one name that are shown.
const NAME: usize = 256;

/// Bytes of a mangled name that is made readable. A longer one is cut as it
/// is: what a name unfolds to can be far longer than itself.
const MANGLED: usize = 2048;

/// Calls that the compiler has inlined which are shown of one frame.
const INLINED: usize = 16;

/// The frames of `trace`, innermost first, a line each: where in the component
/// it is, the module's name and the function's, and the lines of the source
/// where they are known. All names are the guest's own, so they are cut, and
/// lose their control characters.
pub(super) fn render(trace: &WasmBacktrace) -> String {
    let mut text = String::new();
    for (index, frame) in trace.frames().iter().enumerate() {
        let offset = frame.module_offset().unwrap_or_default();
        let unnamed = format!("<function {}>", frame.func_index());
        let function = frame.func_name().unwrap_or(&unnamed);
        // Writing to a string does not fail.
        let _ = write!(text, "{index:>4}: {offset:#8x} - ");
        name(&mut text, frame.module().name().unwrap_or("<unknown>"));
        text.push('!');
        let symbols = frame.symbols();
        if symbols.is_empty() {
            name(&mut text, function);
        }
        for (depth, symbol) in symbols.iter().take(INLINED).enumerate() {
            if depth > 0 {
                text.push_str("\n                 ");
            }
            let fallback = if depth == 0 { function } else { "<inlined>" };
            name(&mut text, symbol.name().unwrap_or(fallback));
            if let Some(file) = symbol.file() {
                text.push_str("\n                    at ");
                name(&mut text, file);
                for number in [symbol.line(), symbol.column()].into_iter().flatten() {
                    let _ = write!(text, ":{number}");
                }
            }
        }
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    text
}

fn name(text: &mut String, name: &str) {
    let mut plain = Plain::new(text, NAME);
    if readable(&mut plain, name).is_err() {
        text.push('…');
    }
}

fn readable(into: &mut Plain<'_>, name: &str) -> fmt::Result {
    if name.len() <= MANGLED {
        if let Ok(name) = rustc_demangle::try_demangle(name) {
            return write!(into, "{name:#}");
        }
        // What is no such name may look like the short form of a type.
        if name.starts_with("_Z")
            && let Ok(name) = cpp_demangle::Symbol::new(name)
        {
            return name.structured_demangle(into, &Default::default());
        }
    }
    into.write_str(name)
}
