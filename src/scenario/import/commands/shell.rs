//! Shell scripts as far as gcloud commands need it: words with their exact places, in statements.
//!
//! Quotes, escapes, line continuations, variables, here-documents, `if`, `for` loops and functions are understood. Other
//! control flow is read as if its commands ran once, each marked as guarded. Nothing is evaluated here ([`super::interpret`] does
//! that), nothing recurses deeper than a handful of levels, and whatever the text is, reading it takes time in its length.

use std::rc::Rc;

use crate::scenario::diagnostic::{Diagnostic, FileId, Place};

mod redirections;
mod words;

/// Loops and functions inside each other; what is deeper is read as if it stood outside.
const DEEPEST: usize = 24;
/// Substitutions inside each other.
const DEEPEST_SUBSTITUTION: usize = 4;

/// What a script consists of.
#[derive(Debug)]
pub(super) enum Statement {
    Command(Simple),
    For {
        name: Box<str>,
        items: Vec<Word>,
        body: Rc<[Statement]>,
        place: Place,
    },
    Function {
        name: Box<str>,
        body: Rc<[Statement]>,
        place: Place,
    },
    /// Conditions with what runs if they hold, and what runs if none does.
    If {
        branches: Vec<Branch>,
        otherwise: Rc<[Statement]>,
        place: Place,
    },
}

/// A condition, and what runs if it holds.
#[derive(Debug)]
pub(super) struct Branch {
    pub condition: Rc<[Statement]>,
    pub body: Rc<[Statement]>,
}

/// What stands between a command and the one before it.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chain {
    #[default]
    None,
    And,
    Or,
}

/// A command before expansion: its words with assignments among them.
#[derive(Debug, Default)]
pub(super) struct Simple {
    pub words: Vec<Word>,
    /// `NAME=(…)`: the variable, whether it is added to, and the items.
    pub arrays: Vec<(Box<str>, bool, Vec<Word>)>,
    /// Where its output goes.
    pub output: Option<Word>,
    pub document: Option<Rc<Word>>,
    /// The script goes on if it fails: `… || true`, or it is the other side of `||`.
    pub tolerant: bool,
    /// The construct that decides whether it runs.
    pub guard: Option<Place>,
    /// Whether it runs is up to the command before it.
    pub chain: Chain,
    /// After `!`.
    pub negated: bool,
}

/// A word before expansion.
#[derive(Debug, Clone)]
pub(super) struct Word {
    pub parts: Vec<Part>,
    pub place: Place,
}

#[derive(Debug, Clone)]
pub(super) enum Part {
    Literal {
        text: Box<str>,
        start: u32,
        end: u32,
    },
    Variable {
        name: Box<str>,
        default: Option<Rc<Word>>,
        /// `${NAME:+…}`: the word counts if there is a value, not if there is none.
        instead: bool,
        assigns: bool,
        quoted: bool,
        start: u32,
        end: u32,
    },
    /// `$(…)`, with the commands inside unless they are nested too deep.
    Command {
        inside: Option<Rc<[Statement]>>,
        start: u32,
        end: u32,
    },
    /// `$((…))`.
    Arithmetic {
        text: Box<str>,
        start: u32,
        end: u32,
    },
    /// What cannot be evaluated: substrings, lengths.
    Unknown {
        start: u32,
        end: u32,
    },
}

impl Word {
    /// The text of a word without variables and quotes.
    pub fn literal(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [Part::Literal { text, .. }] => Some(text),
            _ => None,
        }
    }
}

/// Reads the part of a text between two offsets.
pub(super) fn parse(
    text: &str,
    from: usize,
    to: usize,
    file: FileId,
    markdown: bool,
    report: &mut Vec<Diagnostic>,
) -> Vec<Statement> {
    let to = to.min(text.len());
    let mut parser = Parser::new(text, from, to, file, 0);
    parser.markdown = markdown;
    let statements = parser.run();
    report.append(&mut parser.report);
    statements
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    If,
    /// `while`, `until`, `select`, or an `if` or a `for` too deep; closed by `fi` or `done`.
    Guard,
    /// A brace after `&&`; what is in it may not run.
    Group,
    Case,
    Brace,
    For,
    Function,
}

