/// The section of a component that holds a core module.
const MODULE: u8 = 1;

/// The section of a component that holds another one.
const COMPONENT: u8 = 4;

/// Bytes before the first section.
const HEADER: usize = 8;

/// Core modules in a component and in those that it holds, up to the first
/// byte that belongs to none.
pub(crate) fn count(component: &[u8]) -> usize {
    let (mut left, mut modules) = (component.get(HEADER..).unwrap_or_default(), 0);
    while let Some((section, rest)) = left.split_first() {
        let Some((size, body)) = leb(rest) else { break };
        modules += usize::from(*section == MODULE);
        // The sections of a component that is held stand among its holder's.
        let skipped = if *section == COMPONENT { HEADER } else { size };
        let Some(next) = body.get(skipped..) else {
            break;
        };
        left = next;
    }
    modules
}

/// A number in LEB128, and what stands behind it.
fn leb(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let len = bytes.iter().take(5).position(|byte| byte & 0x80 == 0)? + 1;
    let (number, rest) = bytes.split_at(len);
    let digits = number.iter().rev();
    let number = digits.fold(0_u64, |sum, byte| sum << 7 | u64::from(byte & 0x7f));
    Some((number.try_into().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_counted_however_deep_they_stand() {
        let long = format!("(core module (memory 1) (data \"{}\"))", "x".repeat(70_000));
        let held = format!("(component (core module) (component {long}) (core module))");
        for (text, expected) in [
            ("(component)".into(), 0),
            ("(component (core module))".into(), 1),
            (format!("(component {long} (type u8) {held} {held})"), 7),
        ] {
            let bytes = wat::parse_str(&text).expect("it is well-formed");
            assert_eq!(count(&bytes), expected);
            for end in 0..bytes.len().min(100) {
                assert!(count(&bytes[..end]) <= expected);
            }
        }
    }
}
