//! Makes text harmless for a terminal: nothing in a line may move the cursor, change the title or turn the text round.

use std::{io::Write as _, str};

/// Appends `text` with every control character written out. Line feeds stay when `lines`, followed by `indent`, so that
/// the second line of a record cannot be taken for another record.
pub fn push(out: &mut Vec<u8>, text: &[u8], lines: Option<&str>) {
    if !text.iter().any(|byte| is_suspect(*byte)) {
        return match str::from_utf8(text) {
            Ok(_) => out.extend_from_slice(text),
            Err(_) => out.extend_from_slice(String::from_utf8_lossy(text).as_bytes()),
        };
    }
    let text = String::from_utf8_lossy(text);
    let mut plain = 0;
    for (at, character) in text.char_indices().filter(|(_, character)| is_control(*character)) {
        out.extend_from_slice(&text.as_bytes()[plain..at]);
        plain = at + character.len_utf8();
        match (character, lines) {
            ('\n', Some(indent)) => {
                out.push(b'\n');
                out.extend_from_slice(indent.as_bytes());
            }
            _ => push_escape(out, character),
        }
    }
    out.extend_from_slice(&text.as_bytes()[plain..]);
}

/// `text` with every control character written out.
pub fn text(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    push(&mut out, text.as_bytes(), None);
    String::from_utf8_lossy(&out).into_owned()
}

fn push_escape(out: &mut Vec<u8>, character: char) {
    let written = match character {
        '\n' => out.write_all(b"\\n"),
        '\r' => out.write_all(b"\\r"),
        _ if (character as u32) < 0x80 => write!(out, "\\x{:02x}", character as u32),
        _ => write!(out, "\\u{{{:x}}}", character as u32),
    };
    written.expect("a vector takes everything");
}

/// Whether `byte` can be, or begin, a character that [`is_control`].
const fn is_suspect(byte: u8) -> bool {
    (byte < 0x20 && byte != b'\t') || matches!(byte, 0x7f | 0xc2 | 0xd8 | 0xe2)
}

/// Controls of C0 and C1 except the tabulator, and the marks that change the direction of text or break lines.
const fn is_control(character: char) -> bool {
    match character {
        '\t' => false,
        '\0'..='\x1f' | '\x7f'..='\u{9f}' => true,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_control_character_gets_through() {
        assert_eq!(text("plain\ttext é 日本 €"), "plain\ttext é 日本 €");
        assert_eq!(text("\x1b]0;owned\x07\r\n\0\x7f"), "\\x1b]0;owned\\x07\\r\\n\\x00\\x7f");
        assert_eq!(text("a\u{9b}31mb\u{202e}c\u{61c}"), "a\\u{9b}31mb\\u{202e}c\\u{61c}");
        for number in (0..=0x2fff).filter_map(char::from_u32) {
            let escaped = text(&number.to_string());
            assert!(escaped.chars().all(|character| !is_control(character)), "{number:?}");
        }
    }

    #[test]
    fn lines_of_a_record_stay_lines() {
        let mut out = Vec::new();
        push(&mut out, b"a\n\tb\x1b\nc", Some("  "));
        assert_eq!(out, b"a\n  \tb\\x1b\n  c");
    }

    #[test]
    fn what_is_no_text_becomes_the_replacement() {
        let mut out = Vec::new();
        push(&mut out, b"a\xffb", None);
        push(&mut out, b"\xc2\x1b", None);
        assert_eq!(out, "a\u{fffd}b\u{fffd}\\x1b".as_bytes());
    }
}
