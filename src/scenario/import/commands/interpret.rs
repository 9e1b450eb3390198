//! Runs a script's statements: variables, loops, functions and here-documents, and hands gcloud commands on.
//!
//! What the script does not say itself (a variable of the environment, what another command prints) stays `${NAME}` in the
//! arguments. Everything that a script could make grow is bounded: the length of values, loops, calls.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use super::arg::{Arg, LONGEST};
use super::arithmetic::{self, test};
use super::gcloud;
use super::project::Project;
use super::shell::{Branch, Chain, Part, Simple, Statement, Word};
use crate::scenario::diagnostic::{Diagnostic, Place};
use crate::scenario::import::{Import, secrets};

/// The longest value of a variable, in bytes.
const LONGEST_VALUE: usize = 4096;
/// Items of an array, fields of a word.
const MOST_ITEMS: usize = 1000;
/// Commands in loops and functions.
const MOST_REPEATED: usize = 50_000;
/// Functions that call functions.
const DEEPEST_CALL: usize = 16;
/// What all expansions together may make.
const MOST_EXPANDED: usize = 16 << 20;

/// The state of the shell; it lasts from script to script, as if each were sourced.
#[derive(Debug, Default)]
pub(super) struct Shell {
    variables: HashMap<Box<str>, Vec<String>>,
    functions: HashMap<Box<str>, Function>,
    /// Files that here-documents have made.
    files: HashMap<String, Arg>,
    /// What the next command of a pipe reads.
    input: Option<Arg>,
    positional: Vec<Vec<String>>,
    repeated: usize,
    expanded: usize,
    depth: usize,
    unnamed: usize,
    /// Constructs whose condition was told to be taken as met.
    told: HashSet<Place>,
    /// The construct of unknown outcome that what runs now is in.
    guard: Option<Place>,
    /// The script goes on if what runs now fails.
    tolerant: bool,
    /// How the last command ended.
    status: Status,
    /// Variables that such a construct may have set, and which one.
    doubtful: HashMap<Box<str>, Place>,
    /// Those of them that the current command has used.
    doubts: Vec<Place>,
    /// What the variables held before a subshell set them.
    journals: Vec<Journal>,
    /// Values that nobody should see.
    pub secrets: Vec<Place>,
}

/// Variables that a subshell has set, each with what it held before.
type Journal = Vec<(Box<str>, Option<Vec<String>>)>;

/// How a command ended, as far as the script itself says.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Status {
    /// It ran, and the scripts are read as if that had worked.
    #[default]
    Ran,
    True,
    False,
    /// A test of what is not in the scripts.
    Unknown(Place),
}

#[derive(Debug, Clone)]
struct Function {
    body: Rc<[Statement]>,
    place: Place,
    called: bool,
}

impl Shell {
    /// Runs statements in order.
    pub fn run(&mut self, statements: &[Statement], project: &mut Project, import: &mut Import) {
        for statement in statements {
            match statement {
                Statement::Command(simple) => {
                    if self.depth > 0 {
                        self.repeated += 1;
                        if self.repeated > MOST_REPEATED {
                            return;
                        }
                    }
                    self.command(simple, project, import);
                }
                Statement::For { name, items, body, place } => {
                    self.for_each(name, items, body, *place, project, import);
                }
                Statement::Function { name, body, place } => {
                    self.functions.insert(name.clone(), Function { body: body.clone(), place: *place, called: false });
                }
                Statement::If { branches, otherwise, place } => {
                    self.branches(branches, otherwise, *place, project, import);
                }
            }
        }
    }

    /// Runs the branch whose condition holds, or all that may be the one.
    fn branches(
        &mut self,
        branches: &[Branch],
        otherwise: &[Statement],
        place: Place,
        project: &mut Project,
        import: &mut Import,
    ) {
        let before = (self.guard, self.tolerant);
        for branch in branches {
            self.status = Status::Ran;
            self.run(&branch.condition, project, import);
            match self.status {
                Status::False => continue,
                Status::True => {
                    self.run(&branch.body, project, import);
                    (self.guard, self.tolerant) = before;
                    self.status = Status::Ran;
                    return;
                }
                Status::Ran | Status::Unknown(_) => {
                    (self.guard, self.tolerant) = (Some(place), true);
                    self.run(&branch.body, project, import);
                }
            }
        }
        self.run(otherwise, project, import);
        (self.guard, self.tolerant) = before;
        self.status = Status::Ran;
    }

