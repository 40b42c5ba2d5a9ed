//! Documents that must agree with the project: every link leads somewhere, every promise names tests that
//! exist, and every block of commands a test that runs it, or why none does. (What is generated from the
//! code is compared by the tests of the crate that generates it.)

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

// How a document says it: xtask stands on no other package, but tests and this check must agree.
#[path = "../../crates/testkit/src/documents.rs"]
#[allow(dead_code, unreachable_pub)] // what tests use
mod marked;

use marked::Said;

/// The only reasons for which no test runs a block: what it begins with.
const REASONS: [&str; 3] = ["kind", "a cloud", "a public registry"];

/// Checks all documents; tells whether they are in order.
///
/// # Errors
/// When one cannot be read.
pub(crate) fn check() -> Result<bool> {
    let mut complaints = Vec::new();
    let documents = documents()?;
    let code = sources(Path::new("crates"))?;
    for document in &documents {
        let text = fs::read_to_string(document).with_context(|| document.display().to_string())?;
        complaints.extend(dead_links(document, &text));
        complaints.extend(missing_tests(document, &text));
        complaints.extend(commands_without_test(document, &text));
        complaints.extend(promises_without_test(document, &text));
        complaints.extend(invented_messages(document, &text, &code));
    }
    for complaint in &complaints {
        println!("{complaint}");
    }
    println!("{} documents looked at, {} complaints", documents.len(), complaints.len());
    Ok(complaints.is_empty())
}

fn documents() -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for folder in [".", "docs"] {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Blocks of commands that no test runs, and that no good reason excuses. The file of a test that runs one
/// must speak of the document: it takes the block from there.
fn commands_without_test(document: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let name = document.file_name().unwrap_or_default().to_string_lossy();
    // Those that tell people what to type; other indented blocks are drawings.
    if name != "README.md" && document.parent().is_none_or(|folder| !folder.ends_with("docs")) {
        return found;
    }
    for block in marked::commands(text) {
        let at = format!("{}:{}", document.display(), block.line);
        match block.said {
            Said::Shown => {}
            Said::Nothing => {
                let remedy = "put `<!-- run: path.rs::test -->`, `<!-- not run: reason -->` or `<!-- shown -->` above it";
                found.push(format!("{at}: nothing says which test runs this block: {remedy}"));
            }
            Said::NotRun(reason) => {
                if !REASONS.iter().any(|known| reason.starts_with(known)) {
                    let known = REASONS.join("`, `");
                    found.push(format!("{at}: `{reason}` is no reason: it must begin with `{known}`"));
                }
            }
            Said::Run(tests) => {
                found.extend(tests.iter().filter_map(|test| Some(format!("{at}: {}", doubt(test, &name)?))));
            }
        }
    }
    found
}

/// What is wrong with a test that is said to run a block of the document.
fn doubt(test: &str, document: &str) -> Option<String> {
    let Some((file, name)) = test.split_once(".rs::") else {
        return Some(format!("`{test}` is not `path.rs::name`"));
    };
    let file = format!("{file}.rs");
    let code = fs::read_to_string(&file).unwrap_or_default();
    if !has_test(&code, name) {
        return Some(format!("there is no test `{name}` in {file}"));
    }
    (!code.contains(document)).then(|| format!("{file} does not speak of {document}: does it run the block?"))
}

/// Rows of a table of promises that name no test.
fn promises_without_test(document: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut within = false;
    for (at, line) in text.lines().enumerate() {
        let rule = line.starts_with("|---");
        within = line.starts_with("| promise | proof |") || within && line.starts_with('|');
        if within && !rule && !line.starts_with("| promise |") && !line.contains(".rs::") {
            found.push(format!("{}:{}: a promise without a test that proves it", document.display(), at + 1));
        }
    }
    found
}

/// What the program may say: all of the code, with texts that go on over several lines in one.
fn sources(folder: &Path) -> Result<String> {
    let mut all = String::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            // What a test says, nobody reads.
            if !path.ends_with("tests") && !path.ends_with("testkit") {
                all += &sources(&path)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            all += &fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        }
    }
    let mut lines = all.split("\\\n");
    let first = lines.next().unwrap_or_default().to_owned();
    Ok(lines.fold(first, |joined, line| joined + line.trim_start()))
}

/// Messages, quoted in blocks of the language `text`, that no code says: each part between `...` must be there.
fn invented_messages(document: &Path, text: &str, code: &str) -> Vec<String> {
    let mut invented = Vec::new();
    for block in text.split("```text\n").skip(1) {
        for message in block.split("```").next().unwrap_or_default().lines() {
            let mut parts =
                message.split("...").filter(|part| part.chars().any(char::is_alphanumeric)).peekable();
            if parts.peek().is_none() || parts.any(|part| !code.contains(part)) {
                invented.push(format!("{}: nothing says `{message}`", document.display()));
            }
        }
    }
    invented
}

/// Links to files of the project that are not there.
fn dead_links(document: &Path, text: &str) -> Vec<String> {
    let folder = document.parent().unwrap_or(Path::new("."));
    let mut dead = Vec::new();
    for rest in text.split("](").skip(1) {
        let target = rest.split([')', ' ']).next().unwrap_or_default();
        let file = target.split('#').next().unwrap_or_default();
        let outside = target.contains("://") || target.starts_with("mailto:");
        if !outside && !file.is_empty() && !folder.join(file).exists() {
            dead.push(format!("{}: the link to {target} leads nowhere", document.display()));
        }
    }
    dead
}

