//! Keeps secrets out of what other people's servers and libraries say.

use reqwest::Url;

/// What stands in the place of a secret.
const MARK: &str = "[secret]";
/// Shorter pieces of an address are words, not secrets.
const SHORTEST: usize = 4;
/// Parts of addresses that everybody knows.
const WORDS: &[&str] = &["api", "hook", "hooks", "webhook", "webhooks", "services", "true", "false"];

/// Cuts known secrets, and words that look like one, out of texts.
///
/// Servers repeat what they were sent: paths, tokens, headers. The known secrets of a channel are
/// cut wherever they stand. What merely looks like a token (16 or more letters, digits, `-`, `_`
/// with letters *and* digits among them) is cut as well: it may be a secret that only the server knows.
#[derive(Clone)]
pub(crate) struct Cutter {
    /// Longest first, so that a part never spoils the whole.
    pieces: Vec<String>,
}

impl Cutter {
    /// Knows `url`, and `others` to be secret. A `public` address hides only its query, password
    /// and what looks like a token.
    pub(crate) fn new(url: &Url, public: bool, others: &[&str]) -> Cutter {
        let mut pieces: Vec<String> = others.iter().map(|&text| text.to_owned()).collect();
        pieces.extend(others.iter().filter_map(|text| text.strip_prefix("whsec_")).map(str::to_owned));
        pieces.extend(url.query().map(str::to_owned));
        pieces.extend(url.query_pairs().map(|(_, value)| value.into_owned()));
        pieces.extend(url.password().map(str::to_owned));
        if !public {
            pieces.push(url.to_string());
            pieces.push(url.path().to_owned());
            pieces.push(url.username().to_owned());
            pieces.extend(url.path_segments().into_iter().flatten().map(str::to_owned));
            pieces.extend(url.host_str().map(str::to_owned));
        }
        let decoded: Vec<String> = pieces.iter().filter_map(|piece| percent_decoded(piece)).collect();
        pieces.extend(decoded);
        pieces.retain(|piece| piece.len() >= SHORTEST && !WORDS.contains(&piece.trim_matches('/')));
        pieces.sort_by_key(|piece| std::cmp::Reverse(piece.len()));
        pieces.dedup();
        Cutter { pieces }
    }

    /// `text` without secrets.
    pub(crate) fn cut(&self, text: &str) -> String {
        tokens_cut(&self.pieces_cut(text))
    }

    /// The same for a text that breaks off somewhere, perhaps within a secret.
    pub(crate) fn cut_fragment(&self, text: &str) -> String {
        let mut text = self.pieces_cut(text);
        for piece in &self.pieces {
            let starts = piece.char_indices().map(|(at, _)| at).filter(|&at| at >= SHORTEST);
            if let Some(at) = starts.rev().find(|&at| text.ends_with(&piece[..at])) {
                text.truncate(text.len() - at);
                text.push_str(MARK);
            }
        }
        tokens_cut(&text)
    }

    fn pieces_cut(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for piece in &self.pieces {
            if text.contains(piece.as_str()) {
                text = text.replace(piece.as_str(), MARK);
            }
        }
        text
    }
}

/// `%2D` and its like as the characters they mean; `None` where there is none.
fn percent_decoded(text: &str) -> Option<String> {
    if !text.contains('%') {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let hex = tail.get(..2).filter(|_| first == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        if let Some(byte) = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            bytes.push(byte);
            rest = &tail[2..];
        } else {
            bytes.push(first);
            rest = tail;
        }
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn tokens_cut(text: &str) -> String {
    let in_token = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c| !in_token(c)).unwrap_or(rest.len());
        let (word, tail) = rest.split_at(end);
        out.push_str(if looks_like_token(word) { MARK } else { word });
        let next = tail.find(in_token).unwrap_or(tail.len());
        out.push_str(&tail[..next]);
        rest = &tail[next..];
    }
    out
}

fn looks_like_token(word: &str) -> bool {
    word.len() >= 16
        && word.bytes().any(|b| b.is_ascii_digit())
        && word.bytes().any(|b| b.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://user:pass-word@discord.com/api/webhooks/1234567890/to.ken%2Dx?thread=abcd";

    fn cutter(public: bool) -> Cutter {
        Cutter::new(&Url::parse(URL).unwrap(), public, &["whsec_MfKQ/abc+d=="])
    }

    #[test]
    fn the_address_its_parts_and_the_key_are_cut_wherever_they_stand() {
        let cutter = cutter(false);
        for (text, want) in [
            (URL, "[secret]"),
            ("POST /api/webhooks/1234567890/to.ken%2Dx failed", "POST [secret] failed"),
            (r"\/webhooks\/1234567890\/to.ken-x", r"\/webhooks\/[secret]\/[secret]"),
            ("key whsec_MfKQ/abc+d== or MfKQ/abc+d==", "key [secret] or [secret]"),
            ("password pass-word, thread abcd", "password [secret], thread [secret]"),
            ("Unknown Webhook at the api", "Unknown Webhook at the api"),
        ] {
            assert_eq!(cutter.cut(text), want);
        }
    }

    #[test]
    fn a_secret_that_breaks_off_at_the_end_is_cut_too() {
        assert_eq!(cutter(false).cut_fragment("you sent to.ken%"), "you sent [secret]");
        assert_eq!(cutter(false).cut_fragment("you sent to.k"), "you sent [secret]");
    }

    #[test]
    fn what_looks_like_a_token_is_cut_and_ordinary_words_are_not() {
        let cutter = cutter(true);
        for (text, want) in [
            ("by PLANTED-bearer-4713!", "by [secret]!"),
            ("a internationalisation-of-words b", "a internationalisation-of-words b"),
            ("at 12345678901234567890", "at 12345678901234567890"),
            (
                "Must be 4096 or fewer in length. (BASE_TYPE_MAX_LENGTH)",
                "Must be 4096 or fewer in length. (BASE_TYPE_MAX_LENGTH)",
            ),
            ("päivää 0123456789xyzuvw", "päivää [secret]"),
        ] {
            assert_eq!(cutter.cut(text), want);
        }
    }
}