    /// Gives a variable its values.
    fn set(&mut self, name: &str, values: Vec<String>) {
        match self.guard {
            Some(guard) => drop(self.doubtful.insert(name.into(), guard)),
            None => match self.doubts.last() {
                Some(doubt) => drop(self.doubtful.insert(name.into(), *doubt)),
                None => drop(self.doubtful.remove(name)),
            },
        }
        let before = self.variables.insert(name.into(), values);
        if let Some(journal) = self.journals.last_mut() {
            journal.push((name.into(), before));
        }
    }

    /// Tells tests on whose outcome depends what a command does.
    fn tell_doubts(&mut self, import: &mut Import) {
        let message = "whether this runs cannot be known: its commands are read as if they ran once";
        for guard in self.guard.into_iter().chain(std::mem::take(&mut self.doubts)) {
            if self.told.insert(guard) {
                import.push(Diagnostic::note("condition-unknown", message).at(guard));
            }
        }
    }

    /// Tells what of the scripts was not run.
    pub fn finish(&mut self, import: &mut Import) {
        if self.repeated > MOST_REPEATED {
            import.push(Diagnostic::warning(
                "loop-too-long",
                format!(
                    "loops and functions of the scripts run more than {MOST_REPEATED} commands; the rest is not read"
                ),
            ));
        }
        let mut left: Vec<_> = self.functions.iter().filter(|(_, function)| !function.called).collect();
        left.sort_by_key(|(_, function)| function.place);
        for (name, function) in left {
            if mentions_gcloud(&function.body, 0) {
                import.push(
                    Diagnostic::note(
                        "function-not-called",
                        format!("no command calls the function `{name}`: the gcloud commands in it are not read"),
                    )
                    .at(function.place),
                );
            }
        }
        import.sources.hide(&std::mem::take(&mut self.secrets));
    }

    fn for_each(
        &mut self,
        name: &str,
        items: &[Word],
        body: &Rc<[Statement]>,
        place: Place,
        project: &mut Project,
        import: &mut Import,
    ) {
        let doubts = std::mem::take(&mut self.doubts);
        let mut values = Vec::new();
        for item in items {
            match item.literal().and_then(braces) {
                Some(expanded) => values.extend(expanded),
                None => values.extend(self.expand(item, project, import).into_iter().map(|arg| arg.text)),
            }
            values.truncate(MOST_REPEATED);
        }
        // A loop over what only the machine knows, or one that counts.
        let unknown = values.is_empty() || values.iter().any(|value| value.contains("${"));
        if unknown {
            if mentions_gcloud(body, 0) && self.told.insert(place) {
                import.push(
                    Diagnostic::note(
                        "loop-unknown",
                        "what this loop runs over cannot be known: it is read as if it ran once",
                    )
                    .at(place),
                );
            }
            values.truncate(1);
            if values.first().is_none_or(|value| value.starts_with("${output-")) {
                values.clear();
                values.push(format!("${{{}}}", if name.is_empty() { "item" } else { name }));
            }
        }
        self.depth += 1;
        for value in values {
            self.repeated += 1;
            if self.repeated > MOST_REPEATED {
                break;
            }
            self.set(name, vec![value]);
            self.run(body, project, import);
        }
        self.depth -= 1;
        self.doubts = doubts;
    }

    fn command(&mut self, simple: &Simple, project: &mut Project, import: &mut Import) {
        let before = (self.guard, self.tolerant, self.status);
        match (simple.chain, self.status) {
            (Chain::And, Status::False) | (Chain::Or, Status::True) => return,
            (Chain::And | Chain::Or, Status::Unknown(place)) => self.guard = Some(place),
            _ => {}
        }
        self.guard = simple.guard.or(self.guard);
        self.tolerant |= simple.tolerant || self.guard.is_some();
        self.status = Status::Ran;
        let doubts = std::mem::take(&mut self.doubts);
        self.carry_out(simple, project, import);
        self.doubts = doubts;
        if simple.negated {
            self.status = match self.status {
                Status::True => Status::False,
                Status::False => Status::True,
                other => other,
            };
        }
        // Of a test that is not known and another, the other may decide.
        self.status = match (simple.chain, before.2, self.status) {
            (Chain::And, Status::Unknown(_), Status::False) | (Chain::Or, Status::Unknown(_), Status::True) => {
                self.status
            }
            (Chain::And | Chain::Or, unknown @ Status::Unknown(_), _) => unknown,
            (.., status) => status,
        };
        (self.guard, self.tolerant) = (before.0, before.1);
    }

