use tracing::{Level, Span};

use super::plain::plain;

/// What a line begins with that is a record, and what is between its parts.
const RECORD: char = '\x1e';
const PART: &str = "\x1f ";

/// Most characters of a record's target, and of a field's name.
const NAME: usize = 128;

/// Most fields of a record.
const FIELDS: usize = 32;

/// A log record of a guest's, as it stands in a line of its standard error; the
/// form is documented in `ww-guest-sdk`, `logging`. All of it is the guest's own
/// say.
pub(super) struct Record<'a> {
    level: Level,
    target: &'a str,
    message: &'a str,
    fields: &'a str,
}

impl<'a> Record<'a> {
    /// The record that `line`, without its end, is. `None` where it is other
    /// text.
    pub(super) fn parse(line: &'a str) -> Option<Self> {
        let (head, rest) = line.strip_prefix(RECORD)?.split_once(PART)?;
        let (level, target) = head.split_once(' ')?;
        let level = match level {
            "ERROR" => Level::ERROR,
            "WARN" => Level::WARN,
            "INFO" => Level::INFO,
            "DEBUG" => Level::DEBUG,
            "TRACE" => Level::TRACE,
            _ => return None,
        };
        let (message, fields) = rest.split_once(PART).unwrap_or((rest, ""));
        Some(Self {
            level,
            target,
            message,
            fields,
        })
    }

    /// Tells it as an event in `span`, where anybody listens.
    pub(super) fn tell(&self, span: &Span) {
        // Levels and targets of the crate are fixed where they are written.
        macro_rules! tell {
            ($level:ident) => {
                if tracing::enabled!(target: "ww_core::guest", Level::$level) {
                    tracing::event!(
                        target: "ww_core::guest",
                        parent: span,
                        Level::$level,
                        target = plain(self.target, NAME),
                        fields = self.fields().map(display),
                        "{}",
                        plain(self.message, usize::MAX),
                    );
                }
            };
        }
        match self.level {
            Level::ERROR => tell!(ERROR),
            Level::WARN => tell!(WARN),
            Level::INFO => tell!(INFO),
            Level::DEBUG => tell!(DEBUG),
            Level::TRACE => tell!(TRACE),
        }
    }

    /// `name="value"`, or `name=value` where that is a number or a boolean, a space
    /// between each two. None can pass for two.
    fn fields(&self) -> Option<String> {
        let mut text = String::new();
        let fields = self.fields.split(PART).filter(|field| !field.is_empty());
        for field in fields.take(FIELDS) {
            let (name, value) = field.split_once('=').unwrap_or((field, ""));
            if !text.is_empty() {
                text.push(' ');
            }
            let of_names =
                |character: char| character.is_alphanumeric() || "_.-".contains(character);
            let name = plain(name, NAME);
            text.extend(name.chars().map(|c| if of_names(c) { c } else { '_' }));
            text.push('=');
            match is_bare(value) {
                true => text.push_str(value),
                false => quote(&mut text, &plain(value, usize::MAX)),
            }
        }
        (!text.is_empty()).then_some(text)
    }
}

/// Whether nothing in `value` needs quotes: it is a number or a boolean.
fn is_bare(value: &str) -> bool {
    value.parse::<f64>().is_ok() || value.parse::<bool>().is_ok()
}

/// Appends a value that nothing in it ends. A backslash before a letter stays as it
/// is, for it is one that has escaped something already.
fn quote(text: &mut String, value: &str) {
    text.push('"');
    let mut left = value.chars().peekable();
    while let Some(character) = left.next() {
        let escapes = left.peek().is_some_and(char::is_ascii_alphabetic);
        if character == '"' || character == '\\' && !escapes {
            text.push('\\');
        }
        text.push(character);
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_has_its_parts_and_other_text_is_none() {
        let cases = [
            ("plain", None),
            ("", None),
            ("\x1e", None),
            ("\x1eINFO", None),
            ("\x1eINFO target", None),
            ("\x1eINFO\x1f message", None),
            ("\x1eLOUD target\x1f message", None),
            ("\x1einfo target\x1f message", None),
            (
                "\x1eINFO a::b\x1f said",
                Some((Level::INFO, "a::b", "said", None)),
            ),
            ("\x1eERROR \x1f ", Some((Level::ERROR, "", "", None))),
            (
                "\x1eDEBUG t\x1f m\x1f a=1\x1f b=x y\x1f c",
                Some((Level::DEBUG, "t", "m", Some(r#"a=1 b="x y" c="""#))),
            ),
            // What would pass for another field, or for more than a line.
            (
                "\x1eTRACE t\x1f m\x1f a=1\" b=\"2\x1f c d=\u{202e}\n=",
                Some((
                    Level::TRACE,
                    "t",
                    "m",
                    Some(r#"a="1\" b=\"2" c_d="\u{202e}\n=""#),
                )),
            ),
            (
                "\x1eINFO t\x1f m\x1f a=true\x1f b=-1.5e3\x1f c=truth\x1f d=1 2\x1f e=1\"",
                Some((
                    Level::INFO,
                    "t",
                    "m",
                    Some(r#"a=true b=-1.5e3 c="truth" d="1 2" e="1\"""#),
                )),
            ),
            // Backslashes before a quote, before a letter, and at the end.
            (
                "\x1eINFO t\x1f m\x1f a=\\\" b=\"\x1f c=\\\\\"\x1f d=\\u{7}\\\x1f e=x",
                Some((
                    Level::INFO,
                    "t",
                    "m",
                    Some(r#"a="\\\" b=\"" c="\\\\\"" d="\u{7}\\" e="x""#),
                )),
            ),
        ];
        for (line, expected) in cases {
            let record = Record::parse(line);
            let fields = record.as_ref().and_then(Record::fields);
            let parts = record.map(|r| (r.level, r.target, r.message));
            let expected_fields = expected.and_then(|(.., fields)| fields.map(str::to_owned));
            assert_eq!(parts, expected.map(|(l, t, m, _)| (l, t, m)), "{line:?}");
            assert_eq!(fields, expected_fields, "{line:?}");
        }
    }

    #[test]
    fn fields_have_a_bound() {
        let line = format!("\x1eINFO t\x1f m{}", "\x1f a=b".repeat(1000));
        let fields = Record::parse(&line).and_then(|record| record.fields());
        let fields = fields.expect("it has some");
        assert_eq!(fields.split(' ').count(), FIELDS);
    }
}
