//! Just enough of Rust's grammar to scan sources: comments and literals out, functions and their
//! lengths in.

/// The source with comments, string and character literals replaced by spaces; lines stay lines.
#[must_use]
pub fn blank(source: &str) -> String {
    let bytes = source.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = skip(bytes, at);
        if end > at {
            for byte in out.iter_mut().take(end).skip(at) {
                if *byte != b'\n' {
                    *byte = b' ';
                }
            }
            at = end;
        } else {
            at += 1;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// End of the comment or literal that starts at `at`, or `at` if none does.
fn skip(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    if rest.starts_with(b"//") {
        return find(bytes, at, b"\n").unwrap_or(bytes.len());
    }
    if rest.starts_with(b"/*") {
        return block_comment_end(bytes, at);
    }
    if let Some(end) = raw_string_end(bytes, at) {
        return end;
    }
    match rest.first() {
        Some(b'"') => string_end(bytes, at + 1),
        Some(b'\'') => character_end(bytes, at),
        _ => at,
    }
}

fn find(bytes: &[u8], from: usize, what: &[u8]) -> Option<usize> {
    let rest = bytes.get(from..)?;
    let offset = rest.windows(what.len()).position(|window| window == what)?;
    Some(from + offset)
}

fn block_comment_end(bytes: &[u8], at: usize) -> usize {
    let (mut depth, mut here) = (0_usize, at);
    while here < bytes.len() {
        let rest = bytes.get(here..).unwrap_or_default();
        if rest.starts_with(b"/*") {
            (depth, here) = (depth + 1, here + 2);
        } else if rest.starts_with(b"*/") {
            (depth, here) = (depth - 1, here + 2);
            if depth == 0 {
                return here;
            }
        } else {
            here += 1;
        }
    }
    bytes.len()
}

/// `r"…"`, `r#"…"#`, `br"…"`: no escapes inside.
fn raw_string_end(bytes: &[u8], at: usize) -> Option<usize> {
    let before = at.checked_sub(1).and_then(|before| bytes.get(before));
    if before.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_') {
        return None;
    }
    let mut here = at + usize::from(bytes.get(at) == Some(&b'b'));
    if bytes.get(here) != Some(&b'r') {
        return None;
    }
    here += 1;
    let start = here;
    while bytes.get(here) == Some(&b'#') {
        here += 1;
    }
    let hashes = here - start;
    if bytes.get(here) != Some(&b'"') {
        return None;
    }
    let close: Vec<u8> = [b"\"".as_slice(), &vec![b'#'; hashes]].concat();
    let end = find(bytes, here + 1, &close).map(|end| end + close.len());
    Some(end.unwrap_or(bytes.len()))
}

fn string_end(bytes: &[u8], from: usize) -> usize {
    let mut here = from;
    while let Some(byte) = bytes.get(here) {
        match byte {
            b'\\' => here += 2,
            b'"' => return here + 1,
            _ => here += 1,
        }
    }
    bytes.len()
}

/// End of a character literal, or `at` for a lifetime.
fn character_end(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.get(at + 1..).unwrap_or_default();
    if rest.first() == Some(&b'\\') {
        return find(bytes, at + 3, b"'").map_or(bytes.len(), |end| end + 1);
    }
    let width = match rest.first() {
        Some(byte) if *byte >= 0xf0 => 4,
        Some(byte) if *byte >= 0xe0 => 3,
        Some(byte) if *byte >= 0xc0 => 2,
        _ => 1,
    };
    if rest.get(width) == Some(&b'\'') {
        return at + width + 2;
    }
    at
}

/// The code without `#[cfg(test)]` modules; takes [`blank`]ed code.
#[must_use]
pub fn without_tests(code: &str) -> String {
    let mut out = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(start) = rest.find("#[cfg(test)]") {
        let (before, tests) = rest.split_at(start);
        out.push_str(before);
        let end = item_end(tests);
        let lines = tests.get(..end).unwrap_or(tests).matches('\n').count();
        out.push_str(&"\n".repeat(lines));
        rest = tests.get(end..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

/// End of the item that starts at the beginning of `code`: its closing brace or semicolon.
fn item_end(code: &str) -> usize {
    let mut depth = 0_usize;
    for (at, byte) in code.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' if depth <= 1 => return at + 1,
            b'}' => depth -= 1,
            b';' if depth == 0 => return at + 1,
            _ => {}
        }
    }
    code.len()
}

/// A function with a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// Name.
    pub name: String,
    /// First line, from 1.
    pub line: usize,
    /// Lines from `fn` to the closing brace.
    pub line_count: usize,
}

/// Every function with a body; takes [`blank`]ed code.
#[must_use]
pub fn functions(code: &str) -> Vec<Function> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("fn ") {
        let before = code.get(..at).unwrap_or_default();
        if before.ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let rest = code.get(at..).unwrap_or_default();
        let name: String = rest
            .chars()
            .skip(3)
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect();
        if let Some(end) = body_end(rest).filter(|_| !name.is_empty()) {
            found.push(Function {
                name,
                line: before.matches('\n').count() + 1,
                line_count: rest.get(..end).unwrap_or(rest).matches('\n').count() + 1,
            });
        }
    }
    found
}

/// End of the body of the function at the beginning of `code`; none for a declaration.
fn body_end(code: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, byte) in code.bytes().enumerate() {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth = depth.checked_sub(1)?,
            b';' if depth == 0 => return None,
            b'{' if depth == 0 => {
                let body = code.get(at..)?;
                return Some(at + item_end(body));
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{blank, functions, without_tests};

    #[test]
    fn comments_and_literals_become_spaces() {
        let source =
            "let a = \"x.ln()\"; // y.ln()\nlet b = r#\"z.ln() \" \"#; /* q /* .ln() */ */ c.ln()";
        let code = blank(source);
        assert_eq!(code.matches(".ln()").count(), 1, "{code}");
        assert_eq!(code.len(), source.len());
        assert!(code.ends_with("c.ln()"));
    }

    #[test]
    fn lifetimes_are_not_characters() {
        let code = blank("fn f<'a>(x: &'a str) -> char { '\\'' } fn g() { '{' ; 'é' }");
        assert!(code.contains("fn f<'a>(x: &'a str)"), "{code}");
        assert!(!code.contains('é'), "{code}");
        assert_eq!(functions(&code).len(), 2);
    }

    #[test]
    fn functions_are_measured_and_declarations_are_not() {
        let code = "trait T { fn a(x: [u8; 3]); }\nfn b(f: fn() -> u8)\n{\n    {\n    }\n}\n";
        let found = functions(code);
        let names: Vec<(&str, usize, usize)> = found
            .iter()
            .map(|f| (f.name.as_str(), f.line, f.line_count))
            .collect();
        assert_eq!(names, [("b", 2, 5)]);
    }

    #[test]
    fn test_modules_go_and_lines_stay() {
        let code = "a\n#[cfg(test)]\nmod tests {\n    x { }\n}\nb\n";
        assert_eq!(without_tests(code), "a\n\n\n\n\nb\n");
    }
}