    fn carry_out(&mut self, simple: &Simple, project: &mut Project, import: &mut Import) {
        for (name, adds, items) in &simple.arrays {
            let mut values = if *adds { self.variables.remove(name).unwrap_or_default() } else { Vec::new() };
            for item in items {
                values.extend(self.expand(item, project, import).into_iter().map(|arg| arg.text));
                values.truncate(MOST_ITEMS);
            }
            self.set(name, values);
        }
        let mut words = simple.words.as_slice();
        while let Some((word, rest)) = words.split_first()
            && let Some((name, adds)) = assignment(word)
        {
            self.assign(name, adds, word, project, import);
            words = rest;
        }
        let opening = words.first().and_then(Word::literal);
        let whole = matches!(opening, Some("[[" | "let"));
        let mut args = Vec::new();
        let declares = matches!(
            words.first().and_then(Word::literal),
            Some("export" | "declare" | "local" | "readonly" | "typeset")
        );
        for word in words {
            if declares && let Some((name, adds)) = assignment(word) {
                self.assign(name, adds, word, project, import);
                continue;
            }
            if whole {
                args.push(self.join(word, project, import));
            } else {
                args.extend(self.expand(word, project, import));
            }
            args.truncate(MOST_ITEMS * 4);
        }
        let document = simple.document.as_ref().map(|document| self.join(document, project, import));
        self.dispatch(args, document, simple, project, import);
    }

    fn dispatch(
        &mut self,
        mut args: Vec<Arg>,
        document: Option<Arg>,
        simple: &Simple,
        project: &mut Project,
        import: &mut Import,
    ) {
        let wrappers = ["sudo", "time", "command", "exec", "env", "nohup", "eval", "builtin", "$", "%"];
        let wraps = |args: &[Arg]| args.first().is_some_and(|arg| wrappers.contains(&&*arg.text));
        let wrapped = args.iter().take(8).take_while(|arg| wrappers.contains(&&*arg.text)).count();
        if wraps(&args) {
            args.drain(..wrapped);
        }
        // A name for each line that is piped in: nobody knows how many.
        if args.first().is_some_and(|arg| arg.text == "xargs")
            && let Some(at) = args.iter().position(|arg| arg.text == "gcloud")
        {
            let mut item = Arg::new(args[0].place);
            item.push("${item}", item.place.start, item.place.end);
            args.drain(..at);
            let before = args.len();
            for arg in args.iter_mut().filter(|arg| arg.text == "{}" || arg.text == "%") {
                let place = arg.place;
                *arg = Arg::new(place);
                arg.push("${item}", place.start, place.end);
            }
            if !args[..before].iter().any(|arg| arg.text == "${item}") {
                args.push(item);
            }
        }
        let Some(first) = args.first() else { return };
        let place = first.place;
        let input = document.clone().or_else(|| self.input.take());
        // A flag's value may hold slashes.
        let name = if first.text.starts_with("--") { &*first.text } else { first.name() };
        match name {
            "gcloud" => {
                self.hide(&args);
                let around = gcloud::Around { files: &self.files, input: input.as_ref(), tolerant: self.tolerant };
                let changes = gcloud::run(&args, &around, project, import);
                if changes {
                    self.tell_doubts(import);
                }
            }
            "cat" | "tee" => {
                let named = args.iter().skip(1).find(|arg| !arg.text.starts_with('-'));
                let output = simple.output.as_ref().map(|word| self.join(word, project, import).text);
                let file =
                    output.or_else(|| (args[0].text == "tee").then(|| named.map(|arg| arg.text.clone())).flatten());
                match (file, document) {
                    (Some(file), Some(document)) => {
                        self.files.insert(file, document);
                    }
                    (None, Some(document)) => self.input = Some(document),
                    _ => {}
                }
            }
            "terraform" | "tofu" | "kubectl" | "pulumi" => {
                if let Some(verb) =
                    args.get(1).filter(|verb| ["apply", "destroy", "up", "create", "delete"].contains(&&*verb.text))
                {
                    import.skip(format!("{} {}", args[0].name(), verb.text), place);
                }
            }
            "true" | ":" => self.status = Status::True,
            "false" => self.status = Status::False,
            "[" | "[[" | "test" => {
                self.status = match test(&args) {
                    Some(true) => Status::True,
                    Some(false) => Status::False,
                    None => Status::Unknown(place),
                };
            }
            "let" => {
                for arg in args.iter().skip(1) {
                    self.arithmetic(&arg.text);
                }
            }
            "shift" => {
                let count = args.get(1).and_then(|arg| arg.text.parse().ok()).unwrap_or(1);
                if let Some(args) = self.positional.last_mut() {
                    args.drain(..args.len().min(count));
                }
            }
            "read" => {
                for arg in args.iter().skip(1).filter(|arg| !arg.text.starts_with('-')) {
                    let value = format!("${{{}}}", arg.text);
                    self.set(&arg.text, vec![value]);
                }
            }
            "unset" => {
                for arg in args.iter().skip(1) {
                    self.variables.remove(&*arg.text);
                }
            }
            name if name.starts_with("--") && name.len() > 3 => {
                let name = name.split('=').next().unwrap_or(name);
                import.push(
                    Diagnostic::warning(
                        "stray-flag",
                        format!("the flag `{name}` is at the beginning of a command: it reaches no gcloud"),
                    )
                    .at(place)
                    .help("end the line before it with a backslash"),
                );
            }
            name => {
                // What is left of a test with `&&` in it.
                if args.last().is_some_and(|arg| arg.text == "]]" || arg.text == "]") {
                    self.status = Status::Unknown(place);
                }
                let Some(function) = self.functions.get_mut(name) else { return };
                function.called = true;
                let body = function.body.clone();
                if self.depth >= DEEPEST_CALL {
                    return;
                }
                if !self.doubts.is_empty() && mentions_gcloud(&body, 0) {
                    self.tell_doubts(import);
                }
                self.depth += 1;
                self.positional.push(args.into_iter().skip(1).map(|arg| arg.text).collect());
                self.run(&body, project, import);
                self.positional.pop();
                self.depth -= 1;
            }
        }
    }

