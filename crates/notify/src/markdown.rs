//! Discord's Markdown: hostile texts as nothing but their characters.

use crate::text::{count, one_line};

/// Stands behind an `@`, so that no name, role or `everyone` is mentioned.
const BREAK: char = '\u{200b}';

/// `text` on one line so that Discord shows just its characters: no markup, link, mention, emoji
/// code, time stamp, heading, quote or list. At most `limit` characters; the last is `…` where
/// something was left out. Never ends within an escape.
pub(crate) fn escaped(text: &str, limit: usize) -> String {
    let line = one_line(text);
    let mut out = String::with_capacity(line.len() + 8);
    let (mut length, mut fits) = (0, 0);
    for (at, c) in line.char_indices() {
        let piece = piece(&line, at, c);
        length += count(&piece);
        if length > limit {
            // Back to where one more character had its place.
            out.truncate(fits);
            if limit > 0 {
                out.push('…');
            }
            return out;
        }
        out.push_str(&piece);
        if length < limit {
            fits = out.len();
        }
    }
    out
}

/// One character as Discord must be given it.
fn piece(line: &str, at: usize, c: char) -> String {
    let rest = &line[at + c.len_utf8()..];
    match c {
        '\\' | '*' | '_' | '~' | '`' | '|' | '[' | ']' | '(' | ')' | '<' | '>' => format!("\\{c}"),
        '@' => format!("@{BREAK}"),
        // A bare address would become a link.
        ':' if rest.starts_with("//") => "\\:".to_owned(),
        // Heading, small text and lists begin a line.
        '#' | '-' | '+' if at == 0 => format!("\\{c}"),
        // So does a numbered list: `1. `.
        '.' if at > 0 && rest.starts_with(' ') && line[..at].bytes().all(|b| b.is_ascii_digit()) => {
            "\\.".to_owned()
        }
        _ => c.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_mentions_and_links_become_plain_characters() {
        for (text, want) in [
            ("A Band", "A Band"),
            (
                "**bold** _it_ ~~no~~ `code` ||spoiler||",
                r"\*\*bold\*\* \_it\_ \~\~no\~\~ \`code\` \|\|spoiler\|\|",
            ),
            ("[free](https://evil.example)", r"\[free\]\(https\://evil.example\)"),
            ("<https://evil.example>", r"\<https\://evil.example\>"),
            (
                "@everyone <@123> <@&4> <#5> <:e:6> <t:7>",
                "@\u{200b}everyone \\<@\u{200b}123\\> \\<@\u{200b}&4\\> \\<#5\\> \\<:e:6\\> \\<t:7\\>",
            ),
            ("# Head", r"\# Head"),
            ("-# small", r"\-# small"),
            ("> quote", r"\> quote"),
            ("- item", r"\- item"),
            ("1. item", r"1\. item"),
            ("a\n# Head\n> quote", r"a # Head \> quote"),
            (r"back\slash", r"back\\slash"),
            ("\u{202e}gnp.exe", "gnp.exe"),
            ("12.50 a-b C# +1 5:30", "12.50 a-b C# +1 5:30"),
        ] {
            assert_eq!(escaped(text, 1000), want);
        }
    }

    #[test]
    fn a_limit_is_kept_in_characters_and_never_within_an_escape() {
        assert_eq!(escaped("abc", 3), "abc");
        assert_eq!(escaped("abcd", 3), "ab…");
        assert_eq!(escaped("ab*", 4), r"ab\*");
        assert_eq!(escaped("ab*d", 4), "ab…");
        assert_eq!(escaped("****", 3), r"\*…");
        assert_eq!(escaped("😀😀😀", 2), "😀…");
        assert_eq!(escaped("x", 0), "");
        assert_eq!(escaped("@@", 1), "…");
    }
}
