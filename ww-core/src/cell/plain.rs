use std::fmt::{self, Write};

/// Characters of why a connection ended that are told.
pub(super) const TOLD: usize = 1024;

/// Writes a guest's text so that it can stand in a line of a log: nothing in it
/// begins another line, moves a cursor or turns the direction of writing.
pub(super) struct Plain<'a> {
    text: &'a mut String,
    /// Characters that it still takes.
    left: usize,
}

impl<'a> Plain<'a> {
    /// Appends at most `most` characters to `text`, and fails from there on.
    pub(super) fn new(text: &'a mut String, most: usize) -> Self {
        Self { text, left: most }
    }
}

impl fmt::Write for Plain<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            self.left = self.left.checked_sub(1).ok_or(fmt::Error)?;
            if is_plain(character) {
                self.text.push(character);
            } else {
                self.text.extend(character.escape_default());
            }
        }
        Ok(())
    }
}

/// At most `most` characters of a guest's text.
pub(crate) fn plain(text: &str, most: usize) -> String {
    let mut plain = String::new();
    // The rest is left out.
    let _ = Plain::new(&mut plain, most).write_str(text);
    plain
}

/// Control characters, separators of lines and paragraphs, and what overrides
/// the direction of writing are not.
fn is_plain(character: char) -> bool {
    match character {
        '\t' => true,
        '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => false,
        _ => !character.is_control(),
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    #[test]
    fn what_does_more_than_stand_in_a_line_is_escaped() {
        let cases = [
            ("plain\ttext, Grüße", "plain\ttext, Grüße"),
            ("a\nb\r", "a\\nb\\r"),
            ("\u{1b}[2J\0", "\\u{1b}[2J\\u{0}"),
            (
                "\u{85}\u{2028}\u{202e}\u{9b}",
                "\\u{85}\\u{2028}\\u{202e}\\u{9b}",
            ),
        ];
        for (raw, plain) in cases {
            let mut text = String::new();
            Plain::new(&mut text, 100).write_str(raw).expect("it fits");
            assert_eq!(text, plain);
        }
    }

    #[test]
    fn it_ends_at_the_bound() {
        let mut text = String::new();
        let mut plain = Plain::new(&mut text, 3);
        assert!(plain.write_str("ab").is_ok());
        assert!(plain.write_str("cd").is_err());
        assert_eq!(text, "abc");
    }
}
