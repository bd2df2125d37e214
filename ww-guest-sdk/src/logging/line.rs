use std::fmt::{self, Write};

use tracing::Level;

/// Bytes of each part at most, and of the whole.
const TARGET: usize = 128;
const MESSAGE: usize = 4 << 10;
const KEY: usize = 64;
const VALUE: usize = 1 << 10;
const LINE: usize = 8 << 10;

/// Stands for what was cut off.
const CUT: char = '…';

/// A record in the making.
pub(super) struct Line(String);

/// Takes a text up to its bound, with control characters escaped.
struct Part<'a> {
    text: &'a mut String,
    left: usize,
}

impl Line {
    pub(super) fn new(level: Level, target: &str) -> Self {
        let mut line = Self(format!("\x1e{level} "));
        line.part(TARGET, format_args!("{target}"));
        line.0.push_str("\x1f ");
        line
    }

    /// Adds the message: once, and before any field.
    pub(super) fn message(&mut self, message: fmt::Arguments<'_>) {
        self.part(MESSAGE, message);
    }

    /// Adds a field, where it fits.
    pub(super) fn field(&mut self, key: &str, value: fmt::Arguments<'_>) {
        let before = self.0.len();
        self.0.push_str("\x1f ");
        self.part(KEY, format_args!("{key}"));
        self.0.push('=');
        self.part(VALUE, value);
        // The end of the line fits as well.
        if self.0.len() >= LINE {
            self.0.truncate(before);
        }
    }

    pub(super) fn finish(self) -> Vec<u8> {
        let mut bytes = self.0.into_bytes();
        bytes.push(b'\n');
        bytes
    }

    fn part(&mut self, most: usize, text: fmt::Arguments<'_>) {
        let mut part = Part {
            text: &mut self.0,
            left: most,
        };
        if part.write_fmt(text).is_err() && part.left < CUT.len_utf8() {
            part.text.push(CUT);
        }
    }
}

impl Write for Part<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            let escaped = character.is_control().then(|| character.escape_default());
            let len = escaped
                .as_ref()
                .map_or(character.len_utf8(), ExactSizeIterator::len);
            // There is always room to say that it was cut.
            if self.left < len + CUT.len_utf8() {
                self.left = 0;
                return Err(fmt::Error);
            }
            self.left -= len;
            match escaped {
                Some(escaped) => self.text.extend(escaped),
                None => self.text.push(character),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(line: Line) -> String {
        String::from_utf8(line.finish()).unwrap()
    }

    #[test]
    fn a_record_is_one_line() {
        let mut line = Line::new(Level::WARN, "a::b");
        line.message(format_args!("two\nlines"));
        line.field("key", format_args!("{}", "\x1b[2J\x1f x=y"));
        assert_eq!(
            text(line),
            "\x1eWARN a::b\x1f two\\nlines\x1f key=\\u{1b}[2J\\u{1f} x=y\n"
        );
    }

    #[test]
    fn each_part_is_cut_at_its_bound_and_says_so() {
        for unit in ["x", "ä", "\n", "\x1b"] {
            let long = unit.repeat(LINE);
            let mut line = Line::new(Level::INFO, &long);
            line.message(format_args!("{long}"));
            for _ in 0..100 {
                line.field(&long, format_args!("{long}"));
            }
            let text = text(line);
            assert!(text.len() <= LINE, "{} of {unit:?}", text.len());
            let parts: Vec<_> = text.trim_end().split("\x1f ").collect();
            assert!(parts.len() >= 4, "{} of {unit:?}", parts.len());
            for part in parts {
                assert!(part.ends_with(CUT), "{part}");
            }
        }
    }

    #[test]
    fn a_part_of_just_its_bound_is_whole_less_the_room_for_the_cut() {
        let most = TARGET - CUT.len_utf8();
        for (len, whole) in [(most, true), (most + 1, false)] {
            let target = "x".repeat(len);
            let text = text(Line::new(Level::INFO, &target));
            assert_eq!(text.contains(CUT), !whole);
        }
    }
}