    /// Remembers the values of flags that may be secret.
    fn hide(&mut self, args: &[Arg]) {
        // Whether what comes next belongs to a flag whose value nobody should see.
        let mut secret = false;
        for arg in args {
            match arg.text.strip_prefix("--") {
                Some(flag) => {
                    let name = flag.split('=').next().unwrap_or(flag);
                    secret = is_secret_flag(name);
                    if let (true, Some((_, value))) = (secret, arg.split_once('=')) {
                        self.secrets.push(value.place);
                    }
                }
                None if secret => self.secrets.push(arg.place),
                None => {}
            }
        }
    }

    fn assign(&mut self, name: &str, adds: bool, word: &Word, project: &mut Project, import: &mut Import) {
        let arg = self.join(word, project, import);
        let at = name.len() + 1 + usize::from(adds);
        let value = arg.part(at..arg.text.len());
        if secrets::is_secret(name) && !value.text.is_empty() {
            self.secrets.push(value.place);
        }
        let mut text = value.text;
        if adds {
            let before = self.variables.get(name).and_then(|values| values.first());
            text.insert_str(0, before.map_or("", String::as_str));
        }
        // What another command prints is called as the variable that keeps it.
        if text.len() > LONGEST_VALUE || (text.starts_with("${output-") && text.find('}') == Some(text.len() - 1)) {
            text = format!("${{{name}}}");
        }
        self.set(name, vec![text]);
    }

    /// A word as one argument, whatever blanks it holds.
    fn join(&mut self, word: &Word, project: &mut Project, import: &mut Import) -> Arg {
        let mut args = self.fields(word, false, project, import);
        args.pop().unwrap_or_else(|| Arg::new(word.place))
    }

    /// A word as the arguments that it becomes.
    fn expand(&mut self, word: &Word, project: &mut Project, import: &mut Import) -> Vec<Arg> {
        self.fields(word, true, project, import)
    }

