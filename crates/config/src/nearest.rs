//! "Did you mean": the known name that is nearest to one that is not known.

/// The nearest of `known` to `word`, if any is near enough that a slip of the hand explains it.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A hostile word of a megabyte is near to nothing; the distance is quadratic in the length.
    if word.len() > 64 {
        return None;
    }
    let plain = |text: &str| text.to_lowercase().replace(['-', '_'], "");
    let word = plain(word);
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&word, &plain(name)), name))
        .filter(|(distance, name)| *distance <= (name.len().max(word.len()) / 3).max(1))
        .filter(|(distance, name)| *distance < name.len().min(word.len().max(1)))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// "`a`, `b` and `c`".
pub(crate) fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| format!("`{}`", shown(name))).collect();
    match names.split_last() {
        None => "none".to_owned(),
        Some((only, [])) => only.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}

/// A text of the manifest as a message may show it: short, and on one line.
pub(crate) fn shown(text: &str) -> String {
    let mut short: String = text.chars().take(40).flat_map(char::escape_debug).collect();
    short = short.replace("\\'", "'").replace("\\\"", "\"");
    if text.chars().nth(40).is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_hand_finds_its_name() {
        let known = ["percent", "absolute", "baseline", "webhookUrl", "file", "http"];
        for (word, want) in [
            ("percnt", Some("percent")),
            ("Percent", Some("percent")),
            ("webhook_url", Some("webhookUrl")),
            ("webhookURL", Some("webhookUrl")),
            ("fiel", Some("file")),
            ("https", Some("http")),
            ("", None),
            ("x", None),
            ("ftp", None),
            ("kafka", None),
            (&"percent".repeat(10_000), None),
        ] {
            assert_eq!(nearest(word, known), want, "{word:.20}");
        }
    }

    #[test]
    fn a_list_reads_as_a_sentence() {
        assert_eq!(listed([]), "none");
        assert_eq!(listed(["a"]), "`a`");
        assert_eq!(listed(["a", "b", "c"]), "`a`, `b` and `c`");
        assert_eq!(shown("a\nb"), "a\\nb");
        assert_eq!(shown(&"x".repeat(50)).chars().count(), 41);
    }
}