/// Tests named as `` `path/to/file.rs::name_of_the_test` `` that are not there. Without a name the
/// file alone must exist.
fn missing_tests(document: &Path, text: &str) -> Vec<String> {
    let mut missing = Vec::new();
    for span in text.split('`').skip(1).step_by(2) {
        let (file, name) = match span.split_once(".rs::") {
            Some((file, name)) if !file.contains(char::is_whitespace) => (format!("{file}.rs"), name),
            _ => continue,
        };
        let code = fs::read_to_string(&file).unwrap_or_default();
        if !has_test(&code, name) {
            missing.push(format!("{}: there is no test `{name}` in {file}", document.display()));
        }
    }
    missing
}

/// A suite that several engines run takes the engine as a parameter.
fn has_test(code: &str, name: &str) -> bool {
    code.contains(&format!("fn {name}(")) || code.contains(&format!("fn {name}<"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_of_commands_without_a_test_or_a_good_reason_is_told() {
        let complaints = |above: &str| {
            let text = format!("Text.\n\n{above}\n\n    do this\n");
            commands_without_test(Path::new("docs/Cargo.md"), &text)
        };
        let test = "src/docs.rs::a_block_of_commands_without_a_test_or_a_good_reason_is_told";
        for well in [
            "<!-- shown -->",
            "<!-- not run: kind needs docker -->",
            "<!-- not run: a cloud -->",
            &format!("<!-- run: {test} -->"),
        ] {
            assert_eq!(complaints(well), Vec::<String>::new(), "{well}");
        }
        for (bad, told) in [
            ("Nothing.", "docs/Cargo.md:5: nothing says which test"),
            ("<!-- not run: too much work -->", "`too much work` is no reason"),
            ("<!-- run: src/docs.rs::invented -->", "there is no test `invented` in src/docs.rs"),
            ("<!-- run: somewhere -->", "`somewhere` is not `path.rs::name`"),
        ] {
            let complaints = complaints(bad);
            assert!(complaints.len() == 1 && complaints[0].contains(told), "{bad}: {complaints:?}");
        }
        let other = format!("<!-- run: {test} -->\n\n    do this\n");
        // Put together, so that this file does not speak of it.
        let document = ["docs/un", "known.md"].concat();
        let told = commands_without_test(Path::new(&document), &other);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains("does not speak of un"), "{told:?}");
    }

    /// README.md and the others name chores within their text, too; a word in capitals stands for something.
    #[test]
    fn every_chore_in_the_documents_is_known() {
        use clap::CommandFactory as _;
        let mut known = 0;
        for document in
            ["README.md", "CONTRIBUTING.md", "docs/servers.md", "docs/performance.md", "docs/promises.md"]
        {
            let text = fs::read_to_string(Path::new("..").join(document)).unwrap();
            for rest in text.split("cargo xtask ").skip(1) {
                let line = rest.split(['`', '\n', '#', '&', ';', ',', ')']).next().unwrap_or_default();
                let words: Vec<&str> = line.split_whitespace().collect();
                let told =
                    crate::Arguments::command().try_get_matches_from([&["cargo xtask"], &words[..]].concat());
                let well = told.is_ok_and(|_| true) || words.contains(&"--help");
                assert!(well, "{document}: `cargo xtask {line}`");
                known += 1;
            }
        }
        assert!(known >= 5, "only {known} were found");
    }

    #[test]
    fn a_message_that_nothing_says_is_told() {
        let text = "```text\nthe disk is full: ...; make room\nthe disk is ... empty\n...\n```\n```sh\nnothing\n```\n";
        let told =
            invented_messages(Path::new("t.md"), text, "format!(\"the disk is full: {why}; make room\")");
        assert_eq!(told, ["t.md: nothing says `the disk is ... empty`", "t.md: nothing says `...`"]);
    }

    #[test]
    fn a_promise_without_a_test_is_told() {
        let text = "| promise | proof |\n|---|---|\n| a | `x.rs::y` |\n| b | a word |\n\n| other | table |\n";
        assert_eq!(
            promises_without_test(Path::new("p.md"), text),
            ["p.md:4: a promise without a test that proves it"]
        );
    }

    #[test]
    fn a_link_to_nowhere_is_told_and_others_are_not() {
        // Tests run in the package's folder.
        let text = "[a](Cargo.toml) [b](src/main.rs#x) [c](https://example.org/) [d](#here) [e](no/such.md)";
        let dead = dead_links(Path::new("README.md"), text);
        assert_eq!(dead, ["README.md: the link to no/such.md leads nowhere"]);
    }

    #[test]
    fn a_promise_with_an_invented_test_is_told() {
        let text =
            "`src/docs.rs::a_promise_with_an_invented_test_is_told` and `src/docs.rs::invented`, `a::b`";
        let missing = missing_tests(Path::new("p.md"), text);
        assert_eq!(missing, ["p.md: there is no test `invented` in src/docs.rs"]);
    }
}