    fn fields(&mut self, word: &Word, splits: bool, project: &mut Project, import: &mut Import) -> Vec<Arg> {
        let mut args: Vec<Arg> = Vec::new();
        let mut current = Arg::new(word.place);
        // Whether there is an argument at all: an unquoted variable without a value makes none.
        let mut any = false;
        for part in &word.parts {
            let (values, quoted, start, end) = match part {
                Part::Literal { text, start, end } => {
                    current.push(text, *start, *end);
                    any = true;
                    continue;
                }
                Part::Variable { name, default: Some(other), instead: true, quoted, start, end, .. } => {
                    let place = Place { start: *start, end: *end, ..word.place };
                    let values = self.instead(name, other, place, project, import);
                    (values, *quoted || !splits, *start, *end)
                }
                Part::Variable { name, default, assigns, quoted, start, end, .. } => {
                    let values = self.variable(name, default.as_deref(), *assigns, project, import);
                    (values, *quoted || !splits, *start, *end)
                }
                Part::Command { inside, start, end } => {
                    let value = self.substitute(inside.as_deref(), project, import);
                    (vec![value], true, *start, *end)
                }
                Part::Arithmetic { text, start, end } => {
                    let value = self.arithmetic(text).unwrap_or_else(|| self.unknown());
                    (vec![value], true, *start, *end)
                }
                Part::Unknown { start, end } => (vec![self.unknown()], true, *start, *end),
            };
            if current.text.len() > LONGEST || self.expanded > MOST_EXPANDED || args.len() > MOST_ITEMS {
                continue;
            }
            let array = matches!(part, Part::Variable { name, .. } if name.ends_with("[@]") || &**name == "@" || &**name == "*");
            let mut first = true;
            for value in &values {
                self.expanded += value.len();
                let mut put = |field: &str| {
                    if !std::mem::take(&mut first) {
                        if splits {
                            args.push(std::mem::replace(&mut current, Arg::new(word.place)));
                        } else {
                            current.push(" ", start, end);
                        }
                    }
                    current.push(field, start, end);
                    any = true;
                };
                if quoted || (array && !splits) {
                    put(value);
                } else {
                    value.split_whitespace().for_each(put);
                }
            }
            any |= quoted && !values.is_empty();
        }
        if any {
            args.push(current);
        }
        args
    }

    fn variable(
        &mut self,
        name: &str,
        default: Option<&Word>,
        assigns: bool,
        project: &mut Project,
        import: &mut Import,
    ) -> Vec<String> {
        let plain = name.strip_suffix("[@]").unwrap_or(name);
        if let Some(args) = self.positional.last() {
            match name {
                "@" | "*" => return args.clone(),
                "#" => return vec![args.len().to_string()],
                _ => {}
            }
            if let Ok(number) = name.parse::<usize>()
                && number > 0
                && (number <= args.len() || default.is_none())
            {
                return vec![args.get(number - 1).cloned().unwrap_or_default()];
            }
        }
        self.doubts.extend(self.doubtful.get(plain).copied());
        if let Some(values) = self.variables.get(plain) {
            let empty = values.iter().all(String::is_empty);
            if !(empty && default.is_some()) {
                return if name.len() != plain.len() {
                    values.clone()
                } else {
                    values.first().cloned().into_iter().collect()
                };
            }
        }
        if let Some(default) = default {
            let value = self.join(default, project, import).text;
            if assigns && value.len() <= LONGEST_VALUE {
                self.set(plain, vec![value.clone()]);
            }
            return vec![value];
        }
        let word: String = plain.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect();
        vec![format!("${{{word}}}")]
    }

    /// `${NAME:+word}`: the word if the variable has a value.
    fn instead(
        &mut self,
        name: &str,
        other: &Word,
        place: Place,
        project: &mut Project,
        import: &mut Import,
    ) -> Vec<String> {
        let values = self.variable(name, None, false, project, import);
        let given = values.iter().any(|value| !value.is_empty() && !is_unknown(value));
        if given {
            return vec![self.join(other, project, import).text];
        }
        if values.iter().any(|value| is_unknown(value)) && self.told.insert(place) {
            let message = format!("whether `{name}` has a value is not in the scripts: what depends on it is left out");
            import.push(Diagnostic::note("value-unknown", message).at(place));
        }
        Vec::new()
    }

    /// `$((…))`, with what it assigns. A counter that nobody has set begins at nothing.
    fn arithmetic(&mut self, text: &str) -> Option<String> {
        let value = |name: &str| match self.variables.get(name).and_then(|values| values.first()) {
            Some(value) if value.is_empty() => Some(0),
            Some(value) => value.trim().parse().ok(),
            None => None,
        };
        let (value, assigned) = arithmetic::evaluate(text, value)?;
        for (name, value) in assigned {
            self.set(&name, vec![value.to_string()]);
        }
        Some(value.to_string())
    }

    /// A name for a value that is not in the scripts.
    fn unknown(&mut self) -> String {
        self.unnamed += 1;
        format!("${{output-{}}}", self.unnamed)
    }

