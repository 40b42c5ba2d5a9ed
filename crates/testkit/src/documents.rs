//! The commands that documents tell people to type, and what each of them says of its test.
//!
//! Above every block of commands stands a comment that the reader of the page does not see:
//!
//! ```text
//! <!-- run: path/of/the/tests.rs::name_of_the_test -->        several with commas
//! <!-- not run: kind, which needs docker and an image of a public registry -->
//! <!-- shown: what a command writes -->
//! ```
//!
//! A test takes its commands from the document by its own name ([`run_by`]), so that what is proven is what
//! people read. `cargo xtask` reads this very file as a module of its own.

/// A block of commands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Line of the document where it begins, from 1.
    pub line: usize,
    /// What stands in it, without the indentation.
    pub text: String,
    /// What the comment above it says.
    pub said: Said,
}

/// What a document says of one of its blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// These tests run it: `path.rs::name`.
    Run(Vec<String>),
    /// Nobody does, for this reason.
    NotRun(String),
    /// It is nothing to type.
    Shown,
    /// Nothing.
    Nothing,
}

impl Said {
    fn of(comment: &str) -> Said {
        if let Some(tests) = comment.strip_prefix("run:") {
            return Said::Run(tests.split(',').map(|test| test.trim().to_owned()).collect());
        }
        if let Some(reason) = comment.strip_prefix("not run:") {
            return Said::NotRun(reason.trim().to_owned());
        }
        if comment.starts_with("shown") { Said::Shown } else { Said::Nothing }
    }
}

/// Languages of fenced blocks that hold commands; one without a language may.
const SHELL: [&str; 3] = ["", "sh", "console"];

/// All blocks of commands of a document in Markdown: fenced ones of a shell or of no language, and indented
/// ones. What is indented within a list is taken for its text, and no block: use a fence there.
pub fn commands(markdown: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut said = Said::Nothing;
    let (mut in_list, mut after_blank) = (false, true);
    let mut lines = markdown.lines().enumerate().peekable();
    while let Some((at, line)) = lines.next() {
        let bare = line.trim();
        if let Some(comment) = bare.strip_prefix("<!--").and_then(|rest| rest.strip_suffix("-->")) {
            said = Said::of(comment.trim());
            after_blank = true;
            // One that is not indented ends a list.
            in_list &= line.starts_with(' ');
        } else if let Some(language) = bare.strip_prefix("```") {
            let indent = line.len() - line.trim_start().len();
            let mut text = String::new();
            for (_, line) in lines.by_ref().take_while(|(_, line)| line.trim() != "```") {
                text.push_str(line.get(indent..).unwrap_or_default());
                text.push('\n');
            }
            let of_shell = SHELL.contains(&language);
            push(&mut found, at, text, &mut said, of_shell);
        } else if bare.is_empty() {
            after_blank = true;
        } else if after_blank && !in_list && line.starts_with("    ") {
            let mut text = format!("{}\n", line.get(4..).unwrap_or_default());
            while let Some((_, line)) = lines.next_if(|(_, line)| line.starts_with("    ")) {
                text.push_str(line.get(4..).unwrap_or_default());
                text.push('\n');
            }
            push(&mut found, at, text, &mut said, true);
        } else {
            if !line.starts_with(' ') {
                let number = bare.trim_start_matches(|letter: char| letter.is_ascii_digit());
                in_list = bare.starts_with("- ") || bare.starts_with("* ");
                in_list |= number.len() < bare.len() && number.starts_with(". ");
            }
            said = Said::Nothing;
            after_blank = false;
        }
    }
    found
}

fn push(found: &mut Vec<Block>, at: usize, text: String, said: &mut Said, commands: bool) {
    let said = std::mem::replace(said, Said::Nothing);
    if commands {
        found.push(Block { line: at + 1, text, said });
    }
}

/// The texts of the blocks that `test` runs, in their order; `test` is the end of `path.rs::name`.
pub fn run_by(markdown: &str, test: &str) -> Vec<String> {
    let names = |tests: &[String]| tests.iter().any(|name| name.ends_with(&format!("::{test}")));
    let blocks = commands(markdown).into_iter();
    blocks
        .filter(|block| matches!(&block.said, Said::Run(tests) if names(tests)))
        .map(|block| block.text)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# Page\n\n<!-- run: a/b.rs::one, c.rs::two -->\n\n    first \\\n      more\n\nText\n    goes on.\n\n\
        ```yaml\na: 1\n```\n\n<!-- not run: a cloud is needed -->\n```sh\nsecond\n```\n\n1. An item\n\n    its text\n\n   \
        <!-- shown: what it writes -->\n   ```\n   third\n   ```\n\n- x\n\nText.\n\n    fourth\n\n- y\n\n<!-- shown -->\n\n    fifth\n";

    #[test]
    fn every_block_is_found_with_what_is_said_of_it() {
        let found = commands(PAGE);
        let short: Vec<(usize, &str, Said)> =
            found.iter().map(|block| (block.line, block.text.trim(), block.said.clone())).collect();
        let run = Said::Run(vec!["a/b.rs::one".to_owned(), "c.rs::two".to_owned()]);
        let wanted = [
            (5, "first \\\n  more", run),
            (16, "second", Said::NotRun("a cloud is needed".to_owned())),
            (25, "third", Said::Shown),
            (33, "fourth", Said::Nothing),
            (39, "fifth", Said::Shown),
        ];
        assert_eq!(short, wanted);
    }

    #[test]
    fn a_test_gets_the_blocks_that_name_it() {
        assert_eq!(run_by(PAGE, "two"), ["first \\\n  more\n"]);
        assert!(run_by(PAGE, "wo").is_empty());
    }

    #[test]
    fn a_comment_holds_for_the_next_block_alone() {
        let found = commands("<!-- shown -->\n\n    a\n\n<!-- shown -->\n\nText between.\n\n    b\n");
        assert_eq!(found[0].said, Said::Shown);
        assert_eq!(found[1].said, Said::Nothing);
        let found = commands("<!-- shown -->\n```yaml\nx\n```\n\n```\nb\n```\n");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].said, Said::Nothing);
    }
}
