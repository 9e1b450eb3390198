//! Commands in Markdown: the code blocks that a reader would paste into a shell.
//!
//! Each block is a piece of the original text in which everything that is no code (quotation marks of a block quote, prompts,
//! the output of a console) has been overwritten with blanks, so offsets stay those of the file.

use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag, TagEnd};
use std::ops::Range;

/// The text with only code in it, and where each block of commands is.
pub(super) fn blocks(text: &str) -> (String, Vec<Range<usize>>) {
    let mut masked: Vec<u8> =
        text.bytes().map(|byte| if matches!(byte, b'\n' | b'\r') { byte } else { b' ' }).collect();
    let mut blocks = Vec::new();
    let mut block: Option<(Block, Range<usize>)> = None;
    for (event, range) in Parser::new(text).into_offset_iter() {
        match event {
            Event::Start(Tag::CodeBlock(kind)) => block = Some((Block::of(&kind), range.start..range.start)),
            Event::Text(_) => {
                if let Some((_, extent)) = &mut block {
                    if extent.start >= extent.end {
                        extent.start = range.start;
                    }
                    extent.end = range.end.max(extent.start);
                    masked[range.clone()].copy_from_slice(&text.as_bytes()[range]);
                }
            }
            Event::End(TagEnd::CodeBlock) => {
                let Some((kind, extent)) = block.take() else { continue };
                let kept = kind != Block::Other && keep_commands(kind, &mut masked[extent.clone()]);
                if kept {
                    blocks.push(extent);
                }
            }
            _ => {}
        }
    }
    // Characters were copied whole, and a blank is one.
    (String::from_utf8(masked).unwrap_or_default(), blocks)
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Block {
    Shell,
    /// Commands behind prompts, and what they print.
    Console,
    /// It does not say.
    Plain,
    Other,
}

impl Block {
    fn of(kind: &CodeBlockKind<'_>) -> Block {
        let CodeBlockKind::Fenced(info) = kind else { return Block::Plain };
        let word = info.trim_start_matches(['{', '.', ' ']);
        let word = word.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).next().unwrap_or("");
        match &*word.to_ascii_lowercase() {
            "sh" | "bash" | "shell" | "zsh" | "ksh" | "gcloud" => Block::Shell,
            "console" | "shell-session" | "shellsession" | "sh-session" | "terminal" | "bash-session" => Block::Console,
            "" => Block::Plain,
            _ => Block::Other,
        }
    }
}

/// Overwrites what is no command; whether any is left.
fn keep_commands(kind: Block, block: &mut [u8]) -> bool {
    let text = String::from_utf8_lossy(block).into_owned();
    if text.len() != block.len() {
        return false;
    }
    let lines = || text.split_inclusive('\n');
    let prompted = lines().any(|line| prompt(line).is_some());
    let command = |line: &str| {
        let line = line.trim_start();
        line.starts_with("gcloud ") || line.starts_with("export ") || is_assignment(line)
    };
    if !prompted {
        return kind == Block::Shell || lines().any(command);
    }
    let mut at = 0;
    // Inside a command that goes on, or a here-document.
    let mut goes_on = false;
    let mut document: Option<String> = None;
    for line in lines() {
        let code = match prompt(line) {
            _ if document.is_some() => 0,
            Some(length) => length,
            None if goes_on => line.strip_prefix("> ").map_or(0, |_| 2),
            // A block of shell has no output: a line without a prompt is a command, too.
            None if kind == Block::Shell => 0,
            None => line.len(),
        };
        let blank = |byte: &mut u8| {
            if !matches!(byte, b'\n' | b'\r') {
                *byte = b' ';
            }
        };
        block[at..at + code].iter_mut().for_each(blank);
        if let Some(delimiter) = &document {
            if line.trim_end() == delimiter {
                document = None;
            }
        } else if code < line.len() {
            goes_on = line.trim_end_matches(['\n', '\r']).ends_with('\\');
            if let Some((_, rest)) = line.split_once("<<") {
                let word = rest.trim_start_matches(['-', ' ']);
                let word = word.split(|c: char| c.is_whitespace()).next().unwrap_or("");
                let word: String = word.chars().filter(|c| !matches!(c, '\'' | '"' | '\\')).collect();
                document = (!word.is_empty() && !word.starts_with('<')).then_some(word);
            }
        }
        at += line.len();
    }
    true
}

/// How long the prompt is that a line begins with: `$ `, `% `, `user@host:~$ `.
fn prompt(line: &str) -> Option<usize> {
    let blanks = line.len() - line.trim_start().len();
    let rest = &line[blanks..];
    if rest.starts_with("$ ") || rest.starts_with("% ") {
        return Some(blanks + 2);
    }
    let at = rest.find("$ ")?;
    let before = &rest[..at];
    let host = before.contains('@') && before.contains(':') && !before.contains(char::is_whitespace);
    host.then_some(blanks + at + 2)
}

fn is_assignment(line: &str) -> bool {
    let name = line.split('=').next().unwrap_or("");
    name.len() < line.trim_end().len()
        && !name.is_empty()
        && name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commands(text: &str) -> Vec<String> {
        let (masked, blocks) = blocks(text);
        assert_eq!(masked.len(), text.len());
        blocks.into_iter().map(|block| masked[block].split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    }

    #[test]
    fn blocks_of_shell_are_commands_and_others_are_not() {
        let text = "# A\n\n```bash\ngcloud a\n```\n\n```yaml\na: gcloud b\n```\n\n```\ngcloud c\n```\n\n```\nout\n```\n\n    gcloud d\n";
        assert_eq!(commands(text), ["gcloud a", "gcloud c", "gcloud d"]);
    }

    #[test]
    fn a_console_has_commands_behind_prompts_and_output() {
        let text = "```console\n$ gcloud a \\\n    --b=c\nERROR: it's\nuser@host:~$ gcloud d\n```\n";
        assert_eq!(commands(text), ["gcloud a \\ --b=c gcloud d"]);
    }

    #[test]
    fn code_in_quotes_and_lists_keeps_its_offsets() {
        let text = "> ```sh\n> gcloud a \\\n>   --b\n> ```\n\n1. x\n\n   ```sh\n   gcloud c\r\n   ```\n";
        assert_eq!(commands(text), ["gcloud a \\ --b", "gcloud c"]);
        let (masked, _) = blocks(text);
        assert_eq!(masked.find("--b"), text.find("--b"));
    }
}