    /// What `$(…)` gives, as far as the scripts themselves say it. Its commands are carried out like others.
    fn substitute(&mut self, inside: Option<&[Statement]>, project: &mut Project, import: &mut Import) -> String {
        let mut value = None;
        let before = (self.status, self.input.take());
        self.journals.push(Vec::new());
        if let Some([Statement::Command(simple)]) = inside
            && self.expanded <= MOST_EXPANDED
            && simple.arrays.is_empty()
            && simple.words.first().is_none_or(|word| assignment(word).is_none())
        {
            let mut args = Vec::new();
            for word in &simple.words {
                args.extend(self.expand(word, project, import));
                args.truncate(MOST_ITEMS);
            }
            value = match args.first().map(|arg| &*arg.text) {
                Some("gcloud") => gcloud::output(&args, project),
                Some("echo") if args.len() == 2 => Some(args[1].text.clone()),
                _ => None,
            };
            if value.is_none() && self.repeated <= MOST_REPEATED {
                let document = simple.document.as_ref().map(|document| self.join(document, project, import));
                let tolerant = self.tolerant;
                self.tolerant |= simple.tolerant;
                self.dispatch(args, document, simple, project, import);
                self.tolerant = tolerant;
            }
        } else if let Some(inside) = inside
            && self.expanded <= MOST_EXPANDED
        {
            self.run(inside, project, import);
        }
        // A subshell leaves no variables behind.
        for (name, before) in self.journals.pop().unwrap_or_default().into_iter().rev() {
            match before {
                Some(values) => drop(self.variables.insert(name, values)),
                None => drop(self.variables.remove(&name)),
            }
        }
        (self.status, self.input) = before;
        value.filter(|value| value.len() <= LONGEST_VALUE).unwrap_or_else(|| self.unknown())
    }
}

/// Whether nothing of a value is in the scripts.
fn is_unknown(value: &str) -> bool {
    value.starts_with("${") && value.find('}') == Some(value.len() - 1)
}

/// `NAME=` or `NAME+=` at the beginning of a word.
fn assignment(word: &Word) -> Option<(&str, bool)> {
    let Part::Literal { text, .. } = word.parts.first()? else { return None };
    let (name, _) = text.split_once('=')?;
    let (name, adds) = name.strip_suffix('+').map_or((name, false), |name| (name, true));
    let mut bytes = name.bytes();
    let starts = bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    (starts && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')).then_some((name, adds))
}

/// `{1..3}` and `{a,b}`.
fn braces(text: &str) -> Option<Vec<String>> {
    let inner = text.strip_prefix('{')?.strip_suffix('}')?;
    if let Some((from, to)) = inner.split_once("..") {
        let (from, to) = (from.parse::<i32>().ok()?, to.parse::<i32>().ok()?);
        return Some((from..=to).take(MOST_REPEATED).map(|number| number.to_string()).collect());
    }
    inner.contains(',').then(|| inner.split(',').map(str::to_owned).collect())
}

fn mentions_gcloud(statements: &[Statement], depth: usize) -> bool {
    statements.iter().any(|statement| match statement {
        Statement::Command(simple) => simple.words.iter().any(|word| word.literal() == Some("gcloud")),
        Statement::For { body, .. } | Statement::Function { body, .. } => {
            depth < 32 && mentions_gcloud(body, depth + 1)
        }
        Statement::If { branches, otherwise, .. } => {
            let bodies = branches.iter().flat_map(|branch| [&branch.condition, &branch.body]).chain([otherwise]);
            depth < 32 && bodies.into_iter().any(|body| mentions_gcloud(body, depth + 1))
        }
    })
}

/// Flags whose values may be secret: environment variables, keys, what a container is started with.
fn is_secret_flag(name: &str) -> bool {
    name.contains("env-vars")
        || name.contains("secret")
        || name.starts_with("metadata")
        || matches!(name, "args" | "command" | "update-command" | "header" | "headers" | "update-headers")
        || secrets::is_secret(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_are_ranges_or_lists() {
        assert_eq!(braces("{1..3}").unwrap(), ["1", "2", "3"]);
        assert_eq!(braces("{a,b}").unwrap(), ["a", "b"]);
        assert_eq!(braces("{a}"), None);
        assert_eq!(braces("{-2000000000..2000000000}").unwrap().len(), MOST_REPEATED);
    }
}
