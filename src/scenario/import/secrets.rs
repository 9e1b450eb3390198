//! Keeps secrets out of what is shown.
//!
//! A finding quotes the line it is about, and exported configuration has whatever people put into environment variables,
//! metadata and state files. Values that are or may be secret are overwritten in the text that findings quote; the
//! resources that an import makes never hold them, for a scenario has no field for them.

use crate::scenario::diagnostic::{FileId, Place, Sources};
use crate::scenario::tree::{Node, Value};

/// Keys whose values, all the way down, are nobody's business: what containers are started with.
const SECRET_SUBTREES: &[&str] = &["env", "envs", "args", "command", "envfrom"];

/// Parts of a key, letters and digits only, that say its value is secret. With them what BGP peers and Interconnect partners
/// know each other by.
const SECRET_WORDS: &[&str] = &[
    "password",
    "passwd",
    "secret",
    "token",
    "privatekey",
    "credential",
    "apikey",
    "startupscript",
    "sshkey",
    "environmentvariable",
    "sensitivevalues",
    "md5auth",
    "pairingkey",
    "encryptionkey",
    "encryptedkey",
    "rawkey",
    "connstr",
    "connectionstring",
    "databaseurl",
    "authorization",
    "stringdata",
];

/// Overwrites the secrets of a document in its text.
pub(crate) fn hide(node: &Node, sources: &mut Sources) {
    let mut places = Vec::new();
    collect(node, false, &mut places);
    sources.hide(&places);
}

/// Overwrites what may be secret in a text that cannot be parsed, of which a finding will quote a line: the rest of each line
/// behind a telling name, and what is indented below it.
pub(crate) fn hide_unparsed(file: FileId, sources: &mut Sources) {
    let text = sources.text(file);
    let mut places = Vec::new();
    let mut start = 0;
    // Indentation of a telling name: what is deeper, or a list at its level, is its value.
    let mut below: Option<usize> = None;
    for line in text.split_inclusive('\n') {
        let indent = line.len() - line.trim_start().len();
        let item = line.trim_start().starts_with('-');
        if below.is_some_and(|outer| line.trim().is_empty() || indent > outer || (item && indent == outer)) {
            places.push(Place { file, start: (start + indent) as u32, end: (start + line.trim_end().len()) as u32 });
        } else {
            let at = telling(line);
            if let Some(at) = at {
                let end = start + line.trim_end().len();
                places.push(Place { file, start: (start + at) as u32, end: end.max(start + at) as u32 });
            }
            below = at.map(|_| indent);
        }
        start += line.len();
    }
    sources.hide(&places);
}

/// Overwrites every value of a file of assignments, such as Terraform variables: any of them may be secret.
pub(super) fn hide_values(file: FileId, sources: &mut Sources) {
    let text = sources.text(file);
    let mut places = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let at = match line.find(['=', ':']) {
            Some(at) => at + 1,
            None => line.len() - line.trim_start().len(),
        };
        let end = line.trim_end().len().max(at);
        places.push(Place { file, start: (start + at) as u32, end: (start + end) as u32 });
        start += line.len();
    }
    sources.hide(&places);
}

/// Where the value begins on a line that names something secret.
fn telling(line: &str) -> Option<usize> {
    // A flag with environment variables or arguments, what other programs take secrets by, a comment that has one.
    const FLAGS: [&str; 6] = ["-env", "-arg", "--from-literal", " -e ", "Authorization", "BEGIN "];
    let flag = FLAGS.iter().filter_map(|flag| line.find(flag)).min();
    let assigned = line.char_indices().filter(|(_, character)| matches!(character, ':' | '=')).find(|(at, _)| {
        let name = line[..*at].trim_end().trim_end_matches(['"', '\'']);
        let behind = |c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-';
        let from = name.char_indices().rev().find(|(_, c)| behind(*c)).map_or(0, |(at, c)| at + c.len_utf8());
        let name = &name[from..];
        name == "value" || is_secret(name)
    });
    let assigned = assigned.map(|(at, _)| at + 1);
    [flag, assigned].into_iter().flatten().min()
}

fn collect(node: &Node, secret: bool, places: &mut Vec<Place>) {
    match &node.value {
        Value::Scalar(_) if secret => places.push(node.place),
        Value::Scalar(_) => {}
        Value::Sequence(items) => items.iter().for_each(|item| collect(item, secret, places)),
        Value::Mapping(entries) => {
            // `{name: …, value: …}` and `{key: …, value: …}`: an environment variable, an item of a VM's metadata.
            let named = entries.iter().any(|entry| matches!(&*entry.key.name, "name" | "key"));
            for entry in entries {
                let key = &*entry.key.name;
                let secret = secret || is_secret(key) || (named && key == "value");
                collect(&entry.value, secret, places);
            }
        }
    }
}

/// Whether a field of this name holds what nobody should see.
pub(super) fn is_secret(key: &str) -> bool {
    let plain: String = key.chars().filter(char::is_ascii_alphanumeric).flat_map(char::to_lowercase).collect();
    SECRET_SUBTREES.contains(&&*plain) || SECRET_WORDS.iter().any(|word| plain.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::tree;

    #[test]
    fn values_that_may_be_secret_are_overwritten_and_nothing_else() {
        let text = "{\"name\": \"api\", \"env\": [{\"name\": \"A\", \"value\": \"s1\"}], \"sharedSecret\": \"s2\",\n\
                    \"metadata\": {\"items\": [{\"key\": \"startup-script\", \"value\": \"s3\"}]}, \"minPortsPerVm\": 64}";
        let mut sources = Sources::default();
        let file = sources.add("t", text);
        let node = tree::parse(text, file, &mut Vec::new()).expect("JSON").expect("a document");
        hide(&node, &mut sources);
        let shown = sources.text(file);
        assert_eq!(shown.len(), text.len());
        assert!(["s1", "s2", "s3"].iter().all(|secret| !shown.contains(secret)), "{shown}");
        assert!(shown.contains("\"minPortsPerVm\": 64") && shown.contains("{\"name\": \"api\""), "{shown}");
    }

    #[test]
    fn of_a_text_that_cannot_be_parsed_lines_are_cut_behind_telling_names() {
        let mut sources = Sources::default();
        let file = sources
            .add("t", "mtu: 1460\nenv:\n- name: X\n  value: s1 é\nDB_PASSWORD = s2\n{\"apiKey\":\"s3\", \"a\": 1}\n");
        hide_unparsed(file, &mut sources);
        let shown = sources.text(file);
        assert!(["s1", "s2", "s3"].iter().all(|secret| !shown.contains(secret)), "{shown}");
        assert!(shown.contains("mtu: 1460\nenv:\n"), "{shown}");
    }
}