/// A list of statements that is not complete yet.
enum Open {
    For { name: Box<str>, items: Vec<Word>, place: Place },
    Function { name: Box<str>, place: Place },
    If { condition: Option<Rc<[Statement]>>, branches: Vec<Branch>, place: Place, last: bool },
}

struct Parser<'a> {
    text: &'a str,
    bytes: &'a [u8],
    file: FileId,
    at: usize,
    end: usize,
    depth: usize,
    markdown: bool,
    kinds: Vec<Kind>,
    guards: Vec<Place>,
    open: Vec<Open>,
    lists: Vec<Vec<Statement>>,
    current: Simple,
    /// Here-documents whose text begins after this line: (delimiter, tabs are stripped, taken literally).
    pending: Vec<(Box<str>, bool, bool)>,
    /// Commands of the line that wait for a document: they are held back until it has been read.
    waiting: Vec<(Simple, Option<usize>)>,
    document: Option<usize>,
    /// After `||`.
    alternative: bool,
    chain: Chain,
    negated: bool,
    report: Vec<Diagnostic>,
}

fn is_name_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_'
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

impl<'a> Parser<'a> {
    fn new(text: &'a str, at: usize, end: usize, file: FileId, depth: usize) -> Parser<'a> {
        Parser {
            text,
            bytes: text.as_bytes(),
            file,
            at,
            end,
            depth,
            markdown: false,
            kinds: Vec::new(),
            guards: Vec::new(),
            open: Vec::new(),
            lists: vec![Vec::new()],
            current: Simple::default(),
            pending: Vec::new(),
            waiting: Vec::new(),
            document: None,
            alternative: false,
            chain: Chain::None,
            negated: false,
            report: Vec::new(),
        }
    }

    fn byte(&self, ahead: usize) -> u8 {
        let at = self.at + ahead;
        if at < self.end { self.bytes[at] } else { 0 }
    }

    fn place(&self, start: usize, end: usize) -> Place {
        Place { file: self.file, start: start as u32, end: end as u32 }
    }

    fn run(&mut self) -> Vec<Statement> {
        while self.at < self.end {
            self.step();
        }
        self.finish_command(false);
        self.line_ends();
        while self.lists.len() > 1 {
            self.close_list();
        }
        self.lists.pop().unwrap_or_default()
    }

    fn step(&mut self) {
        match self.byte(0) {
            b'\n' => {
                self.at += 1;
                self.finish_command(false);
                self.line_ends();
            }
            b' ' | b'\t' | b'\r' => self.at += 1,
            b'\\' if self.continuation().is_some() => self.at = self.continuation().unwrap_or(self.at + 1),
            b'#' => self.at = self.line_end(),
            b';' => {
                let double = self.byte(1) == b';';
                self.at += 1 + usize::from(double);
                self.finish_command(false);
                if double && self.kinds.last() == Some(&Kind::Case) {
                    self.case_pattern();
                }
            }
            b'&' if self.byte(1) == b'>' => {
                self.at += 1;
                self.redirect();
            }
            b'&' => {
                let both = self.byte(1) == b'&';
                self.at += 1 + usize::from(both);
                self.finish_command(false);
                if both {
                    self.chain = Chain::And;
                }
            }
            b'|' if self.byte(1) == b'|' => {
                self.at += 2;
                self.finish_command(true);
                self.alternative = true;
                self.chain = Chain::Or;
            }
            b'|' => {
                self.at += 1 + usize::from(self.byte(1) == b'&');
                self.finish_command(false);
            }
            b'(' => self.parenthesis(),
            b')' => {
                self.at += 1;
                self.finish_command(false);
            }
            b'<' if self.placeholder(self.at).is_some() => self.word(),
            b'<' | b'>' => self.redirect(),
            _ => self.word(),
        }
    }

    fn line_end(&self) -> usize {
        self.bytes[self.at..self.end].iter().position(|byte| *byte == b'\n').map_or(self.end, |at| self.at + at)
    }

    /// Where the next line begins, if a backslash ends this one.
    fn continuation(&self) -> Option<usize> {
        let mut at = self.at + 1;
        if at < self.end && self.bytes[at] == b'\r' {
            at += 1;
        }
        (at >= self.end || self.bytes[at] == b'\n').then_some((at + 1).min(self.end))
    }

    /// `<NAME>` where a value should be: documentation for "put yours here".
    fn placeholder(&self, at: usize) -> Option<usize> {
        let rest = self.bytes.get(at + 1..self.end.min(at + 62))?;
        let length = rest.iter().position(|byte| !(is_name(*byte) || *byte == b'-'))?;
        (length > 0 && rest[length] == b'>' && is_name_start(rest[0])).then_some(at + length + 2)
    }

    /// A parenthesis where a command may begin: a subshell, a function, arithmetic.
    fn parenthesis(&mut self) {
        let mut ahead = 1;
        while matches!(self.byte(ahead), b' ' | b'\t') {
            ahead += 1;
        }
        if self.byte(ahead) == b')' && self.current.words.len() == 1 && self.current.arrays.is_empty() {
            self.at += ahead + 1;
            let word = self.current.words.pop();
            let place = word.as_ref().map_or(self.place(self.at, self.at), |word| word.place);
            let name = word.as_ref().and_then(Word::literal).unwrap_or("").into();
            return self.begin_function(name, place);
        }
        if self.byte(1) == b'(' {
            let start = self.at;
            self.at = self.matching(start, self.end, b'(', b')');
            if self.current.words.is_empty() {
                // `((…))` is `let`.
                let (from, to) = (start + 2, self.at.saturating_sub(2).max(start + 2).min(self.end));
                let place = self.place(start, self.at);
                let name = Part::Literal { text: "let".into(), start: place.start, end: place.end };
                let text = self.text.get(from..to).unwrap_or("").into();
                let text = Part::Literal { text, start: from as u32, end: to as u32 };
                self.current.words = [name, text].map(|part| Word { parts: vec![part], place }).into();
            }
            return;
        }
        self.at += 1;
        self.finish_command(false);
    }

    fn begin_function(&mut self, name: Box<str>, place: Place) {
        // The brace comes next, perhaps on the next line.
        let brace = self.bytes[self.at..self.end].iter().position(|byte| !byte.is_ascii_whitespace());
        let Some(brace) = brace.filter(|at| self.bytes[self.at + at] == b'{') else { return };
        self.at += brace + 1;
        if self.open.len() < DEEPEST {
            self.kinds.push(Kind::Function);
            self.open.push(Open::Function { name, place });
            self.lists.push(Vec::new());
        } else {
            self.kinds.push(Kind::Brace);
        }
    }

    /// The offset after the bracket that closes the one here; the end if none does.
    fn matching(&self, from: usize, end: usize, open: u8, close: u8) -> usize {
        let mut depth = 0_usize;
        let mut at = from;
        let mut quote = 0;
        while at < end {
            let byte = self.bytes[at];
            match byte {
                b'\\' if quote != b'\'' => at += 1,
                _ if quote != 0 => quote = if byte == quote { 0 } else { quote },
                b'\'' | b'"' => quote = byte,
                _ if byte == open => depth += 1,
                _ if byte == close => {
                    depth -= 1;
                    if depth == 0 {
                        return at + 1;
                    }
                }
                _ => {}
            }
            at += 1;
        }
        end
    }

    fn blanks(&mut self) {
        while matches!(self.byte(0), b' ' | b'\t') {
            self.at += 1;
        }
    }

    /// A command is complete.
    fn finish_command(&mut self, fails: bool) {
        let mut simple = std::mem::take(&mut self.current);
        let alternative = std::mem::take(&mut self.alternative);
        let document = self.document.take();
        if simple.words.is_empty() && simple.arrays.is_empty() {
            self.alternative = alternative && !fails;
            return;
        }
        let asked = matches!(
            (self.kinds.last(), self.open.last()),
            (Some(Kind::If), Some(Open::If { condition: None, last: false, .. }))
        );
        simple.tolerant = fails || alternative || asked;
        simple.chain = std::mem::take(&mut self.chain);
        simple.negated = std::mem::take(&mut self.negated);
        simple.guard = self.guards.last().copied();
        if self.pending.is_empty() {
            self.emit(simple);
        } else {
            self.waiting.push((simple, document));
        }
    }

    fn emit(&mut self, simple: Simple) {
        if let Some(list) = self.lists.last_mut() {
            list.push(Statement::Command(simple));
        }
    }

    fn close_list(&mut self) {
        let (Some(list), Some(open)) = (self.lists.pop(), self.open.pop()) else { return };
        let body = list.into();
        let statement = match open {
            Open::For { name, items, place } => Statement::For { name, items, body, place },
            Open::Function { name, place } => Statement::Function { name, body, place },
            Open::If { condition, mut branches, place, last } => {
                let mut otherwise: Rc<[Statement]> = Rc::new([]);
                match condition {
                    Some(condition) => branches.push(Branch { condition, body }),
                    None if last => otherwise = body,
                    // Cut off in its condition.
                    None => branches.push(Branch { condition: body, body: Rc::new([]) }),
                }
                Statement::If { branches, otherwise, place }
            }
        };
        if let Some(list) = self.lists.last_mut() {
            list.push(statement);
        }
    }

    /// Closes the innermost construct of these kinds; what was left open inside it closes with it.
    fn close(&mut self, kinds: &[Kind]) {
        if !self.kinds.iter().any(|kind| kinds.contains(kind)) {
            return;
        }
        while let Some(kind) = self.kinds.pop() {
            match kind {
                Kind::For | Kind::Function | Kind::If => self.close_list(),
                Kind::Guard | Kind::Case | Kind::Group => {
                    self.guards.pop();
                }
                Kind::Brace => {}
            }
            if kinds.contains(&kind) {
                return;
            }
        }
    }

    /// Takes a word, or the keyword that it is.
    fn word(&mut self) {
        let start = self.at;
        if self.current.words.is_empty() && self.current.arrays.is_empty() && self.keyword() {
            return;
        }
        let array = self.array_name();
        if let Some((name, adds)) = array {
            let mut items = Vec::new();
            while self.at < self.end && self.byte(0) != b')' {
                match self.byte(0) {
                    b' ' | b'\t' | b'\r' | b'\n' => self.at += 1,
                    b'\\' if self.continuation().is_some() => self.at = self.continuation().unwrap_or(self.end),
                    b'#' => self.at = self.line_end(),
                    b'(' | b'<' | b'>' | b';' | b'|' | b'&' => self.at += 1,
                    _ => items.push(self.read_word()),
                }
            }
            self.at = (self.at + 1).min(self.end);
            self.current.arrays.push((name, adds, items));
            return;
        }
        let word = self.read_word();
        if self.at == start {
            // Nothing that a word can begin with: never stand still.
            self.at += self.text[self.at..].chars().next().map_or(1, char::len_utf8);
            return;
        }
        if !word.parts.is_empty() {
            self.current.words.push(word);
        }
    }

    /// `NAME=(` or `NAME+=(`, which is passed over.
    fn array_name(&mut self) -> Option<(Box<str>, bool)> {
        let mut at = self.at;
        while at < self.end && is_name(self.bytes[at]) {
            at += 1;
        }
        let name = &self.text[self.at..at];
        let rest = &self.bytes[at..self.end];
        let adds = rest.starts_with(b"+=(");
        if name.is_empty() || !is_name_start(name.as_bytes()[0]) || !(adds || rest.starts_with(b"=(")) {
            return None;
        }
        let name = name.into();
        self.at = at + 2 + usize::from(adds);
        Some((name, adds))
    }

    /// `then`, `else` or `elif` of the innermost `if`.
    fn next_branch(&mut self, word: &str) {
        // What was left open inside it closes with it; an `if` too deep has no branches.
        let Some(at) = self.kinds.iter().rposition(|kind| matches!(kind, Kind::If | Kind::Guard)) else { return };
        if self.kinds[at] != Kind::If {
            return;
        }
        while self.kinds.len() > at + 1 {
            let Some(kind) = self.kinds.last().copied() else { return };
            self.close(&[kind]);
        }
        let (Some(list), Some(Open::If { condition, branches, last, .. })) =
            (self.lists.last_mut(), self.open.last_mut())
        else {
            return;
        };
        match (word, &condition) {
            ("then", None) if !*last => *condition = Some(std::mem::take(list).into()),
            ("else" | "elif", Some(_)) => {
                if let Some(condition) = condition.take() {
                    branches.push(Branch { condition, body: std::mem::take(list).into() });
                }
                *last = word == "else";
            }
            _ => {}
        }
    }

    /// Handles a reserved word where a command may begin.
    fn keyword(&mut self) -> bool {
        let mut at = self.at;
        while at < self.end && !b" \t\r\n;&|()<>\"'`$\\".contains(&self.bytes[at]) {
            at += 1;
        }
        let start = self.at;
        let word = &self.text[start..at];
        let place = self.place(start, at);
        let after = self.bytes.get(at).copied().unwrap_or(b'\n');
        match word {
            "do" | "time" => {}
            "!" => self.negated = !self.negated,
            "then" | "else" | "elif" => self.next_branch(word),
            "if" if self.open.len() < DEEPEST => {
                self.kinds.push(Kind::If);
                self.open.push(Open::If { condition: None, branches: Vec::new(), place, last: false });
                self.lists.push(Vec::new());
                self.chain = Chain::None;
            }
            "if" | "while" | "until" | "select" => {
                self.kinds.push(Kind::Guard);
                self.guards.push(place);
            }
            "fi" => self.close(&[Kind::If, Kind::Guard]),
            "done" => self.close(&[Kind::Guard, Kind::For]),
            "case" => {
                self.at = at;
                self.kinds.push(Kind::Case);
                self.guards.push(place);
                self.blanks();
                self.read_word();
                self.case_pattern();
                return true;
            }
            "esac" => self.close(&[Kind::Case]),
            "{" if self.chain == Chain::And => {
                self.chain = Chain::None;
                self.kinds.push(Kind::Group);
                self.guards.push(place);
            }
            "{" => self.kinds.push(Kind::Brace),
            "}" => self.close(&[Kind::Brace, Kind::Function, Kind::Group]),
            // A prompt that was copied along.
            "" if after == b'$' && matches!(self.bytes.get(at + 1), Some(b' ' | b'\t')) => at += 1,
            "for" => {
                self.at = at;
                self.begin_for(place);
                return true;
            }
            "function" => {
                self.at = at;
                self.blanks();
                let word = self.read_word();
                self.blanks();
                if self.byte(0) == b'(' {
                    self.at = self.matching(self.at, self.end, b'(', b')');
                }
                let name = word.literal().unwrap_or("").into();
                self.begin_function(name, word.place);
                return true;
            }
            _ => return false,
        }
        self.at = at;
        true
    }

    /// Passes over `in` and the pattern of a case, up to its parenthesis; or over `esac`.
    fn case_pattern(&mut self) {
        let mut at = self.at;
        loop {
            while at < self.end && (self.bytes[at].is_ascii_whitespace() || self.bytes[at] == b'(') {
                at += 1;
            }
            if self.text[at..self.end].starts_with("esac") {
                self.at = at;
                return;
            }
            if self.bytes[at.min(self.end)..self.end].first() == Some(&b'#') {
                self.at = at;
                at = self.line_end();
                continue;
            }
            break;
        }
        while at < self.end && !matches!(self.bytes[at], b')') {
            at += 1;
        }
        self.at = (at + 1).min(self.end);
    }

    fn begin_for(&mut self, place: Place) {
        self.blanks();
        let (name, items) = if self.byte(0) == b'(' {
            self.at = self.matching(self.at, self.end, b'(', b')');
            (Box::from(""), Vec::new())
        } else {
            let word = self.read_word();
            let name = word.literal().unwrap_or("").into();
            let mut items = Vec::new();
            loop {
                self.blanks();
                match self.byte(0) {
                    b'\\' if self.continuation().is_some() => self.at = self.continuation().unwrap_or(self.end),
                    b'\n' | b';' | 0 | b'|' | b'&' | b')' => break,
                    b'\r' | b'(' | b'<' | b'>' => self.at += 1,
                    b'#' => self.at = self.line_end(),
                    _ => items.push(self.read_word()),
                }
                if self.at >= self.end {
                    break;
                }
            }
            if items.first().and_then(Word::literal) == Some("in") {
                items.remove(0);
            }
            (name, items)
        };
        if self.open.len() < DEEPEST {
            self.kinds.push(Kind::For);
            self.open.push(Open::For { name, items, place });
            self.lists.push(Vec::new());
        } else {
            self.kinds.push(Kind::Guard);
            self.guards.push(place);
        }
    }
}
